//! A store in memory, for tests and for tools that try things out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Record, Store, StoreError, check_path, check_prefix, check_value};

/// A store that lives as long as its value. It keeps nothing, so it is no place for keys
/// that anybody needs again.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, (u64, Zeroizing<Vec<u8>>)>,
    sequence: u64,
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, path: &str, value: &[u8]) -> u64 {
        self.sequence += 1;
        let value = Zeroizing::new(value.to_vec());
        self.records.insert(path.to_owned(), (self.sequence, value));
        self.sequence
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        check_path(path)?;
        let state = self.state();
        let found = state.records.get(path);
        Ok(found.map(|(revision, value)| Record { value: value.clone(), revision: *revision }))
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        check_path(path)?;
        check_value(value)?;
        let mut state = self.state();
        if state.records.contains_key(path) {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        Ok(state.put(path, value))
    }

    async fn replace(
        &self,
        path: &str,
        value: &[u8],
        expected_revision: u64,
    ) -> Result<u64, StoreError> {
        check_path(path)?;
        check_value(value)?;
        let mut state = self.state();
        let found = state.records.get(path).map(|(revision, _)| *revision);
        if found != Some(expected_revision) {
            let path = path.to_owned();
            return Err(StoreError::RevisionMismatch { path, expected: expected_revision, found });
        }
        Ok(state.put(path, value))
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        check_path(path)?;
        self.state().records.remove(path);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = check_prefix(prefix)?;
        let state = self.state();
        let mut children: Vec<String> = state
            .records
            .keys()
            .filter_map(|path| path.strip_prefix(&folder))
            .map(|below| match below.split_once('/') {
                Some((name, _)) => format!("{name}/"),
                None => below.to_owned(),
            })
            .collect();
        children.sort_unstable();
        children.dedup();
        Ok(children)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn conforms() {
        super::super::conformance::check(Arc::new(MemoryStore::default()), "suite").await;
    }
}
