//! The statistics at one moment.

use std::sync::{PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::statistics::{TOP_TENANTS, read};
use super::{CacheStatistics, Caches, weight};
use crate::names::TenantName;

impl Caches {
    pub(crate) fn statistics(&self) -> CacheStatistics {
        let (now, wall) = (self.clock.now(), SystemTime::now());
        let at = |used: u64| wall.checked_sub(Duration::from_millis(now.saturating_sub(used)));
        let (mut entries, mut versions, mut bytes) = (0, 0, 0);
        let mut used: Option<(u64, u64)> = None;
        for (_, key) in &self.keys {
            let Some(cached) = &key.cached else { continue };
            if !self.is_valid(&cached.keep) {
                continue;
            }
            entries += 1;
            versions += cached.keep.count() as u64;
            bytes += u64::from(weight::of_key(&key));
            let at = cached.keep.used();
            used = Some(used.map_or((at, at), |(old, new)| (old.min(at), new.max(at))));
        }
        let counters = &self.counters;
        CacheStatistics {
            hits: counters.hits.read(),
            misses: read(&counters.misses),
            loads: read(&counters.loads),
            load_failures: read(&counters.load_failures),
            evictions: read(&counters.evictions),
            expirations: read(&counters.expirations),
            stale_serves: read(&counters.stale_serves),
            entries,
            versions,
            bytes: bytes + self.ids.weighted_size() + self.tenants.weighted_size(),
            max_bytes: self.config.max_bytes,
            ttl: self.config.ttl,
            load_seconds: counters.load_seconds(),
            oldest_access: used.and_then(|(old, _)| at(old)),
            newest_access: used.and_then(|(_, new)| at(new)),
            tenants: self.top_tenants(),
        }
    }

    fn top_tenants(&self) -> Vec<(TenantName, u64)> {
        let known = self.known_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let states = known.values().filter_map(Weak::upgrade);
        let mut top: Vec<(TenantName, u64)> = states
            .map(|state| (state.name.clone(), read(&state.accesses)))
            .filter(|(_, accesses)| *accesses > 0)
            .collect();
        top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        top.truncate(TOP_TENANTS);
        top
    }
}
