//! What is known of each tenant that asks for something: its rates, its weight, what it uses.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use keyward_policy_host::Bounds;
use wildmatch::WildMatch;

use super::account::Account;
use super::quotas::Quotas;
use super::rate::{Bucket, Rate};
use super::usage::{Nanos, Usage};
use super::{OperationRates, TenantUse};
use crate::metrics::Route;

/// How long a tenant is remembered that asks for nothing, if its buckets are full again by then.
const IDLE: Duration = Duration::from_mins(10);

/// What bounds one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantLimits {
    /// Requests.
    pub requests: Option<Rate>,
    /// Items: a batch has several.
    pub items: Option<Rate>,
    /// Requests of one kind.
    pub operations: OperationRates,
    /// Requests under way at once.
    pub max_in_flight: Option<usize>,
    /// Its part, compared with others'.
    pub weight: NonZeroU32,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            requests: None,
            items: None,
            operations: OperationRates::default(),
            max_in_flight: None,
            weight: NonZeroU32::MIN,
        }
    }
}

/// Limits in force, and how much of them is used up.
pub struct Buckets {
    limits: TenantLimits,
    /// Names of the keys its policies may use; `None`: all.
    pub(super) grants: Option<Vec<WildMatch>>,
    pub(super) bounds: Bounds,
    pub(super) requests: Option<Bucket>,
    pub(super) items: Option<Bucket>,
    operations: Vec<(Route, Bucket)>,
}

impl Buckets {
    fn new(limits: TenantLimits, quotas: Option<&Quotas>) -> Self {
        let operations = limits.operations.iter().map(|(route, rate)| (route, Bucket::new(rate)));
        Self {
            requests: limits.requests.map(Bucket::new),
            items: limits.items.map(Bucket::new),
            operations: operations.collect(),
            grants: quotas.and_then(Quotas::grants),
            bounds: quotas.map(Quotas::bounds).unwrap_or_default(),
            limits,
        }
    }

    /// That of requests of this kind.
    pub(super) fn operation(&self, route: Route) -> Option<&Bucket> {
        // A handful at most.
        self.operations.iter().find_map(|(of, bucket)| (*of == route).then_some(bucket))
    }

    /// Time after which all are full.
    fn window(&self) -> Duration {
        let all = [&self.requests, &self.items].into_iter().flatten();
        let all = all.chain(self.operations.iter().map(|(_, bucket)| bucket));
        all.map(|bucket| bucket.rate.window()).max().unwrap_or_default()
    }
}

/// One tenant.
pub struct TenantState {
    pub(super) name: Box<str>,
    pub(super) buckets: ArcSwap<Buckets>,
    pub(super) in_flight: AtomicUsize,
    pub(super) usage: Usage,
    pub(super) account: Account,
    /// Where its next turn begins, in virtual time.
    finish: AtomicU64,
    /// When it last asked for something, in whole seconds since the start.
    last: AtomicU64,
}

impl TenantState {
    fn new(name: &str, default: &TenantLimits, quotas: Option<&Quotas>) -> Self {
        let state = Self {
            name: name.into(),
            buckets: ArcSwap::from_pointee(Buckets::new(default.clone(), None)),
            in_flight: AtomicUsize::new(0),
            usage: Usage::default(),
            account: Account::default(),
            finish: AtomicU64::new(0),
            last: AtomicU64::new(0),
        };
        if quotas.is_some() {
            state.set(default, quotas);
        }
        state
    }

    /// From now on it has these quotas, and full buckets.
    fn set(&self, default: &TenantLimits, quotas: Option<&Quotas>) {
        let limits = quotas.map_or_else(|| default.clone(), |quotas| quotas.limits(default));
        self.buckets.store(Arc::new(Buckets::new(limits, quotas)));
        let instances = quotas.and_then(|quotas| quotas.instances);
        self.account.set(instances, quotas.and_then(Quotas::cpu_per_second));
    }

    /// Its part, compared with others'.
    pub fn weight(&self) -> u32 {
        self.buckets.load().limits.weight.get()
    }

    /// Most requests under way at once, if it has a bound of its own.
    pub fn max_in_flight(&self) -> Option<usize> {
        self.buckets.load().limits.max_in_flight
    }

    /// What it uses.
    pub(super) fn used(&self) -> TenantUse {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        TenantUse { in_flight, policies: self.account.used() }
    }

    /// The virtual start of its next turn. For whoever holds the line's lock.
    pub(super) fn start(&self, virtual_time: Nanos) -> Nanos {
        let start = self.finish.load(Ordering::Relaxed).max(virtual_time);
        let cost = self.usage.expected() / u64::from(self.weight());
        self.finish.store(start + cost.max(1), Ordering::Relaxed);
        start
    }
}

/// All of them.
pub struct Tenants {
    default: ArcSwap<TenantLimits>,
    start: Instant,
    known: DashMap<Box<str>, Arc<TenantState>>,
    /// Of tenants that have quotas, whether they asked for something or not.
    quotas: DashMap<Box<str>, Arc<Quotas>>,
}

impl Tenants {
    /// Tenants with these limits unless they have others.
    pub fn new(default: TenantLimits) -> Self {
        Self {
            default: ArcSwap::from_pointee(default),
            start: Instant::now(),
            known: DashMap::new(),
            quotas: DashMap::new(),
        }
    }

    /// The tenant of this name, which asks for something now.
    pub fn get(&self, name: &str) -> Arc<TenantState> {
        let now = self.start.elapsed().as_secs();
        if let Some(known) = self.known.get(name) {
            if known.last.load(Ordering::Relaxed) != now {
                known.last.store(now, Ordering::Relaxed);
            }
            return Arc::clone(&known);
        }
        let new = || {
            // Looked up within the entry's lock: who sets them, sets them first.
            let quotas = self.quotas.get(name).map(|quotas| Arc::clone(&quotas));
            let state = TenantState::new(name, &self.default.load(), quotas.as_deref());
            state.last.store(now, Ordering::Relaxed);
            Arc::new(state)
        };
        Arc::clone(&self.known.entry(name.into()).or_insert_with(new))
    }

    /// From now on tenants have these limits unless they have others. Each begins with full buckets.
    pub fn set_default(&self, default: TenantLimits) {
        if **self.default.load() == default {
            return;
        }
        let default = Arc::new(default);
        // First: who comes in between has them already.
        self.default.store(Arc::clone(&default));
        for state in &self.known {
            let quotas = self.quotas.get(state.key()).map(|quotas| Arc::clone(&quotas));
            state.set(&default, quotas.as_deref());
        }
    }

    /// Sets or removes a tenant's quotas.
    pub fn set(&self, name: &str, quotas: Option<&Arc<Quotas>>) {
        let before = match quotas {
            Some(quotas) => self.quotas.insert(name.into(), Arc::clone(quotas)),
            None => self.quotas.remove(name).map(|(_, before)| before),
        };
        // What is the same stays as it is, and as far used up as it is.
        if before.as_ref() != quotas
            && let Some(state) = self.known.get(name)
        {
            state.set(&self.default.load(), quotas.map(Arc::as_ref));
        }
    }

    /// Sets the quotas of these tenants, and removes all others'.
    pub fn set_all(&self, mut all: HashMap<Box<str>, Arc<Quotas>>) {
        let gone: Vec<_> = self.quotas.iter().map(|it| it.key().clone()).collect();
        for name in gone.into_iter().filter(|name| !all.contains_key(name)) {
            self.set(&name, None);
        }
        for (name, quotas) in all.drain() {
            self.set(&name, Some(&quotas));
        }
    }

    /// Forgets tenants that are as if they had never asked.
    pub fn sweep(&self) {
        let now = self.start.elapsed().as_secs();
        self.known.retain(|_, state| {
            let idle = Duration::from_secs(now - state.last.load(Ordering::Relaxed).min(now));
            let kept = IDLE.max(state.buckets.load().window());
            idle <= kept || Arc::strong_count(state) > 1
        });
        self.known.shrink_to_fit();
    }

    /// What each of them uses.
    pub fn used(&self) -> Vec<(String, TenantUse)> {
        self.known.iter().map(|it| (it.key().to_string(), it.used())).collect()
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A tenant without rates.
    pub fn tenant(weight: u32) -> Arc<TenantState> {
        let weight = NonZeroU32::new(weight).unwrap();
        let limits = TenantLimits { weight, ..TenantLimits::default() };
        Arc::new(TenantState::new("tenant", &limits, None))
    }

    #[test]
    fn a_tenant_is_forgotten_when_that_makes_no_difference() {
        let requests = Some("1/h".parse().unwrap());
        let tenants = Tenants::new(TenantLimits { requests, ..TenantLimits::default() });
        let held = tenants.get("held");
        for (name, ago) in [("held", 7_200), ("idle", 7_200), ("limited", 1_800), ("new", 0)] {
            // The clock cannot be turned on, so the start is moved back below.
            tenants.get(name).last.store(7_200 - ago, Ordering::Relaxed);
        }
        let hours = Duration::from_hours(2);
        let Some(start) = tenants.start.checked_sub(hours) else { return };
        let tenants = Tenants { start, ..tenants };
        tenants.sweep();
        let mut left: Vec<_> = tenants.known.iter().map(|it| it.key().to_string()).collect();
        left.sort();
        assert_eq!(left, ["held", "limited", "new"]);
        drop(held);
    }
}
