//! The meters of all keys in use, and what they counted that is not in the store yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyward_crypto::KeyId;

use super::meter::KeyMeter;
use super::tally::KeyUsage;
use crate::names::{KeyName, TenantName};

const SHARDS: usize = 16;

/// The most keys that are neither cached nor flushed, in each shard. A store that takes no usage
/// records, while other reads go on, would fill the memory otherwise.
const MAX_WAITING: usize = 8_192;

/// Whose meters: a name may belong to one key after another, an id never does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantName,
    pub(crate) name: KeyName,
    pub(crate) id: KeyId,
}

/// Counts that are written as one.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) usage: KeyUsage,
}

#[derive(Default)]
struct Entry {
    meter: Arc<KeyMeter>,
    /// Taken out of the meter.
    taken: KeyUsage,
    /// Its write was begun, and how that ended is not known.
    doubt: Option<Batch>,
    /// The last batch known to be written.
    written: u64,
    /// A flush is under way.
    busy: bool,
}

impl Entry {
    fn has_work(&mut self) -> bool {
        self.meter.take(&mut self.taken);
        self.doubt.is_some() || !self.taken.is_empty()
    }

    /// Everything counted of which `applied`, the last batch in the store, has nothing.
    fn unwritten(&self, applied: u64) -> KeyUsage {
        let mut all = self.taken.clone();
        self.meter.peek(&mut all);
        if let Some(doubt) = self.doubt.as_ref().filter(|doubt| doubt.number > applied) {
            all.merge(&doubt.usage);
        }
        all
    }
}

/// See the module.
pub(crate) struct Meters {
    /// This keyring, among those over one store.
    pub(crate) host: String,
    /// Numbers of batches, of all keys: a key that is forgotten and comes back goes on above what it
    /// had.
    batches: AtomicU64,
    shards: [Mutex<HashMap<Owner, Entry>>; SHARDS],
    /// Messages that were counted and given up.
    lost: AtomicU64,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            host: format!("{:016x}", fastrand::u64(..)),
            batches: AtomicU64::new(0),
            shards: Default::default(),
            lost: AtomicU64::new(0),
        }
    }

    fn shard(&self, id: KeyId) -> MutexGuard<'_, HashMap<Owner, Entry>> {
        // Ids are random.
        let place = usize::try_from(id.0 % SHARDS as u64).unwrap_or_default();
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The meters of the key.
    pub(crate) fn of(&self, owner: Owner) -> Arc<KeyMeter> {
        self.shard(owner.id).entry(owner).or_default().meter.clone()
    }

    /// The keys of which something is not in the store.
    pub(crate) fn waiting(&self) -> Vec<Owner> {
        let mut waiting = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (owner, entry) in shard.iter_mut() {
                if entry.has_work() {
                    waiting.push(owner.clone());
                }
            }
        }
        waiting
    }

    /// Begins a flush of the key, unless one is under way. [`end`](Self::end) has to follow.
    pub(crate) fn begin(&self, owner: &Owner) -> bool {
        let mut shard = self.shard(owner.id);
        let Some(entry) = shard.get_mut(owner).filter(|entry| !entry.busy) else { return false };
        entry.busy = true;
        true
    }

    /// The next batch to write, now that the store is known to have batches up to `applied` of
    /// this host's. `None` when all is written.
    pub(crate) fn next(&self, owner: &Owner, applied: u64) -> Option<Batch> {
        let mut shard = self.shard(owner.id);
        let entry = shard.get_mut(owner)?;
        if let Some(doubt) = entry.doubt.take() {
            if doubt.number > applied {
                entry.taken.merge(&doubt.usage);
            } else {
                entry.written = doubt.number;
            }
        }
        if !entry.has_work() {
            return None;
        }
        let number = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        let batch = Batch { number, usage: std::mem::take(&mut entry.taken) };
        entry.doubt = Some(batch.clone());
        Some(batch)
    }

    /// The batch given last was written.
    pub(crate) fn written(&self, owner: &Owner) {
        let mut shard = self.shard(owner.id);
        if let Some(entry) = shard.get_mut(owner)
            && let Some(doubt) = entry.doubt.take()
        {
            entry.written = doubt.number;
        }
    }

    /// Ends a flush of the key.
    pub(crate) fn end(&self, owner: &Owner) {
        if let Some(entry) = self.shard(owner.id).get_mut(owner) {
            entry.busy = false;
        }
    }

    /// Gives up what was counted of a key that is no more.
    pub(crate) fn discard(&self, owner: &Owner) {
        if let Some(entry) = self.shard(owner.id).get_mut(owner) {
            (entry.taken, entry.doubt) = Default::default();
            entry.meter.take(&mut KeyUsage::default());
        }
    }

    /// What is counted here and not in a record that has batches up to `applied` of this host's;
    /// `None` when the record is older than what was written since.
    pub(crate) fn beyond(&self, owner: &Owner, applied: u64) -> Option<KeyUsage> {
        let shard = self.shard(owner.id);
        let Some(entry) = shard.get(owner) else { return Some(KeyUsage::default()) };
        (applied >= entry.written).then(|| entry.unwritten(applied))
    }

    /// Forgets the keys that nobody uses and of which everything is written, and, if too many
    /// wait for the store, those beyond that.
    pub(crate) fn tidy(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let mut waiting = 0;
            shard.retain(|_, entry| {
                // Who shares the meter is the cache, or somebody who is about to count.
                let Some(meter) = Arc::get_mut(&mut entry.meter).filter(|_| !entry.busy) else {
                    return true;
                };
                let is_written = entry.doubt.is_none() && entry.taken.is_empty();
                if is_written && meter.is_done() {
                    return false;
                }
                waiting += 1;
                if waiting > MAX_WAITING {
                    let messages = entry.unwritten(0).messages();
                    self.lost.fetch_add(messages, Ordering::Relaxed);
                    return false;
                }
                true
            });
        }
    }

    /// How many messages are counted here and not in the store, and of how many keys.
    pub(crate) fn unwritten(&self) -> (u64, u64) {
        let (mut messages, mut keys) = (0_u64, 0);
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in shard.values() {
                let usage = entry.unwritten(0);
                messages = messages.saturating_add(usage.messages());
                keys += u64::from(!usage.is_empty());
            }
        }
        (messages, keys)
    }

    /// How many messages were counted and given up.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: u64) -> Owner {
        Owner { tenant: "demo".parse().unwrap(), name: "orders".parse().unwrap(), id: KeyId(id) }
    }

    #[test]
    fn what_waits_for_the_store_is_bounded() {
        let meters = Meters::new();
        let many = u64::try_from(MAX_WAITING).unwrap() + 5;
        for id in 0..many {
            meters.of(owner(id * SHARDS as u64)).version(1).opened();
        }
        assert_eq!(meters.waiting().len(), MAX_WAITING + 5);
        meters.tidy();
        assert_eq!((meters.waiting().len(), meters.lost()), (MAX_WAITING, 5));
        assert_eq!(meters.unwritten(), (many - 5, many - 5));
    }

    #[test]
    fn what_is_written_and_unused_is_forgotten() {
        let meters = Meters::new();
        let held = meters.of(owner(1));
        held.version(1).opened();
        drop(meters.of(owner(2)));
        meters.tidy();
        let count = || meters.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        assert_eq!(count(), 1);
        drop(held);
        meters.tidy();
        assert_eq!(count(), 1, "it is not written");
        assert_eq!(meters.waiting(), [owner(1)]);
        meters.next(&owner(1), 0).unwrap();
        meters.tidy();
        assert_eq!(count(), 1, "its write is in doubt");
        meters.written(&owner(1));
        meters.tidy();
        assert_eq!(count(), 0);
    }
}
