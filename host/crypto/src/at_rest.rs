//! Sealing under a root key: the embedded store's values and the host's own artefacts.
//!
//! XAES-256-GCM with key commitment, as for ciphertexts but under subkeys and authenticated data
//! of its own: `0x01 | nonce 24 | commitment 32 | ciphertext | tag 16`.

use zeroize::Zeroizing;

use crate::derive::{label, subkey};
use crate::xaes::{self, CommittingXaes};
use crate::{CryptoError, random_bytes};
use crate::{memory, provider};

/// The first byte of everything sealed at rest.
const FORMAT: u8 = 0x01;
/// Opens the authenticated data.
const DOMAIN: &[u8] = b"keyward at rest v1\0";

/// The 32 secret bytes everything at rest hangs on, wiped when dropped.
pub struct RootKey {
    secret: Box<Zeroizing<[u8; 32]>>,
    sealer: Box<CommittingXaes<provider::Default>>,
}

impl RootKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A fresh random root key.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut secret = Box::new(Zeroizing::new([0; Self::LEN]));
        random_bytes(secret.as_mut_slice())?;
        Self::new(secret)
    }

    /// Copies a root key. Any other length than 32 is [`CryptoError::KeyLength`]. The caller
    /// wipes its own copy.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let mut secret = Box::new(Zeroizing::new([0; Self::LEN]));
        if bytes.len() != Self::LEN {
            return Err(CryptoError::KeyLength { expected: Self::LEN, actual: bytes.len() });
        }
        secret.copy_from_slice(bytes);
        Self::new(secret)
    }

    /// The bytes, for writing them to the root key file.
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    /// An independent root key for another purpose, named by `info`; equal `info` gives an equal
    /// key. HKDF-SHA-256.
    pub fn derive(&self, info: &[u8]) -> Result<Self, CryptoError> {
        let secret = subkey::<provider::Default, 32>(
            self.secret.as_slice(),
            &[label::DERIVED_ROOT, info].concat(),
        )?;
        Self::from_bytes(secret.as_slice())
    }

    fn new(secret: Box<Zeroizing<[u8; 32]>>) -> Result<Self, CryptoError> {
        let encryption =
            subkey::<provider::Default, 32>(secret.as_slice(), label::AT_REST_ENCRYPTION)?;
        let commitment =
            subkey::<provider::Default, 32>(secret.as_slice(), label::AT_REST_COMMITMENT)?;
        let sealer = Box::new(CommittingXaes::new(&encryption, &commitment));
        memory::keep(&*secret);
        memory::keep(&*sealer);
        Ok(Self { secret, sealer })
    }
}

/// Encrypts and authenticates `plaintext`, bound to `aad`; 73 bytes longer than the plaintext.
pub fn seal(key: &RootKey, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut nonce = [0; xaes::NONCE_LEN];
    random_bytes(&mut nonce)?;
    seal_with_nonce(key, aad, plaintext, &nonce)
}

/// [`seal`] with the nonce given: the seam for pinned vectors.
pub(crate) fn seal_with_nonce(
    key: &RootKey,
    aad: &[u8],
    plaintext: &[u8],
    nonce: &[u8; xaes::NONCE_LEN],
) -> Result<Vec<u8>, CryptoError> {
    let length = plaintext
        .len()
        .checked_add(1 + xaes::NONCE_LEN + xaes::OVERHEAD)
        .ok_or(CryptoError::TooLong)?;
    let mut out = Vec::with_capacity(length);
    out.push(FORMAT);
    key.sealer.seal_into(nonce, &[DOMAIN, aad].concat(), plaintext, &mut out)?;
    Ok(out)
}

/// Opens what [`seal`] made under the same key and `aad`; otherwise
/// [`CryptoError::CiphertextInvalid`], whatever the cause.
pub fn open(key: &RootKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    match sealed.split_first() {
        Some((&FORMAT, sealed)) => key.sealer.open(&[DOMAIN, aad].concat(), sealed),
        _ => Err(CryptoError::CiphertextInvalid),
    }
}
