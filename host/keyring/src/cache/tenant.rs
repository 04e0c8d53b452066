//! What the cache knows of a tenant, shared by all its keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::life::{Life, millis};
use crate::names::TenantName;
use crate::outage::Outage;

/// Whether a tenant changed after a load of it began.
#[derive(Default)]
pub(crate) struct Outdated(Mutex<bool>);

impl Outdated {
    pub(crate) fn set(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Does it unless it is set, and lets nobody set it meanwhile. Returns whether it was done.
    pub(crate) fn unless(&self, act: impl FnOnce()) -> bool {
        let is_set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_set {
            act();
        }
        !*is_set
    }
}

/// Stands for no contract of the tenant's own.
const DEFAULT: u64 = u64::MAX;

/// One tenant. There is at most one of each name, so that a change of its contract reaches every
/// key.
pub(crate) struct TenantState {
    pub(crate) name: TenantName,
    pub(crate) life: ArcSwap<Life>,
    /// Look-ups of its keys.
    pub(crate) accesses: AtomicU64,
    /// How long to serve stale, in milliseconds.
    window: AtomicU64,
}

impl TenantState {
    pub(crate) fn new(name: TenantName, life: Life) -> Arc<Self> {
        let (accesses, window) = (AtomicU64::new(0), AtomicU64::new(DEFAULT));
        Arc::new(Self { name, life: ArcSwap::from_pointee(life), accesses, window })
    }

    pub(crate) fn set_outage(&self, outage: Option<Outage>) {
        let window = outage.map_or(DEFAULT, |outage| millis(outage.window()));
        self.window.store(window, Ordering::SeqCst);
    }

    /// How long beyond its time what is cached may serve while the store is unavailable.
    pub(crate) fn window(&self, default: Outage) -> Duration {
        match self.window.load(Ordering::SeqCst) {
            DEFAULT => default.window(),
            millis => Duration::from_millis(millis),
        }
    }
}
