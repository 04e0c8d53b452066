//! AES-256-SIV (RFC 5297) with one component of associated data.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

use crate::CryptoError;

/// Bytes of the synthetic IV, which is also the tag.
pub(crate) const IV_LEN: usize = 16;

/// AES-256-SIV under one 512-bit key: first half for S2V, second for CTR.
pub(crate) struct Siv(Zeroizing<[u8; 64]>);

impl Siv {
    pub(crate) fn new(key: Zeroizing<[u8; 64]>) -> Self {
        Self(key)
    }

    fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new((&*self.0).into())
    }

    /// Appends `synthetic IV || ciphertext` to `out`.
    pub(crate) fn seal_into(
        &self,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let start = out.len();
        out.extend_from_slice(&[0; IV_LEN]);
        out.extend_from_slice(plaintext);
        let (iv, in_out) = out[start..].split_at_mut(IV_LEN);
        let tag = self
            .cipher()
            .encrypt_inout_detached([aad], in_out.into())
            .map_err(|_| CryptoError::TooLong)?;
        iv.copy_from_slice(&tag);
        Ok(())
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(crate) fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (iv, ciphertext) =
            sealed.split_first_chunk::<IV_LEN>().ok_or(CryptoError::CiphertextInvalid)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        self.cipher()
            .decrypt_inout_detached([aad], plaintext.as_mut_slice().into(), iv.into())
            .map_err(|_| CryptoError::CiphertextInvalid)?;
        Ok(plaintext)
    }
}
