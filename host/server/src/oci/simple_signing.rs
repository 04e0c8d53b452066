//! What cosign signs: a statement on an image's digest, in the form called simple signing.
//!
//! cosign's SIGNATURE_SPEC.md. The statement is kept and checked as the bytes that were signed.

use serde::{Deserialize, Serialize};

/// The statement's media type.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of a layer that is such a statement: its signature, in base64.
pub const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// The claim by which a statement is for one tenant of Keyward's alone.
pub const TENANT: &str = "keyward.tenant";
/// What kind of statement it is.
const KIND: &str = "cosign container image signature";

/// A statement.
#[derive(Debug, Deserialize, Serialize)]
pub struct Statement {
    critical: Critical,
    /// Claims of the signer's own.
    #[serde(default)]
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest", alias = "Docker-manifest-digest")]
    digest: String,
}

impl Statement {
    /// On the manifest with this digest in this repository; for one tenant alone, if one is named.
    pub fn new(repository: String, digest: String, tenant: Option<&str>) -> Self {
        let optional = tenant.map(|tenant| {
            let claim = (TENANT.to_owned(), serde_json::Value::from(tenant));
            serde_json::Map::from_iter([claim])
        });
        Self {
            critical: Critical {
                identity: Identity { reference: repository },
                image: Image { digest },
                kind: KIND.to_owned(),
            },
            optional,
        }
    }

    /// The bytes to sign.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings alone: cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether these bytes are a statement on the manifest with this digest, for this tenant or for
    /// all.
    pub fn says(bytes: &[u8], digest: &str, tenant: &str) -> bool {
        let Ok(this) = serde_json::from_slice::<Self>(bytes) else { return false };
        let only = this.optional.as_ref().and_then(|claims| claims.get(TENANT));
        this.critical.kind == KIND
            && this.critical.image.digest == digest
            && only.is_none_or(|only| only.as_str() == Some(tenant))
    }
}

/// The tag under which signatures of the manifest with this digest are.
pub fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cosigns() {
        let new = |tenant| Statement::new("r.example/a".into(), "sha256:00".into(), tenant);
        let bytes = new(None).to_bytes();
        let expected = r#"{"critical":{"identity":{"docker-reference":"r.example/a"},"image":{"docker-manifest-digest":"sha256:00"},"type":"cosign container image signature"},"optional":null}"#;
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert!(Statement::says(&bytes, "sha256:00", "acme"));
        assert!(!Statement::says(&bytes, "sha256:01", "acme"));
        let bytes = new(Some("acme")).to_bytes();
        assert!(Statement::says(&bytes, "sha256:00", "acme"));
        assert!(!Statement::says(&bytes, "sha256:00", "other"));
        let text = String::from_utf8(bytes).unwrap();
        for other in [
            text.replace("\"acme\"", "7"),
            text.replace(KIND, "atomic container signature"),
            text.replace("docker-manifest-digest", "digest"),
            format!("{text}x"),
            String::new(),
        ] {
            assert!(!Statement::says(other.as_bytes(), "sha256:00", "acme"), "{other}");
        }
        assert_eq!(tag("sha256:0a"), "sha256-0a.sig");
    }
}
