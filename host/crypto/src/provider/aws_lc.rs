//! AWS-LC through `aws-lc-rs`: the fast provider.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};

use super::{AeadKey, HmacKey, Provider, sealed};
use crate::CryptoError;

/// The fast provider.
pub enum AwsLc {}

impl sealed::Sealed for AwsLc {}

impl Provider for AwsLc {
    const NAME: &'static str = "aws-lc";
    type Aes256Gcm = AwsLcGcm;
    type HmacSha256 = hmac::Key;

    fn sha256(data: &[u8]) -> [u8; 32] {
        to_array(digest::digest(&digest::SHA256, data).as_ref())
    }

    fn hkdf_sha256(
        salt: &[u8],
        key: &[u8],
        info: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(key)
            .expand(&[info], OutputLength(out.len()))
            .and_then(|okm| okm.fill(out))
            .map_err(|_| CryptoError::TooLong)
    }
}

struct OutputLength(usize);

impl hkdf::KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

fn to_array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

/// AES-256-GCM under one key. AWS-LC wipes the schedule when it is freed.
pub struct AwsLcGcm(LessSafeKey);

impl AeadKey for AwsLcGcm {
    fn expand(key: &[u8; 32]) -> Result<Self, CryptoError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| CryptoError::Provider)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; 16], CryptoError> {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::from(nonce), Aad::from(aad), in_out)
            .map_err(|_| CryptoError::TooLong)?;
        tag.as_ref().try_into().map_err(|_| CryptoError::Provider)
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CryptoError> {
        self.0
            .open_in_place_separate_tag(Nonce::from(nonce), Aad::from(aad), tag, in_out)
            .map(|_| ())
            .map_err(|_| CryptoError::CiphertextInvalid)
    }
}

impl HmacKey for hmac::Key {
    fn expand(key: &[u8]) -> Self {
        Self::new(hmac::HMAC_SHA256, key)
    }

    fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(self);
        for part in parts {
            context.update(part);
        }
        to_array(context.sign().as_ref())
    }
}
