//! The key store, with how long each call takes, and a span of each in traced requests.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_keyring::store::{Record, Store, StoreError};
use tracing::Instrument;

use crate::metrics::{Stopwatch, StoreCall};
use crate::traces;

/// A store whose calls are timed. What is asked for is not noted: paths name tenants and keys.
pub struct Observed(Arc<dyn Store>);

impl Observed {
    /// The same store, timed.
    pub fn over(store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self(store))
    }
}

async fn timed<T>(call: StoreCall, work: impl Future<Output = T>) -> T {
    let watch = Stopwatch::start();
    let done = work.instrument(traces::store(call.label())).await;
    call.observe(watch.elapsed());
    done
}

#[async_trait]
impl Store for Observed {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        timed(StoreCall::Read, self.0.get(path)).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        timed(StoreCall::Write, self.0.create(path, value)).await
    }

    async fn replace(&self, path: &str, value: &[u8], expected: u64) -> Result<u64, StoreError> {
        timed(StoreCall::Write, self.0.replace(path, value, expected)).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        timed(StoreCall::Write, self.0.delete(path)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        timed(StoreCall::List, self.0.list(prefix)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }
}
