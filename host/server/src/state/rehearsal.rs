//! What a policy remembers in a run that is not to last: read from the store, written to memory.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_policy_host::{HostError, StateEntry, StateService};
use tokio::sync::Mutex;

use super::bucket::Bucket;
use super::{States, place};
use crate::clock;

/// The entries as they are, and as one run would leave them.
pub struct Rehearsal {
    states: Arc<States>,
    /// The records that the run touched. Held while one is read: a run makes one call at a time.
    touched: Mutex<HashMap<String, Bucket>>,
}

impl Rehearsal {
    /// On top of these.
    pub fn new(states: Arc<States>) -> Arc<Self> {
        Arc::new(Self { states, touched: Mutex::default() })
    }

    async fn with<T>(
        &self,
        tenant: &str,
        name: &str,
        work: impl FnOnce(&mut Bucket, u64) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let (path, _) = place(tenant, name);
        let mut touched = self.touched.lock().await;
        let mut bucket = match touched.get(&path) {
            Some(bucket) => bucket.clone(),
            None => self.states.read(&path).await?,
        };
        let answer = work(&mut bucket, clock::unix_ms())?;
        self.states.check_room(&bucket)?;
        touched.insert(path, bucket);
        Ok(answer)
    }
}

#[async_trait]
impl StateService for Rehearsal {
    async fn get(&self, tenant: &str, name: &str) -> Result<Option<StateEntry>, HostError> {
        self.with(tenant, name, |bucket, now| bucket.get(name, now)).await
    }

    async fn put(
        &self,
        tenant: &str,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Result<u64, HostError> {
        self.with(tenant, name, |bucket, now| bucket.put(name, value, ttl, expected, now)).await
    }

    async fn add(
        &self,
        tenant: &str,
        name: &str,
        amount: i64,
        ttl: Option<u64>,
    ) -> Result<i64, HostError> {
        self.with(tenant, name, |bucket, now| bucket.add(name, amount, ttl, now)).await
    }

    async fn remove(
        &self,
        tenant: &str,
        name: &str,
        expected: Option<u64>,
    ) -> Result<(), HostError> {
        self.with(tenant, name, |bucket, now| bucket.remove(name, expected, now)).await
    }
}

#[cfg(test)]
mod tests {
    use keyward_keyring::store::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_rehearsal_sees_its_own_writes_and_nobody_else_does() {
        let states = Arc::new(States::new(Arc::new(MemoryStore::default()), 1 << 20));
        let before = states.put("acme", "approved", b"yes", None, None).await.unwrap();
        states.add("acme", "count", 2, None).await.unwrap();
        let rehearsal = Rehearsal::new(Arc::clone(&states));
        let seen = rehearsal.get("acme", "approved").await.unwrap().unwrap();
        assert_eq!((seen.value.as_slice(), seen.revision), (&b"yes"[..], before));
        assert_eq!(rehearsal.add("acme", "count", 5, None).await.unwrap(), 7);
        let after = rehearsal.put("acme", "approved", b"no", None, Some(before)).await.unwrap();
        let clash = rehearsal.put("acme", "approved", b"no", None, Some(before)).await;
        assert!(matches!(clash, Err(HostError::Conflict(_))), "{clash:?}");
        let seen = rehearsal.get("acme", "approved").await.unwrap().unwrap();
        assert_eq!((seen.value.as_slice(), seen.revision), (&b"no"[..], after));
        rehearsal.remove("acme", "approved", Some(after)).await.unwrap();
        assert_eq!(rehearsal.get("acme", "approved").await.unwrap(), None);

        let kept = states.get("acme", "approved").await.unwrap().unwrap();
        assert_eq!((kept.value.as_slice(), kept.revision), (&b"yes"[..], before));
        assert_eq!(states.add("acme", "count", 0, None).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_rehearsal_has_as_much_room_as_there_is() {
        let states = Arc::new(States::new(Arc::new(MemoryStore::default()), 16 << 10));
        let rehearsal = Rehearsal::new(Arc::clone(&states));
        let full = rehearsal.put("acme", "large", &[7; 4096], None, None).await;
        assert!(full.is_err());
        assert_eq!(full.err(), states.put("acme", "large", &[7; 4096], None, None).await.err());
        assert!(rehearsal.put("acme", "large", &[7; 64], None, None).await.is_ok());
        assert!(states.put("acme", "small", &[7; 64], None, None).await.is_ok());
    }
}
