//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03). No provider but RustCrypto has it, so all use
//! that one, as with AES-SIV.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::CryptoError;
use crate::provider::TAG_LEN;

/// Bytes of an XChaCha20-Poly1305 nonce.
pub(crate) const NONCE_LEN: usize = 24;

/// XChaCha20-Poly1305 under one key.
pub(crate) struct XChaCha(XChaCha20Poly1305);

impl XChaCha {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(<&Key>::from(key)))
    }

    /// Appends `nonce || ciphertext || tag` to `out`.
    pub(crate) fn seal_into(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        out.extend_from_slice(nonce);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .0
            .encrypt_inout_detached(nonce.into(), aad, out[start..].as_mut().into())
            .map_err(|_| CryptoError::TooLong)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(crate) fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (nonce, rest) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::CiphertextInvalid)?;
        let (ciphertext, tag) =
            rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError::CiphertextInvalid)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        self.0
            .decrypt_inout_detached(nonce.into(), aad, plaintext.as_mut_slice().into(), tag.into())
            .map_err(|_| CryptoError::CiphertextInvalid)?;
        Ok(plaintext)
    }
}
