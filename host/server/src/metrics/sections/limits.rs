//! What is let in.

use super::super::page::Page;
use super::number;
use crate::limits::Figures;

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
}
