//! A store that counts, delays and fails on demand, over one that works.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::store::memory::MemoryStore;
use crate::store::{Record, Store, StoreError};

/// When writes stop working, as if the process had died.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Death {
    /// The failing write is not done.
    Before,
    /// The failing write is done, but nobody hears of it.
    After,
}

pub struct Probe {
    below: Arc<MemoryStore>,
    reads: Mutex<HashMap<String, usize>>,
    writes: Mutex<HashMap<String, usize>>,
    writes_left: AtomicI64,
    death: Death,
    pub delay: Duration,
    /// While it is a prefix of a path, the store is unavailable there; the empty one is everywhere.
    pub down: Mutex<Option<String>>,
    /// The next read of this path, once done, waits for the notification before it answers.
    pub hold: Mutex<Option<String>>,
    holding: Notify,
    pub release: Notify,
}

impl Probe {
    pub fn over(below: &Arc<MemoryStore>) -> Self {
        Self {
            below: below.clone(),
            reads: Mutex::default(),
            writes: Mutex::default(),
            writes_left: AtomicI64::new(i64::MAX),
            death: Death::Before,
            delay: Duration::ZERO,
            down: Mutex::default(),
            hold: Mutex::default(),
            holding: Notify::new(),
            release: Notify::new(),
        }
    }

    /// Lets `writes` writes pass and fails those after.
    pub fn dying(below: &Arc<MemoryStore>, writes: i64, death: Death) -> Self {
        Self { writes_left: AtomicI64::new(writes), death, ..Self::over(below) }
    }

    pub fn reads(&self, path: &str) -> usize {
        self.reads.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// How many writes of this path succeeded.
    pub fn writes(&self, path: &str) -> usize {
        self.writes.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// Waits until the read of the path in `hold` is held.
    pub async fn wait_held(&self) {
        tokio::time::timeout(Duration::from_secs(5), self.holding.notified()).await.unwrap();
    }

    pub fn set_down(&self, prefix: Option<&str>) {
        *self.down.lock().unwrap() = prefix.map(str::to_owned);
    }

    fn check_up(&self, path: &str) -> Result<(), StoreError> {
        let down = self.down.lock().unwrap();
        if down.as_ref().is_some_and(|prefix| path.starts_with(prefix.as_str())) {
            return Err(StoreError::Unavailable { reason: "down".to_owned() });
        }
        Ok(())
    }

    async fn write<T>(
        &self,
        path: &str,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        let left = self.writes_left.fetch_sub(1, Ordering::Relaxed);
        let dead = || StoreError::Unavailable { reason: "dead".to_owned() };
        if left < 0 || (left == 0 && self.death == Death::Before) {
            return Err(dead());
        }
        self.check_up(path)?;
        let result = write.await;
        if result.is_ok() {
            *self.writes.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        }
        if left == 0 { Err(dead()) } else { result }
    }
}

#[async_trait]
impl Store for Probe {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        *self.reads.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        tokio::task::yield_now().await;
        let up = self.check_up(path);
        let record = self.below.get(path).await;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let held = self.hold.lock().unwrap().take_if(|held| held == path).is_some();
        if held {
            self.holding.notify_one();
            self.release.notified().await;
        }
        up.and(record)
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        self.write(path, self.below.create(path, value)).await
    }

    async fn replace(&self, path: &str, value: &[u8], expected: u64) -> Result<u64, StoreError> {
        self.write(path, self.below.replace(path, value, expected)).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.write(path, self.below.delete(path)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.below.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.below.ping().await
    }
}
