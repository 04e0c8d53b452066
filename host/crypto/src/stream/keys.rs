//! The header of a stream and the keys that belong to it.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::provider::{AeadKey, HmacKey, Provider};
use crate::{Binding, CryptoError, Header, KeyId, KeyVersion, header};

/// What stands for the suite in the first 14 bytes: chunked AES-256-GCM.
const SUITE_ID: u8 = 0x21;
/// Bytes of the random salt.
pub(super) const SALT_LEN: usize = 32;
/// Bytes of the key commitment.
const COMMITMENT_LEN: usize = 32;

/// What a stream says about itself, in the clear and authenticated: the first 14 bytes as in any
/// ciphertext, with `0x21` for the suite; a random salt of 32 bytes; a key commitment of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
    /// The key that sealed it.
    pub key_id: KeyId,
    /// The version of that key.
    pub key_version: u32,
}

impl StreamHeader {
    /// Length of a stream's header in bytes.
    pub const LEN: usize = Header::LEN + SALT_LEN + COMMITMENT_LEN;

    /// Reads the front of a stream, for finding the key: at least the first 14 bytes. Nothing in
    /// it is authenticated until a chunk opens. Anything but the front of a stream is
    /// [`CryptoError::CiphertextInvalid`].
    pub fn parse(stream: &[u8]) -> Result<Self, CryptoError> {
        let (suite, key_id, key_version, _) = header::split(stream)?;
        if suite != SUITE_ID {
            return Err(CryptoError::CiphertextInvalid);
        }
        Ok(Self { key_id, key_version })
    }
}

/// The keys of the stream with this salt under this binding.
struct Keys<P: Provider> {
    chunks: P::Aes256Gcm,
    commitment: [u8; COMMITMENT_LEN],
}

/// `HKDF(salt, stream subkey, info = authenticated data, 64)`: the first half is the key of the
/// chunks, under the second the salt is committed to.
fn keys<P: Provider>(
    key: &KeyVersion<P>,
    binding: &Binding<'_>,
    salt: &[u8; SALT_LEN],
) -> Result<Keys<P>, CryptoError> {
    let subkey = key.stream_subkey()?;
    let mut okm = Zeroizing::new([0; 64]);
    let front = header::to_bytes(SUITE_ID, key.key_id(), key.version());
    binding.with_aad(front, |aad| P::hkdf_sha256(salt, subkey.as_slice(), aad, &mut *okm))?;
    let mut encryption = Zeroizing::new([0; 32]);
    encryption.copy_from_slice(&okm[..32]);
    Ok(Keys {
        chunks: P::Aes256Gcm::expand(&encryption)?,
        commitment: P::HmacSha256::expand(&okm[32..]).sign(&[salt]),
    })
}

/// The header of a new stream and the key of its chunks.
pub(super) fn start<P: Provider>(
    key: &KeyVersion<P>,
    binding: &Binding<'_>,
    salt: &[u8; SALT_LEN],
) -> Result<([u8; StreamHeader::LEN], P::Aes256Gcm), CryptoError> {
    let keys = keys(key, binding, salt)?;
    let mut bytes = [0; StreamHeader::LEN];
    let (front, rest) = bytes.split_at_mut(Header::LEN);
    front.copy_from_slice(&header::to_bytes(SUITE_ID, key.key_id(), key.version()));
    rest[..SALT_LEN].copy_from_slice(salt);
    rest[SALT_LEN..].copy_from_slice(&keys.commitment);
    Ok((bytes, keys.chunks))
}

/// The key of the chunks of the stream with this header; [`CryptoError::CiphertextInvalid`] when
/// it is of another key or binding.
pub(super) fn resume<P: Provider>(
    key: &KeyVersion<P>,
    binding: &Binding<'_>,
    header: &[u8],
) -> Result<P::Aes256Gcm, CryptoError> {
    let invalid = CryptoError::CiphertextInvalid;
    let found = StreamHeader::parse(header)?;
    let (salt, commitment) = header[Header::LEN..].split_first_chunk().ok_or(invalid)?;
    if (found.key_id, found.key_version) != (key.key_id(), key.version()) {
        return Err(invalid);
    }
    let keys = keys(key, binding, salt).map_err(|_| invalid)?;
    if !bool::from(keys.commitment.ct_eq(commitment)) {
        return Err(invalid);
    }
    Ok(keys.chunks)
}
