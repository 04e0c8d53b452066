//! One version of a key, expanded and ready to use.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::binding::length_prefix;
use crate::derive::{label, subkey};
use crate::provider::{self, AeadKey, GCM_NONCE_LEN, HmacKey, Provider, TAG_LEN};
use crate::siv::Siv;
use crate::xaes::{self, CommittingXaes};
use crate::{Algorithm, Binding, CryptoError, Header, KeyId, KeyMaterial, Suite, random_bytes};

/// One version of a key with every subkey derived and every key schedule computed, so that using
/// it costs the cipher only. Immutable, `Send + Sync`; the subkeys are wiped when it is dropped.
pub struct KeyVersion<P: Provider = provider::Default> {
    algorithm: Algorithm,
    key_id: KeyId,
    version: u32,
    subkeys: Subkeys<P>,
}

enum Subkeys<P: Provider> {
    Aead(Box<AeadSubkeys<P>>),
    Siv(Box<Siv>),
    Mac(Box<MacSubkeys<P>>),
}

struct AeadSubkeys<P: Provider> {
    xaes: CommittingXaes<P>,
    gcm: P::Aes256Gcm,
}

struct MacSubkeys<P: Provider> {
    mac: P::HmacSha256,
    index: P::HmacSha256,
}

impl KeyVersion {
    /// Expands version `version` of key `key_id` on the default provider.
    pub fn new(
        algorithm: Algorithm,
        key_id: KeyId,
        version: u32,
        material: &KeyMaterial,
    ) -> Result<Self, CryptoError> {
        Self::with_provider(algorithm, key_id, version, material)
    }
}

impl<P: Provider> KeyVersion<P> {
    /// Expands version `version` of key `key_id` on a provider of choice.
    pub fn with_provider(
        algorithm: Algorithm,
        key_id: KeyId,
        version: u32,
        material: &KeyMaterial,
    ) -> Result<Self, CryptoError> {
        let secret = material.expose();
        let subkeys = match algorithm {
            Algorithm::XAes256Gcm | Algorithm::Aes256Gcm => Subkeys::Aead(Box::new(AeadSubkeys {
                xaes: CommittingXaes::new(
                    &*subkey::<P, 32>(secret, label::XAES_ENCRYPTION)?,
                    &*subkey::<P, 32>(secret, label::XAES_COMMITMENT)?,
                ),
                gcm: P::Aes256Gcm::expand(&*subkey::<P, 32>(secret, label::GCM_ENCRYPTION)?)?,
            })),
            Algorithm::Aes256Siv => {
                Subkeys::Siv(Box::new(Siv::new(subkey::<P, 64>(secret, label::SIV_ENCRYPTION)?)))
            }
            Algorithm::HmacSha256 => Subkeys::Mac(Box::new(MacSubkeys {
                mac: P::HmacSha256::expand(&*subkey::<P, 32>(secret, label::HMAC_MAC)?),
                index: P::HmacSha256::expand(&*subkey::<P, 32>(secret, label::HMAC_INDEX)?),
            })),
        };
        Ok(Self { algorithm, key_id, version, subkeys })
    }

    /// What the key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id, as it stands in ciphertext headers.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which version of the key this is.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Encrypts and authenticates `plaintext`, bound to `binding`, with `suite` or, when `None`,
    /// the algorithm's default suite. Returns the binary ciphertext,
    /// [`Suite::overhead`] bytes longer than the plaintext.
    ///
    /// [`CryptoError::OperationNotSupported`] for an HMAC key, [`CryptoError::SuiteNotAllowed`]
    /// for a suite of another family, [`CryptoError::TooLong`] past the suite's limits.
    pub fn seal(
        &self,
        suite: Option<Suite>,
        binding: &Binding<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.seal_with_nonce(suite, binding, plaintext, random_bytes)
    }

    /// [`seal`](Self::seal) with the nonce taken from `fill_nonce`: the seam for pinned vectors.
    pub(crate) fn seal_with_nonce(
        &self,
        suite: Option<Suite>,
        binding: &Binding<'_>,
        plaintext: &[u8],
        fill_nonce: impl FnOnce(&mut [u8]) -> Result<(), CryptoError>,
    ) -> Result<Vec<u8>, CryptoError> {
        let algorithm = self.algorithm;
        let default = algorithm
            .default_suite()
            .ok_or(CryptoError::OperationNotSupported { algorithm, operation: "seal" })?;
        let suite = suite.unwrap_or(default);
        let header = Header { suite, key_id: self.key_id, key_version: self.version };
        let length = plaintext.len().checked_add(suite.overhead()).ok_or(CryptoError::TooLong)?;

        binding.with_aad(header, |aad| {
            let mut out = Vec::with_capacity(length);
            out.extend_from_slice(&header.to_bytes());
            match (&self.subkeys, suite) {
                (Subkeys::Aead(keys), Suite::XAes256Gcm) => {
                    let mut nonce = [0; xaes::NONCE_LEN];
                    fill_nonce(&mut nonce)?;
                    keys.xaes.seal_into(&nonce, aad, plaintext, &mut out)?;
                }
                (Subkeys::Aead(keys), Suite::Aes256Gcm) => {
                    let mut nonce = [0; GCM_NONCE_LEN];
                    fill_nonce(&mut nonce)?;
                    seal_gcm_into(&keys.gcm, &nonce, aad, plaintext, &mut out)?;
                }
                (Subkeys::Siv(key), Suite::Aes256Siv) => key.seal_into(aad, plaintext, &mut out)?,
                _ => return Err(CryptoError::SuiteNotAllowed { algorithm, suite }),
            }
            Ok(out)
        })
    }

    /// Authenticates and decrypts a binary ciphertext that this key version sealed under an equal
    /// binding; the suite is the one its header names. Every failure, whatever its cause, is
    /// [`CryptoError::CiphertextInvalid`].
    pub fn open(
        &self,
        binding: &Binding<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (header, sealed) = Header::split(ciphertext)?;
        if header.key_id != self.key_id || header.key_version != self.version {
            return Err(CryptoError::CiphertextInvalid);
        }
        binding
            .with_aad(header, |aad| match (&self.subkeys, header.suite) {
                (Subkeys::Aead(keys), Suite::XAes256Gcm) => keys.xaes.open(aad, sealed),
                (Subkeys::Aead(keys), Suite::Aes256Gcm) => open_gcm(&keys.gcm, aad, sealed),
                (Subkeys::Siv(key), Suite::Aes256Siv) => key.open(aad, sealed),
                _ => Err(CryptoError::CiphertextInvalid),
            })
            .map_err(|_| CryptoError::CiphertextInvalid)
    }

    /// HMAC-SHA-256 of `data` under the key's MAC subkey. HMAC keys only, otherwise
    /// [`CryptoError::OperationNotSupported`].
    pub fn mac(&self, data: &[u8]) -> Result<[u8; 32], CryptoError> {
        Ok(self.mac_subkeys("mac")?.mac.sign(&[data]))
    }

    /// Whether `tag` is the [`mac`](Self::mac) of `data`, compared in constant time. A tag of
    /// another length than 32 bytes is not. Errors as `mac`.
    pub fn verify_mac(&self, data: &[u8], tag: &[u8]) -> Result<bool, CryptoError> {
        Ok(self.mac_subkeys("verify")?.mac.sign(&[data]).ct_eq(tag).into())
    }

    /// The blind-index term of `value` in the index called `label`: HMAC-SHA-256 under the key's
    /// index subkey over the length-prefixed label, then the value. HMAC keys only, otherwise
    /// [`CryptoError::OperationNotSupported`]; a label of 2^32 bytes or more is
    /// [`CryptoError::TooLong`].
    pub fn index_term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], CryptoError> {
        let keys = self.mac_subkeys("index terms")?;
        let label = label.as_bytes();
        Ok(keys.index.sign(&[&length_prefix(label)?, label, value]))
    }

    fn mac_subkeys(&self, operation: &'static str) -> Result<&MacSubkeys<P>, CryptoError> {
        match &self.subkeys {
            Subkeys::Mac(keys) => Ok(keys),
            Subkeys::Aead(_) | Subkeys::Siv(_) => {
                Err(CryptoError::OperationNotSupported { algorithm: self.algorithm, operation })
            }
        }
    }
}

/// Appends `nonce || ciphertext || tag` to `out`.
fn seal_gcm_into<K: AeadKey>(
    key: &K,
    nonce: &[u8; GCM_NONCE_LEN],
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

/// Opens what [`seal_gcm_into`] appended.
fn open_gcm<K: AeadKey>(
    key: &K,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (nonce, rest) = sealed.split_first_chunk().ok_or(CryptoError::CiphertextInvalid)?;
    let (ciphertext, tag) =
        rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError::CiphertextInvalid)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    key.open(nonce, aad, &mut plaintext, tag)?;
    Ok(plaintext)
}
