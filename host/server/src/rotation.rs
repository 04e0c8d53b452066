//! Brings the counts of use to the store, and rotates keys that are due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use keyward_keyring::{RotationCause, Rotations};

use crate::app::App;
use crate::clock;
use crate::config::RotationConfig;

/// Pause before it is looked again whether the start is over.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest the last flush may take. What is not in the store by then is not counted.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// What was rotated without a call, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    schedule: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    /// Of the last flush: the bits of an `f64`.
    budget_spent: AtomicU64,
}

impl Counters {
    fn of(&self, cause: RotationCause) -> Option<&AtomicU64> {
        match cause {
            RotationCause::Schedule => Some(&self.schedule),
            RotationCause::Messages => Some(&self.messages),
            RotationCause::Bytes => Some(&self.bytes),
            _ => None,
        }
    }

    fn note(&self, rotations: &Rotations) {
        for rotated in &rotations.rotated {
            if let Some(counter) = self.of(rotated.cause) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.failures.fetch_add(rotations.failures.len() as u64, Ordering::Relaxed);
    }

    /// How many keys were rotated, by cause.
    pub fn rotations(&self) -> impl Iterator<Item = (RotationCause, u64)> {
        let read = |cause| Some((cause, self.of(cause)?.load(Ordering::Relaxed)));
        RotationCause::ALL.into_iter().filter_map(read)
    }

    /// The largest share of its budget that the current version of a key in the last flush of use
    /// has spent; 0 when none had a budget.
    pub fn budget_spent(&self) -> f64 {
        f64::from_bits(self.budget_spent.load(Ordering::Relaxed))
    }

    /// How often a key could not be rotated, or it could not be found out whether it is due.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Flushes and looks for keys that are due now and then, for as long as the application lives. Any
/// number of hosts may.
pub(crate) fn start(app: &Arc<App>, config: &RotationConfig) {
    tokio::spawn(flush_often(Arc::downgrade(app), config.flush));
    tokio::spawn(rotate_often(Arc::downgrade(app), config.check));
}

/// Each flush tells how much a version was used by all hosts: the moment to see whether it is used
/// up.
async fn flush_often(app: Weak<App>, period: Duration) {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(period).await;
        let Some(app) = app.upgrade() else { return };
        if app.readiness.waiting().is_some() {
            continue;
        }
        let flush = app.keyring.flush_usage().await;
        match flush.failures.first() {
            // Each outage is told once.
            Some((_, _, error)) if !is_failing => {
                let keys = flush.failures.len();
                tracing::warn!(keys, %error, "counts of use could not be stored; trying again");
                is_failing = true;
            }
            None if is_failing && !flush.keys.is_empty() => {
                tracing::info!("counts of use are stored again");
                is_failing = false;
            }
            _ => {}
        }
        let rotations = app.keyring.rotate_used_up(flush.keys).await;
        app.rotations.note(&rotations);
        let spent = rotations.budget_spent.unwrap_or_default();
        app.rotations.budget_spent.store(spent.to_bits(), Ordering::Relaxed);
    }
}

/// The first look is at the start: what was due meanwhile is rotated then, once.
async fn rotate_often(app: Weak<App>, period: Duration) {
    loop {
        let Some(app) = app.upgrade() else { return };
        if app.readiness.waiting().is_some() {
            drop(app);
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        match app.keyring.rotate_due(clock::unix_ms()).await {
            Ok(rotations) => app.rotations.note(&rotations),
            Err(error) => {
                tracing::warn!(%error, "keys that are due could not be looked for; trying again");
            }
        }
        drop(app);
        tokio::time::sleep(period).await;
    }
}

/// Stores what is counted and not stored yet, if the store takes it.
pub(crate) async fn last_flush(app: &App) {
    let flushing = async {
        // A flush that is under way leaves out what it took already.
        while app.keyring.usage_statistics().unflushed_messages > 0 {
            let flush = app.keyring.flush_usage().await;
            if let Some((_, _, error)) = flush.failures.first() {
                let keys = flush.failures.len();
                tracing::warn!(keys, %error, "the last counts of use could not be stored");
                return;
            }
            if flush.keys.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    if tokio::time::timeout(LAST_FLUSH, flushing).await.is_err() {
        tracing::warn!("the last counts of use could not be stored in time");
    }
}
