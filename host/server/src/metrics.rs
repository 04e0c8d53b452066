//! The figures of `/metrics`. Nothing in them is secret, and no label is unbounded.

mod exposition;
mod page;
mod requests;
mod sections;
mod timings;

use std::fmt;

use prometheus_client::registry::Registry;

pub use self::exposition::Exposition;
use self::page::Page;
pub use self::requests::{Requests, Route};
pub use self::timings::{Crypto, PolicyRun, Stopwatch, StoreCall};
use crate::app::App;

/// Tenants that have figures of their own: those that use the most. All others are one.
const TENANTS: usize = 50;

/// Everything there is to measure.
pub async fn render(app: &App, exposition: Exposition) -> Result<String, fmt::Error> {
    let ready = app.not_ready().await.is_empty();
    let mut page = Page::default();
    sections::server(&mut page, app, ready);
    sections::pools(&mut page, app.policies.host());
    sections::requests(&mut page, &app.requests);
    sections::timings(&mut page);
    if let Some(traces) = &app.traces {
        sections::traces(&mut page, traces.outcomes());
    }
    sections::limits(&mut page, &app.limits.figures());
    sections::tenants(&mut page, &app.limits.most_used(TENANTS));
    sections::cache(&mut page, &app.keyring.cache_statistics());
    sections::usage(&mut page, &app.keyring.usage_statistics(), &app.rotations);
    if let Some(audit) = &app.audit {
        let statistics = audit.log.statistics();
        sections::audit(&mut page, &statistics);
        sections::sinks(&mut page, &audit.sinks.figures(statistics.written));
    }
    if let Some(tls) = app.tls_statistics() {
        sections::tls(&mut page, &tls);
    }
    if let Some(jwt) = &app.jwt {
        sections::jwt(&mut page, &jwt.statistics());
    }
    if let Some(backend) = app.backend.vault() {
        sections::vault(&mut page, &backend.vault.status(), &backend.vault.statistics());
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page));
    exposition.encode(&registry, &app.requests.exemplars())
}

#[cfg(test)]
mod tests;
