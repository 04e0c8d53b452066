//! The subkeys of an AEAD key, one for each suite of the family.

use zeroize::Zeroizing;

use crate::derive::{label, subkey};
use crate::lazy::Lazy;
use crate::provider::{AeadKey, NONCE_LEN, Provider, TAG_LEN};
use crate::xaes::{self, CommittingXaes};
use crate::xchacha::{self, XChaCha};
use crate::{Algorithm, CryptoError, KeyMaterial, Suite};

/// The material of one key version and what has been expanded of it: the subkey of the default
/// suite at once, the others when they are first used.
pub(crate) struct AeadKeys<P: Provider> {
    material: KeyMaterial,
    xaes: Lazy<CommittingXaes<P>>,
    gcm: Lazy<P::Aes256Gcm>,
    gcm_siv: Lazy<P::Aes256GcmSiv>,
    chacha: Lazy<P::ChaCha20Poly1305>,
    xchacha: Lazy<XChaCha>,
}

impl<P: Provider> AeadKeys<P> {
    pub(crate) fn new(algorithm: Algorithm, material: KeyMaterial) -> Result<Self, CryptoError> {
        let keys = Self {
            material,
            xaes: Lazy::new(),
            gcm: Lazy::new(),
            gcm_siv: Lazy::new(),
            chacha: Lazy::new(),
            xchacha: Lazy::new(),
        };
        if let Some(suite) = algorithm.default_suite() {
            keys.expand(suite)?;
        }
        Ok(keys)
    }

    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.material
    }

    fn expand(&self, suite: Suite) -> Result<(), CryptoError> {
        match suite {
            Suite::XAes256Gcm => self.xaes().map(|_| ()),
            Suite::Aes256Gcm => self.gcm().map(|_| ()),
            Suite::Aes256GcmSiv => self.gcm_siv().map(|_| ()),
            Suite::ChaCha20Poly1305 => self.chacha().map(|_| ()),
            Suite::XChaCha20Poly1305 => self.xchacha().map(|_| ()),
            _ => Ok(()),
        }
    }

    fn subkey(&self, label: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        subkey::<P, 32>(self.material.expose(), label)
    }

    pub(crate) fn xaes(&self) -> Result<&CommittingXaes<P>, CryptoError> {
        self.xaes.get(|| {
            Ok(CommittingXaes::new(
                &*self.subkey(label::XAES_ENCRYPTION)?,
                &*self.subkey(label::XAES_COMMITMENT)?,
            ))
        })
    }

    fn gcm(&self) -> Result<&P::Aes256Gcm, CryptoError> {
        self.gcm.get(|| P::Aes256Gcm::expand(&*self.subkey(label::GCM_ENCRYPTION)?))
    }

    fn gcm_siv(&self) -> Result<&P::Aes256GcmSiv, CryptoError> {
        self.gcm_siv.get(|| P::Aes256GcmSiv::expand(&*self.subkey(label::GCM_SIV_ENCRYPTION)?))
    }

    fn chacha(&self) -> Result<&P::ChaCha20Poly1305, CryptoError> {
        self.chacha.get(|| P::ChaCha20Poly1305::expand(&*self.subkey(label::CHACHA_ENCRYPTION)?))
    }

    fn xchacha(&self) -> Result<&XChaCha, CryptoError> {
        self.xchacha.get(|| Ok(XChaCha::new(&*self.subkey(label::XCHACHA_ENCRYPTION)?)))
    }

    /// Appends what follows the header in a ciphertext of `suite`, which must be of the family.
    pub(crate) fn seal_into(
        &self,
        suite: Suite,
        aad: &[u8],
        plaintext: &[u8],
        fill_nonce: impl FnOnce(&mut [u8]) -> Result<(), CryptoError>,
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        match suite {
            Suite::XAes256Gcm => {
                let mut nonce = [0; xaes::NONCE_LEN];
                fill_nonce(&mut nonce)?;
                self.xaes()?.seal_into(&nonce, aad, plaintext, out)
            }
            Suite::XChaCha20Poly1305 => {
                let mut nonce = [0; xchacha::NONCE_LEN];
                fill_nonce(&mut nonce)?;
                self.xchacha()?.seal_into(&nonce, aad, plaintext, out)
            }
            suite => {
                let mut nonce = [0; NONCE_LEN];
                fill_nonce(&mut nonce)?;
                match suite {
                    Suite::Aes256Gcm => seal_into(self.gcm()?, &nonce, aad, plaintext, out),
                    Suite::Aes256GcmSiv => seal_into(self.gcm_siv()?, &nonce, aad, plaintext, out),
                    Suite::ChaCha20Poly1305 => {
                        seal_into(self.chacha()?, &nonce, aad, plaintext, out)
                    }
                    _ => Err(CryptoError::UnknownSuite),
                }
            }
        }
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(crate) fn open(
        &self,
        suite: Suite,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match suite {
            Suite::XAes256Gcm => self.xaes()?.open(aad, sealed),
            Suite::Aes256Gcm => open(self.gcm()?, aad, sealed),
            Suite::Aes256GcmSiv => open(self.gcm_siv()?, aad, sealed),
            Suite::ChaCha20Poly1305 => open(self.chacha()?, aad, sealed),
            Suite::XChaCha20Poly1305 => self.xchacha()?.open(aad, sealed),
            _ => Err(CryptoError::CiphertextInvalid),
        }
    }
}

/// Appends `nonce || ciphertext || tag` to `out`.
fn seal_into<K: AeadKey>(
    key: &K,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    out.extend_from_slice(nonce);
    let start = out.len();
    out.extend_from_slice(plaintext);
    let tag = key.seal(nonce, aad, &mut out[start..])?;
    out.extend_from_slice(&tag);
    Ok(())
}

/// Opens what [`seal_into`] appended.
fn open<K: AeadKey>(key: &K, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (nonce, rest) = sealed.split_first_chunk().ok_or(CryptoError::CiphertextInvalid)?;
    let (ciphertext, tag) =
        rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError::CiphertextInvalid)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    key.open(nonce, aad, &mut plaintext, tag)?;
    Ok(plaintext)
}
