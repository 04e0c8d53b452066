//! Encryption to a public key: HPKE (RFC 9180), base mode, single shot.
//!
//! HKDF-SHA-256 and AES-256-GCM with DHKEM(X25519, HKDF-SHA256), ML-KEM-768 or X-Wing, the latter
//! two as draft-ietf-hpke-pq has them. The authenticated data is the `info` of the key schedule, so
//! the key itself depends on it; the AEAD's own associated data is empty.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{MlKem768, X25519HkdfSha256, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::{Algorithm, CryptoError, KeyMaterial, random_bytes};

/// Bytes of the encapsulated key of each KEM.
pub(crate) const X25519_ENC_LEN: usize = 32;
pub(crate) const ML_KEM_768_ENC_LEN: usize = 1088;
pub(crate) const X_WING_ENC_LEN: usize = 1120;

/// The private half of a key that others encrypt to.
pub(crate) enum Recipient {
    X25519(Box<Pair<X25519HkdfSha256>>),
    MlKem768(Box<Pair<MlKem768>>),
    XWing(Box<Pair<XWing>>),
}

/// A key pair of one KEM.
pub(crate) struct Pair<K: Kem> {
    private: K::PrivateKey,
    public: K::PublicKey,
}

impl Recipient {
    /// [`CryptoError::KeyMaterialInvalid`] for an algorithm that has no recipients.
    pub(crate) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, CryptoError> {
        let secret = material.expose();
        match algorithm {
            Algorithm::X25519 => Pair::new(secret).map(Box::new).map(Self::X25519),
            Algorithm::MlKem768 => Pair::new(secret).map(Box::new).map(Self::MlKem768),
            Algorithm::X25519MlKem768 => Pair::new(secret).map(Box::new).map(Self::XWing),
            _ => None,
        }
        .ok_or(CryptoError::KeyMaterialInvalid { algorithm })
    }

    /// Appends `encapsulated key || ciphertext || tag` to `out`.
    pub(crate) fn seal_into(
        &self,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        match self {
            Self::X25519(pair) => pair.seal_into(aad, plaintext, out),
            Self::MlKem768(pair) => pair.seal_into(aad, plaintext, out),
            Self::XWing(pair) => pair.seal_into(aad, plaintext, out),
        }
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(crate) fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match self {
            Self::X25519(pair) => pair.open::<X25519_ENC_LEN>(aad, sealed),
            Self::MlKem768(pair) => pair.open::<ML_KEM_768_ENC_LEN>(aad, sealed),
            Self::XWing(pair) => pair.open::<X_WING_ENC_LEN>(aad, sealed),
        }
    }

    /// The public half, as HPKE serialises it.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        match self {
            Self::X25519(pair) => pair.public.to_bytes().to_vec(),
            Self::MlKem768(pair) => pair.public.to_bytes().to_vec(),
            Self::XWing(pair) => pair.public.to_bytes().to_vec(),
        }
    }
}

impl<K: Kem> Pair<K> {
    fn new(secret: &[u8]) -> Option<Self> {
        let private = K::PrivateKey::from_bytes(secret).ok()?;
        let public = K::sk_to_pk(&private);
        Some(Self { private, public })
    }

    fn seal_into(
        &self,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let mut random = Drawn::new()?;
        let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
            &OpModeS::Base,
            &self.public,
            aad,
            plaintext,
            &[],
            &mut random,
        )
        .map_err(|_| CryptoError::TooLong)?;
        random.was_enough()?;
        out.extend_from_slice(&encapsulated.to_bytes());
        out.extend_from_slice(&sealed);
        Ok(())
    }

    fn open<const ENC_LEN: usize>(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let invalid = CryptoError::CiphertextInvalid;
        let (encapsulated, sealed) = sealed.split_first_chunk::<ENC_LEN>().ok_or(invalid)?;
        let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| invalid)?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            aad,
            sealed,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| invalid)
    }
}

/// Random bytes drawn beforehand: the generators that `hpke` takes must not fail, the operating
/// system's may.
struct Drawn {
    bytes: Zeroizing<[u8; 128]>,
    used: usize,
}

impl Drawn {
    fn new() -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new([0; 128]);
        random_bytes(bytes.as_mut_slice())?;
        Ok(Self { bytes, used: 0 })
    }

    /// [`CryptoError::Random`] when more was asked for than was there: what was made is then to
    /// be thrown away.
    fn was_enough(&self) -> Result<(), CryptoError> {
        if self.used <= self.bytes.len() { Ok(()) } else { Err(CryptoError::Random) }
    }

    fn fill(&mut self, out: &mut [u8]) {
        let start = self.used;
        self.used = start.saturating_add(out.len());
        match self.bytes.get(start..self.used) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => self.used = usize::MAX,
        }
    }
}

impl TryRng for Drawn {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_random_bytes_do_not_go_unnoticed() {
        let mut drawn = Drawn::new().unwrap();
        drawn.fill(&mut [0; 128]);
        assert_eq!(drawn.was_enough(), Ok(()));
        drawn.fill(&mut [0; 1]);
        assert_eq!(drawn.was_enough(), Err(CryptoError::Random));
        drawn.fill(&mut [0; 1]);
        assert_eq!(drawn.was_enough(), Err(CryptoError::Random));
    }
}
