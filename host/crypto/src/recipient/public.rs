//! A public key that is not Keyward's own, to encrypt to.

use super::hpke::HpkePublicKey;
use crate::CryptoError;

/// The public key of a recipient whose private half Keyward does not have: what is sealed to it, the
/// host itself cannot open.
pub struct RecipientKey(HpkePublicKey);

impl RecipientKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280), DER, of an X25519 (RFC 8410), ML-KEM-768 (RFC 9935)
    /// or X-Wing key (draft-connolly-cfrg-xwing-kem, called X25519-ML-KEM-768 here).
    /// [`CryptoError::RecipientKeyInvalid`] for anything else.
    pub fn from_der(der: &[u8]) -> Result<Self, CryptoError> {
        HpkePublicKey::from_der(der).map(Self).ok_or(CryptoError::RecipientKeyInvalid)
    }

    /// `encapsulated key || ciphertext || tag` of HPKE (RFC 9180), base mode, single shot, with
    /// HKDF-SHA-256 and AES-256-GCM: any implementation of it opens this with the private key, the
    /// same `info` and the same `aad`. [`CryptoError::RecipientKeyInvalid`] for a public key that
    /// agrees on nothing secret.
    pub fn seal(&self, info: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut out = Vec::new();
        self.0.seal_into(info, aad, plaintext, &mut out).map_err(|error| match error {
            CryptoError::Random => error,
            _ => CryptoError::RecipientKeyInvalid,
        })?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use hpke::aead::AesGcm256;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::{MlKem768, X25519HkdfSha256, XWing};
    use hpke::{Deserializable, OpModeR, Serializable};

    use super::super::hpke::{Pair, Scheme};
    use super::*;
    use crate::random_bytes;

    /// Sealed here, opened with the private key by the library, with no help of this crate.
    fn opens<K: Scheme>(secret_len: usize) {
        let mut secret = vec![0; secret_len];
        random_bytes(&mut secret).unwrap();
        let der = Pair::<K>::new(&secret).unwrap().public_key_der();
        let recipient = RecipientKey::from_der(&der).unwrap();
        let sealed = recipient.seal(b"info", b"aad", b"for you alone").unwrap();
        let private = K::PrivateKey::from_bytes(&secret).unwrap();
        let length = K::EncappedKey::size();
        let open = |info: &[u8], aad: &[u8], sealed: &[u8]| {
            let encapsulated = K::EncappedKey::from_bytes(&sealed[..length]).unwrap();
            hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
                &OpModeR::Base,
                &private,
                &encapsulated,
                info,
                &sealed[length..],
                aad,
            )
        };
        assert_eq!(open(b"info", b"aad", &sealed).unwrap(), b"for you alone");
        assert!(open(b"other", b"aad", &sealed).is_err());
        assert!(open(b"info", b"other", &sealed).is_err());
        let mut damaged = sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(open(b"info", b"aad", &damaged).is_err());
        assert_ne!(recipient.seal(b"info", b"aad", b"for you alone").unwrap(), sealed);
        for len in 0..der.len() {
            let cut = RecipientKey::from_der(&der[..len]).err();
            assert_eq!(cut, Some(CryptoError::RecipientKeyInvalid), "cut to {len}");
        }
    }

    #[test]
    fn the_private_key_opens_it_and_no_other_way() {
        opens::<X25519HkdfSha256>(32);
        opens::<MlKem768>(64);
        opens::<XWing>(32);
    }

    #[test]
    fn keys_that_agree_on_nothing_secret_are_refused() {
        // The points of low order of Curve25519 that a SubjectPublicKeyInfo can carry.
        for low in ["00", "01", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"]
        {
            let mut point = hex::decode(low).unwrap();
            point.resize(32, 0);
            let der = [X25519HkdfSha256::SPKI_PREFIX, &point].concat();
            let sealed = RecipientKey::from_der(&der).and_then(|key| key.seal(b"", b"", b"x"));
            assert_eq!(sealed, Err(CryptoError::RecipientKeyInvalid));
        }
    }
}
