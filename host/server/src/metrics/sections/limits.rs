//! What is let in.

use super::super::page::Page;
use super::{label, number};
use crate::limits::{Figures, TenantUse, refusals};

pub(in super::super) fn limits(page: &mut Page, figures: &Figures) {
    let Figures { in_flight, waiting, tenants } = *figures;
    page.gauge(
        "keyward_requests_in_flight",
        "Requests under way, answers that are still being sent piece by piece included",
        Some(number(in_flight as u64)),
    );
    page.gauge(
        "keyward_requests_waiting",
        "Requests of tenants above their share of the processors that wait for their turn",
        Some(number(waiting as u64)),
    );
    page.gauge(
        "keyward_tenants_seen",
        "Tenants that asked for something lately",
        Some(number(tenants as u64)),
    );
    page.counters(
        "keyward_limit_refusals",
        "What was refused, by what it was too much for",
        refusals().map(|(limit, count)| (label("limit", limit), count)),
    );
}

pub(in super::super) fn tenants(page: &mut Page, tenants: &[(String, TenantUse)]) {
    let counts = |figure: fn(&TenantUse) -> u64| {
        let of = move |(tenant, used): &(String, TenantUse)| {
            (label("tenant", tenant.as_str()), figure(used))
        };
        tenants.iter().map(of).collect::<Vec<_>>()
    };
    let gauges = |figure: fn(&TenantUse) -> f64| {
        let of = move |(tenant, used): &(String, TenantUse)| {
            (label("tenant", tenant.as_str()), figure(used))
        };
        tenants.iter().map(of).collect::<Vec<_>>()
    };
    page.gauges(
        "keyward_tenant_requests_in_flight",
        "Requests under way, by tenant",
        gauges(|used| number(used.in_flight as u64)),
    );
    page.gauges(
        "keyward_tenant_policy_instances",
        "Policy instances at the moment, by tenant",
        gauges(|used| used.policies.instances.into()),
    );
    page.gauges(
        "keyward_tenant_policy_peak_memory_bytes",
        "The most memory that a policy run had, by tenant",
        gauges(|used| number(used.policies.peak_memory_bytes as u64)),
    );
    page.counters(
        "keyward_tenant_policy_runs",
        "Policy runs, by tenant",
        counts(|used| used.policies.runs),
    );
    page.seconds(
        "keyward_tenant_policy_cpu_seconds",
        "CPU time of policy runs, by tenant",
        tenants.iter().map(|(tenant, used)| (label("tenant", tenant.as_str()), used.policies.cpu)),
    );
    page.counters(
        "keyward_tenant_policy_host_calls",
        "Host calls of policy runs, by tenant",
        counts(|used| used.policies.host_calls),
    );
}
