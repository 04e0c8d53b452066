//! The secret bytes of a key version.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::algorithm::Family;
use crate::{Algorithm, CryptoError, asymmetric, memory, random_bytes};

/// The secret bytes of one key version, wiped when dropped. What they are depends on the key's
/// algorithm (see `docs/ciphertext.md`):
///
/// | algorithm | bytes |
/// |---|---|
/// | AEAD, AES-256-SIV, HMAC | 32 random bytes, never used directly: every subkey is derived |
/// | `ed25519`, `ml-dsa-65` | the 32-byte seed (RFC 8032; FIPS 204) |
/// | `ecdsa-*`, `rsa-*`, `rsa-oaep-*` | PKCS#8 v1 (RFC 5208), DER |
/// | `x25519` | the 32-byte private key (RFC 7748) |
/// | `ml-kem-768` | the 64-byte seed `d || z` (FIPS 203) |
/// | `x25519-ml-kem-768` | the 32-byte seed (X-Wing) |
pub struct KeyMaterial(Zeroizing<Box<[u8]>>);

impl KeyMaterial {
    /// Length in bytes of the material of symmetric keys.
    pub const SYMMETRIC_LEN: usize = 32;

    /// Fresh random material for a key of `algorithm`. For RSA it searches for primes, which
    /// takes from tenths of a second to several.
    pub fn generate(algorithm: Algorithm) -> Result<Self, CryptoError> {
        match Self::fixed_len(algorithm) {
            Some(length) => {
                let mut bytes = Zeroizing::new(vec![0; length].into_boxed_slice());
                random_bytes(&mut bytes)?;
                Ok(Self::kept(bytes))
            }
            None => asymmetric::generate_pkcs8(algorithm).map(Self::kept),
        }
    }

    /// Copies material of a key of `algorithm`, as read from a store or imported. The caller wipes
    /// its own copy.
    ///
    /// [`CryptoError::KeyLength`] for material of another length where that is fixed,
    /// [`CryptoError::KeyMaterialInvalid`] where it is a PKCS#8 document and this is none, or one
    /// of another kind of key.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        match Self::fixed_len(algorithm) {
            Some(expected) if bytes.len() != expected => {
                return Err(CryptoError::KeyLength { expected, actual: bytes.len() });
            }
            Some(_) => {}
            None => asymmetric::check_pkcs8(algorithm, bytes)?,
        }
        Ok(Self::kept(Zeroizing::new(bytes.into())))
    }

    /// Copies material that a caller brings. Besides what [`from_bytes`](Self::from_bytes) takes,
    /// that is the PKCS#8 document (RFC 8410, without the public key) of an Ed25519 or X25519
    /// key, as other tools write it.
    ///
    /// The errors of `from_bytes`, and [`CryptoError::KeyMaterialWeak`].
    pub fn import(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        let seed = pkcs8_prefix(algorithm).and_then(|prefix| bytes.strip_prefix(prefix));
        let bytes = seed.unwrap_or(bytes);
        let material = Self::from_bytes(algorithm, bytes)?;
        // Of those the check of a document finds the key itself wrong.
        if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
            return Err(CryptoError::KeyMaterialWeak);
        }
        Ok(material)
    }

    fn kept(bytes: Zeroizing<Box<[u8]>>) -> Self {
        memory::keep(&**bytes);
        Self(bytes)
    }

    /// The bytes, for writing them to a store.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The private key as a PKCS#8 document (RFC 5958), DER; `None` for material of a symmetric
    /// key. `algorithm` is what the material was made for.
    pub fn pkcs8(&self, algorithm: Algorithm) -> Option<Zeroizing<Vec<u8>>> {
        if !algorithm.is_asymmetric() {
            return None;
        }
        let prefix = pkcs8_prefix(algorithm).unwrap_or_default();
        let mut out = Zeroizing::new(Vec::with_capacity(prefix.len() + self.0.len()));
        out.extend_from_slice(prefix);
        out.extend_from_slice(&self.0);
        Some(out)
    }

    /// Whether both are the same bytes, found out in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Length of the material where the algorithm fixes it.
    const fn fixed_len(algorithm: Algorithm) -> Option<usize> {
        match algorithm.family() {
            Family::Aead | Family::Siv | Family::Mac => Some(Self::SYMMETRIC_LEN),
            Family::Signature | Family::Recipient => match algorithm {
                Algorithm::EcdsaP256
                | Algorithm::EcdsaP384
                | Algorithm::Rsa2048
                | Algorithm::Rsa3072
                | Algorithm::Rsa4096
                | Algorithm::RsaOaep2048
                | Algorithm::RsaOaep3072
                | Algorithm::RsaOaep4096 => None,
                Algorithm::MlKem768 => Some(64),
                _ => Some(32),
            },
        }
    }
}

/// What stands before the material in a PKCS#8 document (RFC 5958) of a key whose material has a
/// fixed length: RFC 8410 for the curves, the seed alone in RFC 9935 (ML-KEM) and RFC 9881
/// (ML-DSA), draft-connolly-cfrg-xwing-kem for X-Wing.
const fn pkcs8_prefix(algorithm: Algorithm) -> Option<&'static [u8]> {
    match algorithm {
        Algorithm::Ed25519 => {
            Some(b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20")
        }
        Algorithm::X25519 => {
            Some(b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20")
        }
        Algorithm::MlKem768 => Some(
            b"\x30\x54\x02\x01\x00\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x02\x04\x42\x80\x40",
        ),
        Algorithm::MlDsa65 => Some(
            b"\x30\x34\x02\x01\x00\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12\x04\x22\x80\x20",
        ),
        Algorithm::X25519MlKem768 => Some(
            b"\x30\x34\x02\x01\x00\x30\x0d\x06\x0b\x2b\x06\x01\x04\x01\x83\xe6\x2d\x81\xc8\x7a\x04\x20",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_documents_that_read_back() {
        for algorithm in Algorithm::ALL {
            let is_fast = KeyMaterial::fixed_len(algorithm).is_some();
            if !is_fast && !cfg!(feature = "aws-lc") || algorithm.name().ends_with("4096") {
                continue;
            }
            let material = KeyMaterial::generate(algorithm).unwrap();
            let Some(document) = material.pkcs8(algorithm) else {
                assert!(!algorithm.is_asymmetric());
                continue;
            };
            // One DER sequence of all the bytes.
            let (head, body) = match document[1] {
                0x82 => (4, usize::from(u16::from_be_bytes([document[2], document[3]]))),
                0x81 => (3, usize::from(document[2])),
                short => (2, usize::from(short)),
            };
            assert_eq!((document[0], head + body), (0x30, document.len()), "{algorithm}");
            let read = KeyMaterial::import(algorithm, &document).unwrap();
            assert_eq!(read.expose(), material.expose(), "{algorithm}");
        }
    }

    #[test]
    fn weak_material_is_not_imported() {
        for algorithm in Algorithm::ALL {
            let Some(length) = KeyMaterial::fixed_len(algorithm) else { continue };
            for byte in [0, 1, 0xff] {
                let error = KeyMaterial::import(algorithm, &vec![byte; length]).err();
                assert_eq!(error, Some(CryptoError::KeyMaterialWeak), "{algorithm}");
            }
            let mut good = vec![0; length];
            good[length - 1] = 1;
            assert_eq!(KeyMaterial::import(algorithm, &good).unwrap().expose(), good);
            let short = KeyMaterial::import(algorithm, &[]).err();
            assert_eq!(short, Some(CryptoError::KeyLength { expected: length, actual: 0 }));
        }
    }

    #[test]
    fn documents_of_rfc_8410_are_imported_for_their_curve() {
        let seed: Vec<u8> = (0..32).collect();
        for (algorithm, other) in
            [(Algorithm::Ed25519, Algorithm::X25519), (Algorithm::X25519, Algorithm::Ed25519)]
        {
            let document = [pkcs8_prefix(algorithm).unwrap(), &seed].concat();
            assert_eq!(KeyMaterial::import(algorithm, &document).unwrap().expose(), seed);
            assert!(KeyMaterial::import(other, &document).is_err());
            assert!(KeyMaterial::import(algorithm, &document[..47]).is_err());
            assert!(KeyMaterial::from_bytes(algorithm, &document).is_err());
        }
    }

    #[test]
    fn fixed_lengths_are_enforced() {
        for algorithm in Algorithm::ALL {
            let Some(expected) = KeyMaterial::fixed_len(algorithm) else { continue };
            for wrong in [0, expected - 1, expected + 1, 2 * expected] {
                let error = KeyMaterial::from_bytes(algorithm, &vec![0; wrong]).err();
                assert_eq!(error, Some(CryptoError::KeyLength { expected, actual: wrong }));
            }
            let one = KeyMaterial::generate(algorithm).unwrap();
            let two = KeyMaterial::generate(algorithm).unwrap();
            assert_eq!(one.expose().len(), expected);
            assert_ne!(one.expose(), two.expose());
            assert_ne!(one.expose(), vec![0; expected]);
            let copy = KeyMaterial::from_bytes(algorithm, one.expose()).unwrap();
            assert_eq!(copy.expose(), one.expose());
        }
    }

    #[cfg(feature = "aws-lc")]
    #[test]
    fn documents_are_of_their_algorithm_only() {
        // One RSA size is enough to generate; the others are told apart by it.
        let documents = [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Rsa2048]
            .map(|algorithm| (algorithm, KeyMaterial::generate(algorithm).unwrap()));
        for (made_for, material) in &documents {
            for algorithm in Algorithm::ALL {
                let read = KeyMaterial::from_bytes(algorithm, material.expose()).err();
                match KeyMaterial::fixed_len(algorithm) {
                    // Nothing in an RSA document says what it is for.
                    None if algorithm == *made_for
                        || (*made_for, algorithm)
                            == (Algorithm::Rsa2048, Algorithm::RsaOaep2048) =>
                    {
                        assert_eq!(read, None);
                    }
                    None => {
                        assert_eq!(read, Some(CryptoError::KeyMaterialInvalid { algorithm }));
                    }
                    Some(_) => assert!(matches!(read, Some(CryptoError::KeyLength { .. }))),
                }
            }
            let (&last, front) = material.expose().split_last().unwrap();
            for damaged in [front.to_vec(), [material.expose(), &[last]].concat(), vec![]] {
                let error = KeyMaterial::from_bytes(*made_for, &damaged).err();
                let algorithm = *made_for;
                assert_eq!(error, Some(CryptoError::KeyMaterialInvalid { algorithm }));
            }
        }
    }
}
