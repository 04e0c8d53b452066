//! Single-flight loads: whoever wants what is being loaded already waits for that load.
//!
//! A load is a task of its own. It ends, and its result is cached, even when everybody who waited
//! for it went away.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use crate::error::KeyringError;
use crate::origin;
use crate::store::StoreError;

/// A load under way.
pub(crate) type Loading<T> = Shared<BoxFuture<'static, Result<T, KeyringError>>>;

/// The loads under way, at most one per key. `G` is what a load caches its result under; see
/// [`Flights::cancel`].
pub(crate) struct Flights<K, G, T> {
    under_way: Mutex<HashMap<K, Flight<G, T>>>,
    next: AtomicU64,
}

struct Flight<G, T> {
    number: u64,
    under: G,
    loading: Loading<T>,
}

impl<K, G, T> Flights<K, G, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    G: Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::default(), next: AtomicU64::new(0) })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<K, Flight<G, T>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The load of `key` that is under way, or the one that `begin` describes, which then is.
    /// Call it within a tokio runtime.
    pub(crate) fn join<F>(self: &Arc<Self>, key: &K, begin: impl FnOnce() -> (G, F)) -> Loading<T>
    where
        F: Future<Output = Result<T, KeyringError>> + Send + 'static,
    {
        let mut under_way = self.under_way();
        if let Some(flight) = under_way.get(key) {
            return flight.loading.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { flights: Arc::clone(self), key: key.clone(), number };
        let (under, work) = begin();
        let (answer, answered) = oneshot::channel();
        tokio::spawn(origin::carried(async move {
            let result = work.await;
            drop(landing);
            let _ = answer.send(result);
        }));
        let loading = async move { answered.await.unwrap_or_else(|_| Err(interrupted())) };
        let loading = loading.boxed().shared();
        under_way.insert(key.clone(), Flight { number, under, loading: loading.clone() });
        loading
    }

    /// Lets nobody join the load of `key` that is under way, if there is one, and returns what it
    /// caches its result under. Those who joined before still get its result.
    pub(crate) fn cancel(&self, key: &K) -> Option<G> {
        self.under_way().remove(key).map(|flight| flight.under)
    }
}

fn interrupted() -> KeyringError {
    StoreError::Unavailable { reason: "the load was interrupted".to_owned() }.into()
}

/// Removes a flight when its task ends, in whatever way.
struct Landing<K: Eq + Hash, G, T> {
    flights: Arc<Flights<K, G, T>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, G, T> Drop for Landing<K, G, T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_join_share_one_load_and_those_after_a_cancellation_do_not() {
        let flights: Arc<Flights<u8, &str, u8>> = Flights::new();
        let (release, released) = oneshot::channel::<()>();
        let first = flights.join(&1, || {
            ("first", async {
                let _ = released.await;
                Ok(1)
            })
        });
        let joined = flights.join(&1, || ("never", async { Ok(9) }));
        assert_eq!(flights.cancel(&1), Some("first"));
        assert_eq!(flights.cancel(&1), None);
        let second = flights.join(&1, || ("second", async { Ok(2) }));
        assert_eq!(second.await.unwrap(), 2);
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), 1);
        assert_eq!(joined.await.unwrap(), 1);
        assert!(flights.under_way().is_empty());
    }

    #[tokio::test]
    async fn a_load_that_dies_is_an_error_once() {
        let flights: Arc<Flights<u8, (), u8>> = Flights::new();
        let dead = flights.join(&1, || ((), async { panic!("as the test wants") }));
        assert!(dead.await.unwrap_err().is_unavailable());
        assert_eq!(flights.join(&1, || ((), async { Ok(1) })).await.unwrap(), 1);
    }
}
