//! Components as objects of a bucket that speaks S3's protocol, by the crate `object_store`.
//!
//! The object of a component is `<prefix>/<digest in hexadecimal>.wasm`. Credentials are found as
//! AWS's own tools find them, but for its files of profiles: in `AWS_ACCESS_KEY_ID` and
//! `AWS_SECRET_ACCESS_KEY`, from a web identity token, from the container's or the machine's
//! metadata. They are never shown, nor is what an answer of the bucket's says beside its code.

mod reason;
mod url;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};

use self::reason::{code_of, reason_of};
pub use self::url::BucketUrl;
use super::transport::Connector;
use super::{ComponentError, Place};
use crate::policies::ComponentDigest;
use crate::{clock, outbound};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one request may take: the largest component is some tens of MiB.
const REQUEST: Duration = Duration::from_secs(20);
/// A request is repeated so often, and not after so long.
const RETRIES: usize = 2;
const RETRY_FOR: Duration = Duration::from_secs(5);
/// After a failure, calls fail at once for so long: thousands of components that are asked for one
/// after the other do not each wait for a bucket that is away.
const PAUSE_MS: u64 = 2_000;
/// Larger than any component.
const MAX_BYTES: u64 = 1 << 30;

/// How a bucket is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    /// Which, and where in it.
    pub url: BucketUrl,
    /// Where S3's protocol is spoken; `None`: AWS.
    pub endpoint: Option<String>,
    /// `None`: as the environment says.
    pub region: Option<String>,
    /// Authorities of its certificate (PEM) instead of the system's.
    pub ca_cert: Option<PathBuf>,
}

impl BucketSettings {
    /// Files that hold credentials, as AWS's variables name them. The process has to be able to
    /// read them.
    pub fn credential_files() -> impl Iterator<Item = PathBuf> {
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
            .into_iter()
            .filter_map(std::env::var_os)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }
}

/// A bucket.
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    url: BucketUrl,
    /// Unix time in ms until which it is not asked.
    away_until: AtomicU64,
}

impl Bucket {
    /// No network yet. An error names the setting and is for the operator.
    pub fn open(settings: &BucketSettings) -> Result<Self, String> {
        let BucketSettings { url, endpoint, region, ca_cert } = settings;
        let authorities = ca_cert.as_deref().map(|path: &Path| ("policy.store.ca_cert", path));
        let client = outbound::builder(authorities)?
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            .build()
            .map_err(|error| format!("`policy.store.url`: cannot set up TLS: {error}"))?;
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&url.bucket)
            .with_http_connector(Connector::new(client))
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(1),
                    base: 2.0,
                },
                max_retries: RETRIES,
                retry_timeout: RETRY_FOR,
            });
        if let Some(endpoint) = endpoint {
            builder = builder
                .with_endpoint(endpoint.trim_end_matches('/'))
                .with_allow_http(endpoint.starts_with("http://"))
                // What speaks S3's protocol elsewhere seldom has a name for each bucket.
                .with_virtual_hosted_style_request(false);
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        // What it says may have a value of the environment in it.
        let store = builder.build().map_err(|_| {
            "`policy.store.url`: the bucket cannot be set up; see `policy.store.endpoint` and the \
             variables AWS_…"
                .to_owned()
        })?;
        Ok(Self::over(Arc::new(store), url.clone()))
    }

    fn over(store: Arc<dyn ObjectStore>, url: BucketUrl) -> Self {
        Self { store, url, away_until: AtomicU64::new(0) }
    }

    fn key(&self, name: &str) -> Key {
        match self.url.prefix.as_str() {
            "" => Key::from(name),
            prefix => Key::from(format!("{prefix}/{name}")),
        }
    }

    fn object(&self, digest: &ComponentDigest) -> Key {
        self.key(&format!("{}.wasm", digest.hex()))
    }

    /// Whether it lets this server in: asks for an object that is hardly there.
    pub async fn check(&self) -> Result<(), String> {
        match self.fetch(&self.key("keyward-check")).await {
            Ok(_) | Err(ComponentError::Unusable(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn fetch(&self, key: &Key) -> Result<Option<Bytes>, ComponentError> {
        self.ask()?;
        let found = match self.store.get(key).await {
            Ok(found) => found,
            Err(error) => return self.missing(&error).map(|()| None),
        };
        if found.meta.size > MAX_BYTES {
            let reason = format!("{key} in {} is larger than any component", self.url);
            return Err(ComponentError::Unusable(reason));
        }
        let bytes = found.bytes().await.map_err(|error| self.failed(&error))?;
        Ok(Some(bytes))
    }

    /// Refuses while it is not to be asked.
    fn ask(&self) -> Result<(), ComponentError> {
        if clock::unix_ms() < self.away_until.load(Ordering::Relaxed) {
            return Err(ComponentError::Away(format!("{} did not answer just now", self.url)));
        }
        Ok(())
    }

    /// An object that is not there is no failure, unless that is because the bucket is not.
    fn missing(&self, error: &object_store::Error) -> Result<(), ComponentError> {
        let is_missing = matches!(error, object_store::Error::NotFound { .. });
        if is_missing && code_of(error).as_deref() != Some("NoSuchBucket") {
            return Ok(());
        }
        Err(self.failed(error))
    }

    fn failed(&self, error: &object_store::Error) -> ComponentError {
        self.away_until.store(clock::unix_ms().saturating_add(PAUSE_MS), Ordering::Relaxed);
        let reason = format!("{} {}", self.url, reason_of(error));
        tracing::warn!(reason, "the bucket of components failed");
        ComponentError::Away(reason)
    }
}

#[async_trait]
impl Place for Bucket {
    async fn get(&self, digest: &ComponentDigest) -> Result<Option<Bytes>, ComponentError> {
        self.fetch(&self.object(digest)).await
    }

    async fn put(&self, digest: &ComponentDigest, wasm: &Bytes) -> Result<(), ComponentError> {
        self.ask()?;
        let payload = PutPayload::from_bytes(wasm.clone());
        let put = self.store.put(&self.object(digest), payload).await;
        put.map(drop).map_err(|error| self.failed(&error))
    }

    async fn delete(&self, digest: &ComponentDigest) -> Result<(), ComponentError> {
        self.ask()?;
        match self.store.delete(&self.object(digest)).await {
            Ok(()) => Ok(()),
            Err(error) => self.missing(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn url(text: &str) -> Option<BucketUrl> {
        text.parse().ok()
    }

    #[tokio::test]
    async fn objects_are_named_by_digest_below_the_prefix() {
        let memory = Arc::new(InMemory::new());
        let bucket = Bucket::over(memory.clone(), url("s3://bucket/a/b").unwrap());
        let wasm = Bytes::from_static(b"component");
        let digest = ComponentDigest::of(&wasm);
        assert_eq!(bucket.get(&digest).await.unwrap(), None);
        bucket.check().await.unwrap();
        bucket.put(&digest, &wasm).await.unwrap();
        let key = Key::from(format!("a/b/{}.wasm", digest.hex()));
        assert_eq!(memory.get(&key).await.unwrap().bytes().await.unwrap(), wasm);
        assert_eq!(bucket.get(&digest).await.unwrap(), Some(wasm));
        for _ in 0..2 {
            bucket.delete(&digest).await.unwrap();
            assert_eq!(bucket.get(&digest).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_does_not_answer_is_not_asked_again_at_once() {
        let settings = BucketSettings {
            url: url("s3://bucket/x").unwrap(),
            // Nobody listens there.
            endpoint: Some("http://127.0.0.1:9".into()),
            region: Some("eu-central-1".into()),
            ca_cert: None,
        };
        // What the environment may have is not there in a test; the metadata service neither.
        let bucket = Bucket::open(&settings).unwrap();
        bucket.away_until.store(u64::MAX, Ordering::Relaxed);
        let digest = ComponentDigest::of(b"");
        let asked = bucket.get(&digest).await;
        assert!(matches!(asked, Err(ComponentError::Away(reason)) if reason.contains("just now")));
    }
}
