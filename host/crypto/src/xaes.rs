//! XAES-256-GCM (<https://c2sp.org/XAES-256-GCM>) and its key-committing form.

use std::marker::PhantomData;

use aes::Aes256Enc;
use aes::cipher::{Block, BlockCipherEncrypt, Key, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::CryptoError;
use crate::provider::{AeadKey, NONCE_LEN as GCM_NONCE_LEN, Provider, TAG_LEN};

/// Bytes of an XAES-256-GCM nonce.
pub(crate) const NONCE_LEN: usize = 24;
/// Bytes of the key commitment.
pub(crate) const COMMITMENT_LEN: usize = 32;
/// Bytes that [`CommittingXaes::seal_into`] appends besides the plaintext's length.
pub(crate) const OVERHEAD: usize = COMMITMENT_LEN + TAG_LEN;

/// XAES-256-GCM under one key: the AES key schedule and the CMAC subkey K1, computed once.
pub(crate) struct Xaes<P> {
    block_cipher: Aes256Enc,
    k1: Zeroizing<[u8; 16]>,
    provider: PhantomData<fn() -> P>,
}

impl<P: Provider> Xaes<P> {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let block_cipher = Aes256Enc::new(key.into());
        let mut l = Block::<Aes256Enc>::default();
        block_cipher.encrypt_block(&mut l);
        let k1 = double(&l.0);
        l.as_mut_slice().zeroize();
        Self { block_cipher, k1, provider: PhantomData }
    }

    /// The AES-256-GCM key and nonce of one message.
    pub(crate) fn derive(
        &self,
        nonce: &[u8; NONCE_LEN],
    ) -> Result<(P::Aes256Gcm, [u8; GCM_NONCE_LEN]), CryptoError> {
        let mut blocks = [Block::<Aes256Enc>::default(); 2];
        for (counter, block) in (1..).zip(&mut blocks) {
            block[1] = counter;
            block[2] = b'X';
            block[4..].copy_from_slice(&nonce[..12]);
            for (byte, k) in block.iter_mut().zip(self.k1.iter()) {
                *byte ^= k;
            }
        }
        self.block_cipher.encrypt_blocks(&mut blocks);
        let mut key = Zeroizing::new([0; 32]);
        for (half, block) in key.chunks_exact_mut(16).zip(&mut blocks) {
            half.copy_from_slice(block);
            block.as_mut_slice().zeroize();
        }
        Ok((P::Aes256Gcm::expand(&key)?, gcm_nonce(nonce)))
    }

    /// Encrypts `in_out` in place and returns the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let (key, gcm_nonce) = self.derive(nonce)?;
        key.seal(&gcm_nonce, aad, in_out)
    }

    /// Decrypts `in_out` in place.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CryptoError> {
        let (key, gcm_nonce) = self.derive(nonce)?;
        key.open(&gcm_nonce, aad, in_out, tag)
    }
}

/// The second half of a nonce: the nonce of AES-256-GCM under the key derived from the first.
pub(crate) fn gcm_nonce(nonce: &[u8; NONCE_LEN]) -> [u8; GCM_NONCE_LEN] {
    let mut half = [0; GCM_NONCE_LEN];
    half.copy_from_slice(&nonce[NONCE_LEN - GCM_NONCE_LEN..]);
    half
}

/// Doubling in GF(2^128) as NIST SP 800-38B, section 6.1 has it, without a branch on the secret.
fn double(l: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let value = u128::from_be_bytes(*l);
    let reduction = 0x87 & (value >> 127).wrapping_neg();
    Zeroizing::new(((value << 1) ^ reduction).to_be_bytes())
}

/// XAES-256-GCM with a key commitment: HMAC-SHA-256 of the nonce under a second subkey. A
/// ciphertext that opens under two different secrets would be a collision of SHA-256.
pub(crate) struct CommittingXaes<P> {
    xaes: Xaes<P>,
    commitment: Commitment,
}

/// HMAC-SHA-256 of nonces, as it is after the key. Of one block, what costs is not the hash but
/// what is around it: this takes half the time of AWS-LC's.
struct Commitment(Hmac<Sha256>);

impl Commitment {
    fn new(key: &[u8; 32]) -> Self {
        // A key shorter than the hash's block is padded with zeros, RFC 2104 section 2.
        let mut block = Key::<Hmac<Sha256>>::default();
        block[..key.len()].copy_from_slice(key);
        let keyed = Self(Hmac::new(&block));
        block.as_mut_slice().zeroize();
        keyed
    }

    fn of(&self, nonce: &[u8; NONCE_LEN]) -> [u8; COMMITMENT_LEN] {
        self.0.clone().chain_update(nonce).finalize().into_bytes().into()
    }
}

impl<P: Provider> CommittingXaes<P> {
    /// The two keys must come from one secret by a collision-resistant derivation.
    pub(crate) fn new(encryption: &[u8; 32], commitment: &[u8; 32]) -> Self {
        Self { xaes: Xaes::new(encryption), commitment: Commitment::new(commitment) }
    }

    /// What messages of a batch are sealed with.
    pub(crate) fn xaes(&self) -> &Xaes<P> {
        &self.xaes
    }

    /// Appends `nonce || commitment || ciphertext || tag` to `out`.
    pub(crate) fn seal_into(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        self.seal_by(nonce, plaintext, out, |in_out| self.xaes.seal(nonce, aad, in_out))
    }

    /// The same with what encrypts in place and gives the tag.
    pub(crate) fn seal_by(
        &self,
        nonce: &[u8; NONCE_LEN],
        plaintext: &[u8],
        out: &mut Vec<u8>,
        seal: impl FnOnce(&mut [u8]) -> Result<[u8; TAG_LEN], CryptoError>,
    ) -> Result<(), CryptoError> {
        out.extend_from_slice(nonce);
        out.extend_from_slice(&self.commitment.of(nonce));
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = seal(&mut out[start..])?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(crate) fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.open_by(sealed, |nonce, in_out, tag| self.xaes.open(nonce, aad, in_out, tag))
    }

    /// The same with what decrypts in place.
    pub(crate) fn open_by(
        &self,
        sealed: &[u8],
        open: impl FnOnce(&[u8; NONCE_LEN], &mut [u8], &[u8; TAG_LEN]) -> Result<(), CryptoError>,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(CryptoError::CiphertextInvalid)?;
        let (commitment, rest) =
            rest.split_first_chunk::<COMMITMENT_LEN>().ok_or(CryptoError::CiphertextInvalid)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(CryptoError::CiphertextInvalid)?;
        if !bool::from(self.commitment.of(nonce).ct_eq(commitment)) {
            return Err(CryptoError::CiphertextInvalid);
        }
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        open(nonce, &mut plaintext, tag)?;
        Ok(plaintext)
    }
}
