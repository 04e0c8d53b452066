//! One registry: what is asked of it, and how its answers are held against digests.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::artefact::{self, Component, MANIFESTS};
use super::{Location, OciError, simple_signing};
use crate::policies::ComponentDigest;

/// Signatures of one artefact that are looked at.
const MAX_SIGNATURES: usize = 16;
/// The largest statement that is read, in bytes.
const MAX_STATEMENT: i64 = 8 << 10;
/// How long one thing that is asked of a registry may take: the largest component is some tens of MiB.
const PATIENCE: Duration = Duration::from_mins(1);

/// A registry, and who we are to it.
pub struct Registry {
    client: Client,
    auth: RegistryAuth,
    name: String,
    largest: u64,
}

/// An artefact.
pub struct Pulled {
    /// Its component.
    pub wasm: Bytes,
    /// Its manifest, as it was.
    pub manifest: String,
    /// Where it is, by its digest.
    pub at: Location,
}

/// A statement and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The bytes that are signed.
    pub statement: String,
    /// In base64.
    pub signature: String,
}

impl Registry {
    /// The registry of this artefact. Nothing is asked of it yet.
    pub(super) fn new(
        client: Client,
        location: &Location,
        auth: RegistryAuth,
        largest: usize,
    ) -> Self {
        let name = location.reference().resolve_registry().to_owned();
        Self { client, auth, name, largest: u64::try_from(largest).unwrap_or(u64::MAX) }
    }

    /// The artefact, its component included.
    pub async fn pull(&self, location: &Location) -> Result<Pulled, OciError> {
        let bytes = self.manifest(location.reference()).await?;
        let bytes = bytes.ok_or_else(|| OciError::NotFound(location.to_string()))?;
        let Component { digest, size } = Component::of_manifest(&bytes)?;
        let of = ComponentDigest::of(&bytes);
        if location.digest().is_some_and(|digest| digest != of.as_str()) {
            let reason = "what the registry gave is not the manifest of that digest";
            return Err(OciError::Invalid(reason.into()));
        }
        if size > self.largest {
            return Err(OciError::TooLarge { size, limit: self.largest });
        }
        let manifest = String::from_utf8(bytes.to_vec())
            .map_err(|_| OciError::Invalid("the manifest is not UTF-8".into()))?;
        let at = location.at_digest(of.as_str());
        let wasm = self.blob(at.reference(), &digest, size).await?;
        Ok(Pulled { wasm, manifest, at })
    }

    /// Statements on the artefact at this digest that have signatures, whosever they are.
    pub async fn signatures(&self, at: &Location) -> Result<Vec<Signed>, OciError> {
        let tag = at.at_tag(&simple_signing::tag(at.digest().unwrap_or_default()));
        let mut found = Vec::new();
        for layer in self.signature_layers(&tag).await? {
            let Some(signature) = signature_of(&layer).filter(|_| layer.size <= MAX_STATEMENT)
            else {
                continue;
            };
            let size = u64::try_from(layer.size).unwrap_or_default();
            let statement = self.blob(tag.reference(), &layer.digest, size).await?;
            if let Ok(statement) = String::from_utf8(statement.to_vec()) {
                found.push(Signed { statement, signature: signature.to_owned() });
            }
        }
        Ok(found)
    }

    async fn signature_layers(&self, tag: &Location) -> Result<Vec<OciDescriptor>, OciError> {
        let Some(bytes) = self.manifest(tag.reference()).await? else { return Ok(Vec::new()) };
        let mut layers = artefact::manifest(&bytes)?.layers;
        layers.retain(|layer| layer.media_type == simple_signing::MEDIA_TYPE);
        layers.truncate(MAX_SIGNATURES);
        Ok(layers)
    }

    /// Pushes an artefact with this component. Gives where it is, by its digest.
    pub async fn publish(&self, to: &Location, wasm: Bytes) -> Result<Location, OciError> {
        let component = ComponentDigest::of(&wasm);
        let (config, manifest) = artefact::of_component(component.as_str(), wasm.len());
        self.login(to).await?;
        self.put(to, wasm, component.as_str()).await?;
        self.put(to, config.bytes.into(), &config.digest).await?;
        self.put_manifest(to, manifest.bytes).await?;
        Ok(to.at_digest(&manifest.digest))
    }

    /// Adds signatures to those that the artefact at this digest has.
    pub async fn attach(&self, at: &Location, signed: Vec<Signed>) -> Result<(), OciError> {
        let tag = at.at_tag(&simple_signing::tag(at.digest().unwrap_or_default()));
        self.login(&tag).await?;
        let mut layers = self.signature_layers(&tag).await?;
        for Signed { statement, signature } in signed {
            let layer = artefact::of_statement(&statement, &signature);
            let is_same = |other: &OciDescriptor| {
                other.digest == layer.digest && signature_of(other) == Some(&signature)
            };
            if layers.iter().any(is_same) {
                continue;
            }
            self.put(&tag, statement.into(), &layer.digest).await?;
            layers.push(layer);
        }
        let (config, manifest) = artefact::of_signatures(layers);
        self.put(&tag, config.bytes.into(), &config.digest).await?;
        self.put_manifest(&tag, manifest.bytes).await
    }

    async fn login(&self, to: &Location) -> Result<(), OciError> {
        let login = self.client.auth(to.reference(), &self.auth, RegistryOperation::Push);
        self.within(login).await?.map(drop).map_err(|error| self.failed(&error))
    }

    /// Pushes what is not there yet.
    async fn put(&self, to: &Location, bytes: Bytes, digest: &str) -> Result<(), OciError> {
        let to = to.reference();
        let there = |found: Result<bool, _>| found.map_err(|error| self.failed(&error));
        if there(self.within(self.client.blob_exists(to, digest)).await?)? {
            return Ok(());
        }
        match self.within(self.client.push_blob(to, bytes, digest)).await? {
            Ok(_) => Ok(()),
            // Not every registry says where it put it, as it should.
            Err(error @ OciDistributionError::RegistryNoLocationError) => {
                let found = there(self.within(self.client.blob_exists(to, digest)).await?)?;
                found.then_some(()).ok_or_else(|| self.failed(&error))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn put_manifest(&self, to: &Location, bytes: Vec<u8>) -> Result<(), OciError> {
        let kind = axum::http::HeaderValue::from_static(oci_client::manifest::OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(to.reference(), bytes, kind);
        self.within(pushed).await?.map(drop).map_err(|error| self.failed(&error))
    }

    /// A manifest, as it is; `None` if there is none. Who asks holds it against a digest, or means a
    /// tag.
    async fn manifest(&self, reference: &Reference) -> Result<Option<Bytes>, OciError> {
        let pulled = self.client.pull_manifest_raw(reference, &self.auth, MANIFESTS);
        match self.within(pulled).await? {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// What a registry does in time.
    async fn within<T>(&self, done: impl Future<Output = T>) -> Result<T, OciError> {
        let late = |_| OciError::Unavailable {
            registry: self.name.clone(),
            reason: "timed out".to_owned(),
        };
        tokio::time::timeout(PATIENCE, done).await.map_err(late)
    }

    /// The bytes of a digest, at most so many, from where a manifest was pulled.
    async fn blob(&self, from: &Reference, digest: &str, size: u64) -> Result<Bytes, OciError> {
        self.within(self.read_blob(from, digest, size)).await?
    }

    async fn read_blob(
        &self,
        from: &Reference,
        digest: &str,
        size: u64,
    ) -> Result<Bytes, OciError> {
        let invalid = || {
            OciError::Invalid(format!("what the registry gave is not what has the digest {digest}"))
        };
        let stream = self.client.pull_blob_stream(from, digest).await;
        let mut stream = stream.map_err(|error| self.failed(&error))?.stream;
        let mut bytes = BytesMut::new();
        let broken = |error: std::io::Error| OciError::Unavailable {
            registry: self.name.clone(),
            reason: format!("its answer broke off ({})", error.kind()),
        };
        while let Some(piece) = stream.try_next().await.map_err(broken)? {
            bytes.extend_from_slice(&piece);
            if u64::try_from(bytes.len()).is_ok_and(|length| length > size) {
                return Err(invalid());
            }
        }
        let bytes = bytes.freeze();
        if ComponentDigest::of(&bytes).as_str() == digest { Ok(bytes) } else { Err(invalid()) }
    }

    /// In words of our own: what a registry answers may have anything in it.
    fn failed(&self, error: &OciDistributionError) -> OciError {
        let registry = self.name.clone();
        match reason(error) {
            Reason::Refused(reason) => OciError::Refused { registry, reason },
            Reason::Away(reason) => OciError::Unavailable { registry, reason },
        }
    }
}

/// Why a registry does not do what it is asked.
enum Reason {
    /// It will not do it next time either.
    Refused(String),
    /// It may do it later.
    Away(String),
}

impl Reason {
    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::credentials(),
            429 => Self::Away("too many requests".into()),
            500.. => Self::Away(format!("status {status}")),
            _ => Self::Refused(format!("status {status}")),
        }
    }

    fn credentials() -> Self {
        Self::Refused("the credentials for it are missing, or may not do this".into())
    }
}

fn reason(error: &OciDistributionError) -> Reason {
    match error {
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => Reason::credentials(),
        OciDistributionError::RegistryError { envelope, .. } => {
            match envelope.errors.first().map(|error| &error.code) {
                Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => Reason::credentials(),
                Some(OciErrorCode::Toomanyrequests) => Reason::of_status(429),
                Some(OciErrorCode::NameUnknown | OciErrorCode::BlobUnknown) => {
                    Reason::Refused("it has no such repository, or not these bytes".into())
                }
                _ => Reason::Refused("it finds the request wrong".into()),
            }
        }
        OciDistributionError::ServerError { code, .. } => Reason::of_status(*code),
        OciDistributionError::RequestError(error) => match error.status() {
            Some(status) => Reason::of_status(status.as_u16()),
            None if error.is_timeout() => Reason::Away("timed out".into()),
            None => Reason::Away("no connection".into()),
        },
        OciDistributionError::IoError(_) => Reason::Away("its answer broke off".into()),
        _ => Reason::Refused("it does not answer as a registry does".into()),
    }
}

fn signature_of(layer: &OciDescriptor) -> Option<&String> {
    layer.annotations.as_ref()?.get(simple_signing::ANNOTATION)
}

/// Whether there is no such manifest.
fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            let mut codes = envelope.errors.iter().map(|error| &error.code);
            codes.any(|code| {
                matches!(code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown)
            })
        }
        _ => false,
    }
}
