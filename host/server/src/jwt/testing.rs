//! An identity provider for tests: it has keys, publishes them in a file, and signs what it is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use super::{JwtConfig, Source};
use crate::clock;

pub(crate) const ISSUER: &str = "https://idp.test";
pub(crate) const AUDIENCE: &str = "keyward";

/// One signing key.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: EncodingKey,
    /// The public key, PEM: what an attacker has.
    pub(crate) public_pem: String,
    public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::ES256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Algorithm::EdDSA => KeyPair::generate_for(&PKCS_ED25519),
            _ => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let pair = pair.unwrap();
        let der = pair.serialize_der();
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&der),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            // PKCS #8 around PKCS #1, which begins there.
            _ => EncodingKey::from_rsa_der(&der[26..]),
        };
        let public = pair.public_key_raw().to_vec();
        Self { id, algorithm, key, public_pem: pair.public_key_pem(), public }
    }

    pub(crate) fn jwk(&self) -> Value {
        if self.algorithm == Algorithm::EdDSA {
            let x = URL_SAFE_NO_PAD.encode(&self.public);
            return json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.id });
        }
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.into());
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn header(&self) -> Header {
        Header { kid: Some(self.id.into()), ..Header::new(self.algorithm) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }
}

/// Publishes keys in a file.
pub(crate) fn publish(path: &Path, signers: &[&Signer]) {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    let (text, new) = (json!({ "keys": keys }).to_string(), path.with_extension("new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Claims that are good for ten minutes, with these beside or instead.
pub(crate) fn claims(more: &Value) -> Value {
    let now = clock::unix_ms() / 1_000;
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 600, "nbf": now,
        "tenant": "acme", "roles": [],
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// What fits all of that.
pub(crate) fn config(keys: PathBuf) -> JwtConfig {
    JwtConfig {
        issuer: ISSUER.into(),
        audience: vec![AUDIENCE.into(), "other-name".into()],
        source: Source::File(keys),
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        leeway: Duration::from_secs(30),
        subject_claim: "sub".into(),
        roles_claim: "roles".into(),
        tenant_claim: "tenant".into(),
        roles: vec![("idp-admin".into(), "tenant-admin".into())],
        operator_role: Some("idp-ops".into()),
        claims: None,
        refresh: Duration::from_hours(1),
        max_stale: Duration::from_hours(2),
    }
}
