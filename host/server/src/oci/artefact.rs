//! The form of an artefact: one WebAssembly component.
//!
//! What the CNCF's working group for WebAssembly agreed on, as `wkg`, Spin and wasmCloud do; of what
//! came before, layers under two other names are taken as well.

use std::collections::BTreeMap;

use oci_client::manifest::{
    IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest,
};
use serde_json::json;

use super::OciError;
use super::simple_signing;
use crate::clock;
use crate::policies::ComponentDigest;

/// Manifests that are asked for.
pub const MANIFESTS: &[&str] = &[OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE];
/// The largest manifest that is read, in bytes. It is kept with the signatures of its component.
pub const MAX_MANIFEST: usize = 16 << 10;
/// A layer that is a component.
const WASM: &str = "application/wasm";
/// The same before there was an agreement.
const WASM_BEFORE: [&str; 2] = [
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A component, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// `sha256:` and its digest in hexadecimal.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

impl Component {
    /// The one component of the manifest in these bytes.
    pub fn of_manifest(bytes: &[u8]) -> Result<Self, OciError> {
        let manifest = manifest(bytes)?;
        let is_wasm = |layer: &&OciDescriptor| {
            layer.media_type == WASM || WASM_BEFORE.contains(&layer.media_type.as_str())
        };
        let mut layers = manifest.layers.iter().filter(is_wasm);
        let (Some(layer), None) = (layers.next(), layers.next()) else {
            let reason = format!("the artefact must have exactly one layer of type {WASM}");
            return Err(OciError::Invalid(reason));
        };
        let (Ok(digest), Ok(size)) =
            (layer.digest.parse::<ComponentDigest>(), u64::try_from(layer.size))
        else {
            return Err(OciError::Invalid("the layer's digest or size makes no sense".into()));
        };
        Ok(Self { digest: digest.to_string(), size })
    }
}

/// The manifest in these bytes.
pub fn manifest(bytes: &[u8]) -> Result<OciImageManifest, OciError> {
    if bytes.len() > MAX_MANIFEST {
        let reason = format!("the manifest is larger than {MAX_MANIFEST} bytes");
        return Err(OciError::Invalid(reason));
    }
    let invalid = |_| OciError::Invalid("there is no manifest of a single artefact".into());
    let manifest: OciImageManifest = serde_json::from_slice(bytes).map_err(invalid)?;
    if manifest.schema_version != 2 {
        return Err(OciError::Invalid("the manifest's schemaVersion is not 2".into()));
    }
    Ok(manifest)
}

/// A document with its digest, ready to be pushed.
pub struct Document {
    pub bytes: Vec<u8>,
    pub digest: String,
}

impl Document {
    fn new(bytes: Vec<u8>) -> Self {
        let digest = ComponentDigest::of(&bytes).to_string();
        Self { bytes, digest }
    }

    fn descriptor(&self, media_type: &str) -> OciDescriptor {
        descriptor(media_type, &self.digest, self.bytes.len())
    }
}

fn descriptor(media_type: &str, digest: &str, size: usize) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_owned(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

fn image(config: OciDescriptor, layers: Vec<OciDescriptor>) -> Document {
    let manifest = OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config,
        layers,
        ..OciImageManifest::default()
    };
    // Strings and numbers alone: cannot fail.
    Document::new(serde_json::to_vec(&manifest).unwrap_or_default())
}

/// Config and manifest of an artefact with this component.
pub fn of_component(digest: &str, size: usize) -> (Document, Document) {
    let config = json!({
        "created": clock::rfc3339(clock::unix_ms()),
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [digest],
    });
    let config = Document::new(config.to_string().into_bytes());
    let layers = vec![descriptor(WASM, digest, size)];
    let manifest = image(config.descriptor(WASM_CONFIG), layers);
    (config, manifest)
}

/// Statements of cosign's, each with its signature, as layers of an image: config and manifest.
pub fn of_signatures(layers: Vec<OciDescriptor>) -> (Document, Document) {
    let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = json!({
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    let config = Document::new(config.to_string().into_bytes());
    let manifest = image(config.descriptor(IMAGE_CONFIG), layers);
    (config, manifest)
}

/// The layer of a statement.
pub fn of_statement(statement: &str, signature: &str) -> OciDescriptor {
    let digest = ComponentDigest::of(statement.as_bytes());
    let signature = (simple_signing::ANNOTATION.to_owned(), signature.to_owned());
    OciDescriptor {
        annotations: Some(BTreeMap::from([signature])),
        ..descriptor(simple_signing::MEDIA_TYPE, digest.as_str(), statement.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_layers(layers: &[(&str, &str, i64)]) -> Vec<u8> {
        let layers: Vec<_> = layers
            .iter()
            .map(
                |(kind, digest, size)| json!({ "mediaType": kind, "digest": digest, "size": size }),
            )
            .collect();
        let config = json!({ "mediaType": WASM_CONFIG, "digest": "sha256:00", "size": 2 });
        json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string().into_bytes()
    }

    #[test]
    fn what_is_published_is_what_is_pulled() {
        let digest = ComponentDigest::of(b"component");
        let (config, manifest) = of_component(digest.as_str(), 9);
        let component = Component::of_manifest(&manifest.bytes).unwrap();
        assert_eq!(component, Component { digest: digest.to_string(), size: 9 });
        let read = super::manifest(&manifest.bytes).unwrap();
        assert_eq!(
            (read.config.digest, read.config.media_type.as_str()),
            (config.digest, WASM_CONFIG)
        );
        assert_eq!(manifest.digest, ComponentDigest::of(&manifest.bytes).to_string());
    }

    #[test]
    fn an_artefact_is_one_component() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for kind in [WASM, WASM_BEFORE[0], WASM_BEFORE[1]] {
            let more = with_layers(&[(kind, &digest, 7), ("text/plain", "sha256:00", 1)]);
            assert_eq!(Component::of_manifest(&more).unwrap().size, 7, "{kind}");
        }
        let far = format!("sha512:{}", "0a".repeat(64));
        for bad in [
            with_layers(&[]),
            with_layers(&[("application/vnd.oci.image.layer.v1.tar", &digest, 7)]),
            with_layers(&[(WASM, &digest, 7), (WASM_BEFORE[0], &digest, 7)]),
            with_layers(&[(WASM, &digest, -1)]),
            with_layers(&[(WASM, &far, 7)]),
            b"{}".to_vec(),
            br#"{"schemaVersion":2,"manifests":[]}"#.to_vec(),
            vec![b' '; MAX_MANIFEST + 1],
        ] {
            let refused = Component::of_manifest(&bad);
            assert!(matches!(refused, Err(OciError::Invalid(_))), "{refused:?}");
        }
    }
}
