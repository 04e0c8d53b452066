//! What is let in: rates for tokens and tenants, shares of what is under way, and turns.
//!
//! - A **rate** bounds how often a token, a tenant, or a tenant's requests of one kind come. What is
//!   over it is refused with 429 before its body is read.
//! - A **share** bounds how much is under way at once. What has no room is refused with 503 before its
//!   body is read: queues do not grow.
//! - A **turn** is the right to use a processor. Tenants that want more than their fair share take
//!   turns; the others do not notice them.
//!
//! Nothing here asks the store, and nothing waits but for a turn.

mod account;
mod quotas;
mod rate;
mod refusals;
mod shares;
mod standing;
mod tenants;
mod tokens;
mod turns;
mod usage;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

pub use self::quotas::{OwnRate, QuotaRecord, QuotaStore, Quotas};
pub use self::rate::{NotARate, Rate};
use self::refusals::Refusal;
pub use self::refusals::refusals;
pub use self::shares::{Arrived, Full};
pub use self::standing::{Standing, within};
pub use self::tenants::TenantLimits;

use arc_swap::{ArcSwap, ArcSwapOption};
use keyward_policy_host::Bounds;

use self::account::{Spent, Used};
use self::rate::{Bucket, Over};
use self::shares::Shares;
use self::standing::{Told, with};
use self::tenants::{TenantState, Tenants};
use self::tokens::TokenBuckets;
use self::turns::Turns;
use crate::errors::Code;
use crate::http::Problem;
use crate::metrics::Route;
use crate::tokens::{Credential, Reach};

/// How often it is looked for what can be forgotten.
const SWEEP: Duration = Duration::from_secs(30);
/// Most items that are charged at once to a caller that waits for its rate.
const AT_ONCE: u32 = 64;

/// Limits that hold for everybody who has none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Requests of each token.
    pub token: Option<Rate>,
    /// Of each tenant.
    pub tenant: TenantLimits,
    /// Requests under way at once.
    pub max_in_flight: usize,
    /// How long a request waits for its first turn.
    pub max_wait: Duration,
}

/// Rates of some kinds of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationRates(Vec<(Route, Rate)>);

impl OperationRates {
    /// Reads `KIND=RATE` of each; an error says what is wrong.
    pub fn read<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut rates: Vec<(Route, Rate)> = Vec::new();
        for (kind, rate) in all {
            let Some(route) = Route::limited().find(|route| route.as_str() == kind) else {
                let known: Vec<_> = Route::limited().map(Route::as_str).collect();
                return Err(format!("`{kind}` is none of {}", known.join(", ")));
            };
            if rates.iter().any(|(of, _)| *of == route) {
                return Err(format!("`{kind}` is given twice"));
            }
            let rate = rate.parse().map_err(|error| format!("`{kind}` {error}"))?;
            rates.push((route, rate));
        }
        Ok(Self(rates))
    }

    /// Those of the kinds that there are.
    fn known<'a>(all: impl Iterator<Item = (&'a str, Rate)>) -> Self {
        let route = |kind: &str| Route::limited().find(|route| route.as_str() == kind);
        Self(all.filter_map(|(kind, rate)| Some((route(kind)?, rate))).collect())
    }

    /// Each kind with its rate.
    pub fn iter(&self) -> impl Iterator<Item = (Route, Rate)> {
        self.0.iter().copied()
    }
}

/// What tenants are together that have no figures of their own; also one that is called so.
const OTHERS: &str = "other";

/// What a tenant uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantUse {
    /// Requests under way.
    pub in_flight: usize,
    /// What its policies use.
    pub policies: Used,
}

impl TenantUse {
    fn add(&mut self, other: &Self) {
        self.in_flight += other.in_flight;
        self.policies.add(&other.policies);
    }
}

/// How it is with the limits at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Requests under way.
    pub in_flight: usize,
    /// Of these, requests that wait for a turn.
    pub waiting: usize,
    /// Tenants that asked for something lately.
    pub tenants: usize,
}

/// The limits of one server.
pub struct Limits {
    tokens: ArcSwapOption<TokenBuckets>,
    tenants: Tenants,
    shares: Arc<Shares>,
    turns: Arc<Turns>,
    max_wait: ArcSwap<Duration>,
}

impl Limits {
    /// In force from now on, in a runtime with so many threads.
    pub fn new(config: LimitsConfig, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            tokens: ArcSwapOption::new(config.token.map(TokenBuckets::new).map(Arc::new)),
            tenants: Tenants::new(config.tenant),
            shares: Shares::new(config.max_in_flight),
            turns: Turns::new(workers),
            max_wait: ArcSwap::from_pointee(config.max_wait),
        })
    }

    /// From now on these limits hold for everybody who has none of their own. Where a rate is another
    /// one, everybody begins with a full bucket.
    pub fn set(&self, config: LimitsConfig) {
        let rate = self.tokens.load().as_ref().map(|tokens| tokens.rate());
        if rate != config.token {
            self.tokens.store(config.token.map(TokenBuckets::new).map(Arc::new));
        }
        self.tenants.set_default(config.tenant);
        self.shares.set_max(config.max_in_flight);
        self.max_wait.store(Arc::new(config.max_wait));
    }

    /// Forgets now and then who asks for nothing any more, for as long as somebody has the limits.
    pub fn start(self: &Arc<Self>) {
        let limits = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(limits) = limits.upgrade() else { return };
                limits.tenants.sweep();
                if let Some(tokens) = &*limits.tokens.load() {
                    tokens.sweep();
                }
            }
        });
    }

    /// Lets a request in, whoever's it is, if there is room.
    pub fn arrive(&self, route: Route) -> (Standing, Option<Problem>) {
        if !route.is_limited() {
            return (Standing::new(route, None), None);
        }
        if let Ok(arrived) = self.shares.arrive(!route.is_data()) {
            return (Standing::new(route, Some(arrived)), None);
        }
        Refusal::InFlight.count();
        let detail = "the server has as many requests under way as `limits.max_in_flight` allows; \
                      retry after the time given";
        (Standing::new(route, None), Some(Problem::new(Code::Overloaded, detail)))
    }

    /// Lets the request being handled go on, now that it is known whose it is: within the rates, and
    /// within the tenant's share.
    pub fn admit(&self, credential: &Credential) -> Result<(), Problem> {
        let admitted = with(|standing| {
            if let Some(tokens) = &*self.tokens.load() {
                let (rate, taken) = (tokens.rate(), tokens.take(&credential.id));
                told(standing, "token", rate, taken)?;
            }
            let Reach::Tenant(tenant) = &credential.reach else { return Ok(()) };
            let tenant = self.tenants.get(tenant.as_str());
            let buckets = tenant.buckets.load();
            if let Some(bucket) = &buckets.requests {
                take(standing, "tenant", bucket, NonZeroU32::MIN)?;
            }
            if let Some(bucket) = buckets.operation(standing.route) {
                take(standing, "operation", bucket, NonZeroU32::MIN)?;
            }
            drop(buckets);
            standing.slot = Some(self.shares.enter(&tenant).map_err(full)?);
            standing.tenant = Some(tenant);
            Ok(())
        });
        // None: no request.
        admitted.unwrap_or(Ok(()))
    }

    /// Waits for the first turn of the request being handled, which has been admitted. From then on
    /// it works in turns.
    pub async fn turn(&self) -> Result<(), Problem> {
        let tenant = with(|standing| standing.tenant.clone()).flatten();
        let Some(tenant) = tenant else { return Ok(()) };
        let mut turn = self.turns.of(&tenant);
        // Nearly always at once, and then without a timer.
        if turn.poll_take(&Context::from_waker(Waker::noop())).is_pending() {
            let taken = poll_fn(|cx| turn.poll_take(cx));
            tokio::time::timeout(**self.max_wait.load(), taken).await.map_err(|_| {
                Refusal::Turn.count();
                let detail = "the tenant has more work waiting than its share of the server does in \
                              `limits.max_wait`; send less at once, and retry after the time given";
                Problem::new(Code::Overloaded, detail)
            })?;
        }
        with(|standing| standing.turn = Some(turn));
        Ok(())
    }

    /// The tenant of this name: mostly that of the request being handled, which was looked up once.
    fn tenant(&self, name: &str) -> Arc<TenantState> {
        let known = with(|it| it.tenant.as_ref().filter(|it| *it.name == *name).cloned()).flatten();
        known.unwrap_or_else(|| self.tenants.get(name))
    }

    /// Takes the items of a batch.
    pub fn items(&self, tenant: &str, items: usize) -> Result<(), Problem> {
        let Some(count) = u32::try_from(items).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        let tenant = self.tenant(tenant);
        let buckets = tenant.buckets.load();
        let Some(bucket) = &buckets.items else { return Ok(()) };
        let taken = with(|standing| take(standing, "items", bucket, count));
        taken.unwrap_or_else(|| {
            bucket.take(count).map(drop).map_err(|over| rated("items", bucket.rate, over))
        })
    }

    /// The same for items that come one after the other: waits until the rate allows them.
    pub async fn items_in_time(&self, tenant: &str, items: usize) {
        let mut left = u32::try_from(items).unwrap_or(u32::MAX);
        let tenant = self.tenant(tenant);
        while left > 0 {
            let wait = {
                let buckets = tenant.buckets.load();
                let Some(bucket) = &buckets.items else { return };
                let some = left.min(bucket.rate.burst()).min(AT_ONCE);
                let Some(count) = NonZeroU32::new(some) else { return };
                match bucket.take(count) {
                    Ok(_) => {
                        left -= some;
                        continue;
                    }
                    Err(Over::Until(wait)) => wait,
                    Err(Over::Never) => return,
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Has a policy of the tenant's run, within its quotas.
    pub async fn run<T, E: Into<Problem>>(
        &self,
        tenant: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem> {
        let tenant = self.tenant(tenant);
        match tenant.account.run(work).await {
            Ok(done) => done.map_err(Into::into),
            Err(spent) => Err(without(spent)),
        }
    }

    /// Whether the tenant's policies may use the key.
    pub fn check_grant(&self, tenant: &str, key: &str) -> Result<(), Problem> {
        let tenant = self.tenant(tenant);
        let buckets = tenant.buckets.load();
        match &buckets.grants {
            Some(grants) if !grants.iter().any(|pattern| pattern.matches(key)) => {
                let detail = "the key is none of those that this tenant's policies may use; an \
                              operator grants it: PUT …/quotas";
                Err(Problem::new(Code::KeyNotGranted, detail))
            }
            _ => Ok(()),
        }
    }

    /// Bounds of each run of the tenant's policies.
    pub fn bounds(&self, tenant: &str) -> Bounds {
        self.tenant(tenant).buckets.load().bounds
    }

    /// Counts what a run of the tenant's policy called and had.
    pub fn ran(&self, tenant: &str, host_calls: u32, memory_bytes: usize) {
        self.tenant(tenant).account.had(host_calls, memory_bytes);
    }

    /// What the tenant uses.
    pub fn used(&self, tenant: &str) -> TenantUse {
        let tenant = self.tenant(tenant);
        tenant.used()
    }

    /// What those tenants use that use the most, `count` at most, and all others together as `other`.
    pub fn most_used(&self, count: usize) -> Vec<(String, TenantUse)> {
        let mut all = self.tenants.used();
        all.sort_by_key(|(_, used)| Reverse(used.policies.cpu));
        let rest = all.split_off(all.len().min(count));
        let mut others = TenantUse::default();
        let is_other = |name: &String| name == OTHERS;
        for (_, used) in rest.iter().chain(all.iter().filter(|(name, _)| is_other(name))) {
            others.add(used);
        }
        all.retain(|(name, _)| !is_other(name));
        if others != TenantUse::default() {
            all.push((OTHERS.to_owned(), others));
        }
        all
    }

    fn set_quotas(&self, tenant: &str, quotas: Option<&Arc<Quotas>>) {
        self.tenants.set(tenant, quotas);
    }

    fn set_all_quotas(&self, all: HashMap<Box<str>, Arc<Quotas>>) {
        self.tenants.set_all(all);
    }

    /// How it is with them.
    pub fn figures(&self) -> Figures {
        Figures {
            in_flight: self.shares.in_flight(),
            waiting: self.turns.parked(),
            tenants: self.tenants.len(),
        }
    }
}

fn take(
    standing: &mut Standing,
    name: &'static str,
    bucket: &Bucket,
    cells: NonZeroU32,
) -> Result<(), Problem> {
    told(standing, name, bucket.rate, bucket.take(cells))
}

fn told(
    standing: &mut Standing,
    name: &'static str,
    rate: Rate,
    taken: Result<u32, Over>,
) -> Result<(), Problem> {
    let left = taken.unwrap_or(0);
    standing.tell(Told { name, rate, left });
    taken.map(drop).map_err(|over| rated(name, rate, over))
}

fn rated(name: &str, rate: Rate, over: Over) -> Problem {
    let (refusal, whose) = match name {
        "token" => (Refusal::Token, "this token's requests"),
        "tenant" => (Refusal::Tenant, "the tenant's requests"),
        "operation" => (Refusal::Operation, "the tenant's requests of this kind"),
        _ => (Refusal::Items, "the tenant's items"),
    };
    refusal.count();
    match over {
        Over::Until(wait) => {
            let detail = format!("{whose} are limited to {rate}; retry after the time given");
            let retry_after = Some(seconds(wait));
            Problem { retry_after, ..Problem::new(Code::RateLimited, detail) }
        }
        Over::Never => {
            let detail = format!("{whose} are limited to {rate}; split the batch");
            Problem::field(Code::TooManyItems, "/items", detail)
        }
    }
}

fn without(spent: Spent) -> Problem {
    match spent {
        Spent::Instances(_) => Refusal::Instances,
        Spent::Cpu { .. } => Refusal::Cpu,
    }
    .count();
    match spent {
        Spent::Instances(bound) => Problem::new(
            Code::PolicyInstancesQuota,
            format!("{bound} of the tenant's policies run, which is all that may; retry shortly"),
        ),
        Spent::Cpu { per_second, wait } => {
            let detail = format!(
                "the tenant's policies used their {} ms of CPU time in a second; retry after the \
                 time given",
                per_second.as_millis()
            );
            let retry_after = Some(seconds(wait));
            Problem { retry_after, ..Problem::new(Code::PolicyCpuQuota, detail) }
        }
    }
}

/// As `Retry-After` has them: whole, rounded up, at least one.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1)
}

fn full(full: Full) -> Problem {
    match full {
        Full::Server | Full::Share => Refusal::InFlight,
        Full::Quota(_) => Refusal::TenantInFlight,
    }
    .count();
    match full {
        Full::Server | Full::Share => Problem::new(
            Code::Overloaded,
            "the server is under load, and the tenant has its share of requests under way; send \
             fewer at once, and retry after the time given",
        ),
        Full::Quota(quota) => Problem::new(
            Code::TenantBusy,
            format!(
                "the tenant has {quota} requests under way, which is all it may; send fewer at \
                 once, and retry after the time given"
            ),
        ),
    }
}
