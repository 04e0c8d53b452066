//! AWS-LC through `aws-lc-rs`: the fast provider.

use std::marker::PhantomData;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};

use super::{AeadKey, HmacKey, Provider, sealed};
use crate::{CryptoError, Digest};

/// The fast provider.
pub enum AwsLc {}

impl sealed::Sealed for AwsLc {}

impl Provider for AwsLc {
    const NAME: &'static str = "aws-lc";
    type Aes256Gcm = AwsLcAead<Aes256Gcm>;
    type Aes256GcmSiv = AwsLcAead<Aes256GcmSiv>;
    type ChaCha20Poly1305 = AwsLcAead<ChaCha20Poly1305>;
    type HmacSha256 = AwsLcHmac<32>;
    type HmacSha384 = AwsLcHmac<48>;
    type HmacSha512 = AwsLcHmac<64>;

    fn sha256(data: &[u8]) -> [u8; 32] {
        to_array(digest::digest(&digest::SHA256, data).as_ref())
    }

    fn digest(digest: Digest, data: &[u8]) -> Vec<u8> {
        let function = match digest {
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha384 => &digest::SHA384,
            Digest::Sha512 => &digest::SHA512,
        };
        digest::digest(function, data).as_ref().to_vec()
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

fn to_array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// Names an AEAD of AWS-LC by type.
pub trait Cipher: sealed::Sealed + Send + Sync {
    /// The AEAD.
    const ALGORITHM: &'static aead::Algorithm;
}

macro_rules! ciphers {
    ($($name:ident = $algorithm:ident),+) => {$(
        #[doc = concat!("AWS-LC's `", stringify!($algorithm), "`.")]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Cipher for $name {
            const ALGORITHM: &'static aead::Algorithm = &aead::$algorithm;
        }
    )+};
}
ciphers!(
    Aes256Gcm = AES_256_GCM,
    Aes256GcmSiv = AES_256_GCM_SIV,
    ChaCha20Poly1305 = CHACHA20_POLY1305
);

/// An AEAD under one key. AWS-LC wipes the schedule when it is freed.
pub struct AwsLcAead<C>(LessSafeKey, PhantomData<fn() -> C>);

impl<C: Cipher> AeadKey for AwsLcAead<C> {
    fn expand(key: &[u8; 32]) -> Result<Self, CryptoError> {
        let key = UnboundKey::new(C::ALGORITHM, key).map_err(|_| CryptoError::Provider)?;
        Ok(Self(LessSafeKey::new(key), PhantomData))
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

/// HMAC under one key, with the hash of `N` bytes.
pub struct AwsLcHmac<const N: usize>(hmac::Key);

macro_rules! hmac_key {
    ($length:literal, $algorithm:ident) => {
        impl HmacKey<$length> for AwsLcHmac<$length> {
            fn expand(key: &[u8]) -> Self {
                Self(hmac::Key::new(hmac::$algorithm, key))
            }

            fn sign(&self, parts: &[&[u8]]) -> [u8; $length] {
                let mut context = hmac::Context::with_key(&self.0);
                for part in parts {
                    context.update(part);
                }
                to_array(context.sign().as_ref())
            }
        }
    };
}
hmac_key!(32, HMAC_SHA256);
hmac_key!(48, HMAC_SHA384);
hmac_key!(64, HMAC_SHA512);
