//! Policies that failed too often give way by themselves, where the tenant chose so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use keyward_keyring::TenantName;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{ComponentDigest, GaveWay};
use crate::app::App;
use crate::errors::Code;

/// Reports that wait. More are given up, and made again at the next failure.
const WAITING: usize = 64;

/// What became of policies on this host, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    failures: Mutex<BTreeMap<&'static str, u64>>,
    rolled_back: AtomicU64,
    canaries_ended: AtomicU64,
    stayed: AtomicU64,
}

impl Counters {
    pub(super) fn failed(&self, code: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(code).or_default() += 1;
    }

    /// Runs that failed, by the code of the error.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().map(|(code, count)| (*code, *count)).collect()
    }

    /// What was done about policies that failed too often, by what it was.
    pub fn outcomes(&self) -> [(&'static str, u64); 3] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("rolled_back", read(&self.rolled_back)),
            ("canary_ended", read(&self.canaries_ended)),
            ("stayed", read(&self.stayed)),
        ]
    }
}

/// Takes reports of policies that failed too often.
#[derive(Clone)]
pub(super) struct Failing(Sender<(TenantName, String)>);

/// Where the reports arrive.
pub(super) struct Reports(Receiver<(TenantName, String)>);

impl Failing {
    pub fn new() -> (Self, Reports) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Reports(receiver))
    }

    /// Whether the report was taken.
    pub fn report(&self, tenant: &TenantName, digest: &str) -> bool {
        self.0.try_send((tenant.clone(), digest.to_owned())).is_ok()
    }
}

/// Lets policies give way that are reported, until `app` is gone.
pub fn follow(app: &Arc<App>) {
    let Some(Reports(mut reports)) = app.policies.take_reports() else { return };
    let app: Weak<App> = Arc::downgrade(app);
    tokio::spawn(async move {
        while let Some((tenant, digest)) = reports.recv().await {
            let Some(app) = app.upgrade() else { return };
            give_way(&app, &tenant, &digest).await;
        }
    });
}

async fn give_way(app: &App, tenant: &TenantName, digest: &str) {
    let Ok(parsed) = digest.parse::<ComponentDigest>() else { return };
    let counters = app.policies.counters();
    match app.policies.give_way(tenant, &parsed).await {
        Ok(GaveWay::RolledBack(to)) => {
            counters.rolled_back.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%tenant, digest, to, "the policy failed too often and was rolled back");
        }
        Ok(GaveWay::CanaryEnded) => {
            counters.canaries_ended.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%tenant, digest, "the canary failed too often and was ended");
        }
        // Another host was faster, or somebody changed it.
        Err(problem) if problem.code == Code::PolicyActiveDiffers => {}
        Ok(GaveWay::Stayed) => {
            counters.stayed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                %tenant, digest, "the policy fails too often, and there is none to go back to"
            );
        }
        Err(problem) => {
            counters.stayed.fetch_add(1, Ordering::Relaxed);
            let code = problem.code.as_str();
            tracing::error!(%tenant, digest, code, "a policy that fails could not be rolled back");
            if problem.code.status().is_server_error() {
                app.policies.report_again(tenant);
            }
        }
    }
}
