//! Signatures of policies: what is signed, by whom, and how a signature travels.
//!
//! A signer signs a statement, not the component alone: it names the tenant, so that a signature
//! made for one is of no use in another. docs/policies.md has its bytes. For an artefact of a registry
//! it is cosign's statement on the manifest, which names the component; its tenant if the signer
//! wrote so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::{Algorithm, CryptoError, PublicKey, SignatureForm};
use serde::{Deserialize, Serialize};

use crate::oci::{Component, simple_signing};

/// The header a signature travels in, as `KEYID:BASE64`.
pub const HEADER: &str = "keyward-policy-signature";
/// Bytes of an Ed25519 signature.
const SIGNATURE_LEN: usize = 64;

/// The bytes that a signer signs: four lines, none of whose values can have an end of line.
pub fn statement(tenant: &str, digest: &str, size: usize) -> Vec<u8> {
    format!("keyward policy signature v1\ntenant {tenant}\ndigest {digest}\nsize {size}\n").into()
}

/// Who signed, and the signature. Whether it is good is for a [`SignerKey`] to say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Signature {
    /// The id of the signer's key.
    pub keyid: String,
    /// Standard base64 of the 64 bytes (RFC 8032).
    pub signature: String,
    /// What was signed, if it is an artefact of a registry; else it is this program's statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<Artefact>,
}

/// What a signature of cosign's is about: what it takes to check it again without the registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Artefact {
    /// The bytes that are signed: a statement on the manifest's digest.
    pub statement: String,
    /// The manifest, which has the component's digest.
    pub manifest: String,
}

impl Artefact {
    /// Whether the signer says by it that this component is a policy for this tenant.
    fn is_about(&self, tenant: &str, digest: &str, size: usize) -> bool {
        let Ok(component) = Component::of_manifest(self.manifest.as_bytes()) else { return false };
        let manifest = crate::policies::ComponentDigest::of(self.manifest.as_bytes());
        component.digest == digest
            && u64::try_from(size) == Ok(component.size)
            && simple_signing::Statement::says(self.statement.as_bytes(), manifest.as_str(), tenant)
    }
}

impl Signature {
    /// Reads what a header carries.
    pub fn from_header(text: &str) -> Option<Self> {
        let (keyid, signature) = text.trim().split_once(':')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_keyid = keyid.len() == 32 && keyid.bytes().all(is_digit);
        let bytes = STANDARD.decode(signature).ok()?;
        (is_keyid && bytes.len() == SIGNATURE_LEN).then(|| Self {
            keyid: keyid.to_owned(),
            signature: signature.to_owned(),
            artefact: None,
        })
    }

    /// What a header carries.
    pub fn to_header(&self) -> String {
        format!("{}:{}", self.keyid, self.signature)
    }

    /// The signature of these bytes by the key of this id.
    pub fn new(keyid: String, signature: &[u8]) -> Self {
        Self { keyid, signature: STANDARD.encode(signature), artefact: None }
    }

    /// What it is called that is signed.
    pub fn form(&self) -> &'static str {
        if self.artefact.is_some() { "cosign" } else { "keyward" }
    }

    /// Whether it takes the place of another, of the same key.
    pub fn replaces(&self, other: &Self) -> bool {
        self.keyid == other.keyid && self.form() == other.form()
    }
}

/// The id of a public key: the first 16 bytes of the SHA-256 of its SubjectPublicKeyInfo, in
/// hexadecimal.
pub fn key_id(key: &PublicKey) -> String {
    hex::encode(&keyward_crypto::sha256(key.der())[..16])
}

/// A public key that signatures of policies are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerKey {
    key: PublicKey,
    id: String,
}

impl SignerKey {
    /// Reads an Ed25519 SubjectPublicKeyInfo in text form (RFC 7468).
    pub fn from_pem(pem: &str) -> Result<Self, CryptoError> {
        let key = PublicKey::from_pem(Algorithm::Ed25519, pem)?;
        let id = key_id(&key);
        Ok(Self { key, id })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same in text form, as this program writes it.
    pub fn pem(&self) -> String {
        self.key.pem()
    }

    /// Whether the signature is this key's, and says that this component is a policy for this tenant.
    pub fn verifies(&self, signature: &Signature, tenant: &str, digest: &str, size: usize) -> bool {
        if signature.keyid != self.id {
            return false;
        }
        match &signature.artefact {
            None => self.signed(&statement(tenant, digest, size), &signature.signature),
            Some(artefact) => {
                artefact.is_about(tenant, digest, size)
                    && self.signed(artefact.statement.as_bytes(), &signature.signature)
            }
        }
    }

    /// Whether this, in base64, is the key's signature of these bytes.
    pub fn signed(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        self.key.verify(bytes, &signature, SignatureForm::Standard).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_as_documented() {
        let text = String::from_utf8(statement("acme", "sha256:00", 7)).unwrap();
        let expected = "keyward policy signature v1\ntenant acme\ndigest sha256:00\nsize 7\n";
        assert_eq!(text, expected);
        let docs = include_str!("../../../../docs/policies.md");
        assert!(docs.contains("keyward policy signature v1\n"), "docs/policies.md tells another");
    }

    #[test]
    fn headers_are_read_strictly() {
        let (keyid, signature) = ("0a".repeat(16), STANDARD.encode([7; 64]));
        let text = format!("{keyid}:{signature}");
        let read = Signature::from_header(&text).unwrap();
        assert_eq!((&read.keyid, read.to_header()), (&keyid, text.clone()));
        for bad in [
            String::new(),
            keyid.clone(),
            signature.clone(),
            format!("{keyid}:"),
            format!(":{signature}"),
            format!("{}:{signature}", keyid.to_uppercase()),
            format!("{keyid}0:{signature}"),
            format!("{keyid}:{}", STANDARD.encode([7; 63])),
            format!("{keyid}:{}", STANDARD.encode([7; 65])),
            format!("{text}:"),
            format!("{text}, {text}"),
        ] {
            assert_eq!(Signature::from_header(&bad), None, "{bad}");
        }
    }
}
