//! Key material on its way in or out, wrapped to a public key. The formats are in
//! `docs/ciphertext.md`.

pub(crate) mod key_wrap;

use crate::asymmetric::RsaOaepPublicKey;
use crate::binding::length_prefix;
use crate::recipient::hpke::HpkePublicKey;
use crate::{Algorithm, CryptoError, KeyMaterial, pem};

/// How material is wrapped, which the wrapping key's algorithm decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrapping {
    /// `CKM_RSA_AES_KEY_WRAP` of PKCS#11, RSA-OAEP with SHA-256: binds nothing but the key.
    RsaAesKeyWrap,
    /// HPKE with X25519.
    HpkeX25519,
    /// HPKE with ML-KEM-768.
    HpkeMlKem768,
    /// HPKE with X-Wing.
    HpkeX25519MlKem768,
}

impl Wrapping {
    /// The stable name, for example `rsa-aes-key-wrap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaAesKeyWrap => "rsa-aes-key-wrap",
            Self::HpkeX25519 => "hpke-x25519",
            Self::HpkeMlKem768 => "hpke-ml-kem-768",
            Self::HpkeX25519MlKem768 => "hpke-x25519-ml-kem-768",
        }
    }
}

/// What wrapped material is: with HPKE it unwraps only for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappingInfo<'a> {
    /// The tenant that has the key.
    pub tenant: &'a str,
    /// The key's name.
    pub key_name: &'a str,
    /// The key's algorithm.
    pub algorithm: Algorithm,
}

impl WrappingInfo<'_> {
    /// HPKE's `info`: `"keyward wrapped key v1" || 0x00 || lp(tenant) || lp(key name) ||
    /// lp(algorithm)`. [`CryptoError::TooLong`] for a name of 2^32 bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CryptoError> {
        let mut out = b"keyward wrapped key v1\0".to_vec();
        for part in [self.tenant, self.key_name, self.algorithm.name()] {
            out.extend_from_slice(&length_prefix(part.as_bytes())?);
            out.extend_from_slice(part.as_bytes());
        }
        Ok(out)
    }
}

/// A public key that key material is wrapped to, so that only the holder of the private half
/// gets it.
pub struct WrappingKey(Kind);

enum Kind {
    Rsa(Box<RsaOaepPublicKey>),
    Hpke(HpkePublicKey),
}

impl WrappingKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280), DER, of an RSA key of 2048 to 8192 bits or of an
    /// X25519, ML-KEM-768 or X-Wing key. [`CryptoError::WrappingKeyInvalid`] for anything else.
    pub fn from_der(der: &[u8]) -> Result<Self, CryptoError> {
        let hpke = || HpkePublicKey::from_der(der).map(Kind::Hpke);
        let rsa = || RsaOaepPublicKey::from_der(der).map(Box::new).map(Kind::Rsa);
        let kind = hpke().or_else(rsa);
        kind.map(Self).ok_or(CryptoError::WrappingKeyInvalid)
    }

    /// Reads the same in text form (RFC 7468), label `PUBLIC KEY`, one document and no more.
    pub fn from_pem(text: &str) -> Result<Self, CryptoError> {
        let der = pem::public_key_der(text).ok_or(CryptoError::WrappingKeyInvalid)?;
        Self::from_der(&der)
    }

    /// How it wraps.
    pub fn wrapping(&self) -> Wrapping {
        match self.0 {
            Kind::Rsa(_) => Wrapping::RsaAesKeyWrap,
            Kind::Hpke(HpkePublicKey::X25519(_)) => Wrapping::HpkeX25519,
            Kind::Hpke(HpkePublicKey::MlKem768(_)) => Wrapping::HpkeMlKem768,
            Kind::Hpke(HpkePublicKey::XWing(_)) => Wrapping::HpkeX25519MlKem768,
        }
    }

    /// `material`, for the holder of the private half alone.
    /// [`KeyVersion::unwrap_key`](crate::KeyVersion::unwrap_key) is the way back.
    /// [`CryptoError::WrappingKeyInvalid`] for a public key that agrees on nothing secret.
    pub fn wrap(
        &self,
        info: &WrappingInfo<'_>,
        material: &KeyMaterial,
    ) -> Result<Vec<u8>, CryptoError> {
        let (info, material) = (info.to_bytes()?, material.expose());
        let mut out = Vec::new();
        match &self.0 {
            Kind::Rsa(key) => return key_wrap::rsa_wrap(key, material),
            Kind::Hpke(key) => key.seal_into(&info, b"", material, &mut out),
        }
        .map_err(|error| match error {
            CryptoError::Random => error,
            _ => CryptoError::WrappingKeyInvalid,
        })?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
