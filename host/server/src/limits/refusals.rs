//! Counts of what was not let in, by what it was too much for. Of this process.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! bounds {
    ($($(#[$doc:meta])* $variant:ident $label:literal)*) => {
        /// What there was no more of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        const LABELS: [&str; [$(Refusal::$variant),*].len()] = [$($label),*];
    };
}

bounds! {
    /// The rate of a token, or of what else a caller shows.
    Token "token_rate"
    /// The tenant's rate of requests.
    Tenant "tenant_rate"
    /// The tenant's rate of one kind of request.
    Operation "operation_rate"
    /// The tenant's rate of items.
    Items "item_rate"
    /// Room for requests, in the server or the tenant's share of it.
    InFlight "in_flight"
    /// What the tenant may have under way by its quota.
    TenantInFlight "tenant_in_flight"
    /// Time to wait for a turn.
    Turn "turn"
    /// The tenant's policy instances.
    Instances "policy_instances"
    /// The CPU time of the tenant's policies.
    Cpu "policy_cpu"
}

static COUNTS: [AtomicU64; LABELS.len()] = [const { AtomicU64::new(0) }; LABELS.len()];

impl Refusal {
    /// Counts one.
    pub fn count(self) {
        COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// How often, by what.
pub fn refusals() -> impl Iterator<Item = (&'static str, u64)> {
    LABELS.into_iter().zip(&COUNTS).map(|(label, count)| (label, count.load(Ordering::Relaxed)))
}
