//! What the cache keeps with a key: how old its metadata is, and its expanded versions.
//!
//! Every [`Key`](crate::Key) the cache gives away leads to its versions without another look-up.
//! The versions belong to the cache all the same: when the entry leaves it, they are let go of at
//! once, whoever still holds the key, and each wipes itself with its last user.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keyward_crypto::KeyVersion;

use super::life::{Life, millis};
use super::tenant::TenantState;
use crate::flight::Flights;
use crate::usage::KeyMeter;

/// One expanded version.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) number: u32,
    pub(crate) version: Arc<KeyVersion>,
    pub(crate) life: Arc<Life>,
}

/// The expanded versions of one key, across reloads of its metadata.
pub(crate) struct Keep {
    /// Which clearing of the caches this is younger than.
    epoch: u64,
    /// Something changed: what was loaded before is not to be used any more.
    revoked: AtomicBool,
    /// By number, rising; `None` once the entry has left the cache.
    slots: ArcSwapOption<Vec<Slot>>,
    /// The loads of versions that are under way.
    pub(crate) loads: Arc<Flights<u32, (), Arc<KeyVersion>>>,
    /// When the key was last looked up, in milliseconds of the caches' clock, to the second.
    used: AtomicU64,
    /// What counts the key's uses, once it was used.
    pub(crate) meter: OnceLock<Arc<KeyMeter>>,
}

impl Keep {
    pub(crate) fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            revoked: AtomicBool::new(false),
            slots: ArcSwapOption::from_pointee(Vec::new()),
            loads: Flights::new(),
            used: AtomicU64::new(0),
            meter: OnceLock::new(),
        })
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// From now on nothing that was loaded before is used.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
        self.close();
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::SeqCst)
    }

    /// Lets go of every version, for good.
    pub(crate) fn close(&self) {
        self.slots.store(None);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.slots.load().is_some()
    }

    /// The version, if it is here.
    pub(crate) fn slot(&self, number: u32) -> Option<Slot> {
        let slots = self.slots.load();
        let slots = slots.as_ref()?;
        let place = slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
        slots.get(place).cloned()
    }

    /// Keeps the version, unless the entry has left the cache.
    pub(crate) fn put(&self, slot: &Slot) {
        self.change(|slots| match slots.binary_search_by_key(&slot.number, |slot| slot.number) {
            Ok(place) => slots[place] = slot.clone(),
            Err(place) => slots.insert(place, slot.clone()),
        });
    }

    /// Lets go of the versions that do not pass.
    pub(crate) fn retain(&self, pass: impl Fn(&Slot) -> bool) {
        let failing = self.slots.load().as_ref().is_some_and(|slots| !slots.iter().all(&pass));
        if failing {
            self.change(|slots| slots.retain(&pass));
        }
    }

    /// Lets go of the versions whose time is up. Returns when that of the next one is.
    pub(crate) fn expire(&self, now: u64, window: Duration) -> Option<u64> {
        let end = |slot: &Slot| slot.life.expires.saturating_add(millis(window));
        self.retain(|slot| now < end(slot));
        self.slots.load().as_ref().and_then(|slots| slots.iter().map(end).min())
    }

    pub(crate) fn count(&self) -> usize {
        self.slots.load().as_ref().map_or(0, |slots| slots.len())
    }

    fn change(&self, change: impl Fn(&mut Vec<Slot>)) {
        self.slots.rcu(|slots| {
            slots.as_ref().map(|slots| {
                let mut slots = Vec::clone(slots);
                change(&mut slots);
                Arc::new(slots)
            })
        });
    }

    /// Notes a use. Only the first of a second writes, so that threads do not fight for the line.
    pub(crate) fn touch(&self, now: u64) {
        let second = now / 1000 * 1000;
        if self.used.load(Ordering::Relaxed) != second {
            self.used.store(second, Ordering::Relaxed);
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// How a key is known to the cache. It is no part of what the key is: any two are equal.
#[derive(Clone)]
pub(crate) struct Cached {
    pub(crate) life: Arc<Life>,
    pub(crate) keep: Arc<Keep>,
    pub(crate) tenant: Arc<TenantState>,
}

impl PartialEq for Cached {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cached {}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cached")
    }
}
