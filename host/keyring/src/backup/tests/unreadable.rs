use async_trait::async_trait;

use super::*;
use crate::store::{Record, StoreError};

const LOST: &str = "tenants/demo/keys/mail/versions/1";

/// A store with one record that is damaged, as a Vault says it.
struct Damaged(Arc<MemoryStore>);

#[async_trait]
impl Store for Damaged {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        if path == LOST {
            let (path, reason) = (path.to_owned(), "no base64".to_owned());
            return Err(StoreError::CorruptedInVault { path, reason });
        }
        self.0.get(path).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        self.0.create(path, value).await
    }

    async fn replace(&self, path: &str, value: &[u8], at: u64) -> Result<u64, StoreError> {
        self.0.replace(path, value, at).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.0.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_record_that_is_damaged_in_vault_is_named_and_the_rest_is_saved() {
    let (owner, store) = (Owner::new(), populated().await);
    let (_, whole) = owner.back_up(&*store, &Scope::All).await;
    let (bytes, report) = owner.back_up(&Damaged(store), &Scope::All).await;
    assert_eq!(report.damaged, [LOST]);
    assert_eq!(report.summary.records, whole.summary.records - 1);
    assert!(owner.open(&bytes).await.is_ok());
}
