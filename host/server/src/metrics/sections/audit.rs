//! Figures of the audit log.

use keyward_audit::Statistics;

use super::super::page::Page;
use super::{Row, label, number};
use crate::audit::Figures;

pub(in super::super) fn audit(page: &mut Page, audit: &Statistics) {
    let counters: [Row<u64>; 7] = [
        ("keyward_audit_entries", "Entries of the audit log", audit.entries),
        ("keyward_audit_bytes", "Bytes written to the audit log", audit.bytes),
        ("keyward_audit_shed", "Requests served without an entry", audit.shed),
        (
            "keyward_audit_stalls",
            "Requests that found no place for their entry at once",
            audit.stalls,
        ),
        (
            "keyward_audit_refused",
            "Requests refused because their entry had no place or did not reach the disk in time",
            audit.refused,
        ),
        (
            "keyward_audit_write_failures",
            "Writes of the audit log that failed and were tried again",
            audit.write_failures,
        ),
        ("keyward_audit_files", "Files of the audit log begun", audit.files),
    ];
    for (name, help, count) in counters {
        page.counter(name, help, count);
    }
    page.gauge(
        "keyward_audit_queue_entries",
        "Entries in memory, those of requests under way included",
        Some(number(audit.queued)),
    );
    page.gauge(
        "keyward_audit_checkpoint_entries",
        "Entries that the last checkpoint covers",
        Some(number(audit.checkpoint_size)),
    );
    let at = (audit.checkpoint_ms > 0).then(|| number(audit.checkpoint_ms) / 1_000.0);
    page.gauge(
        "keyward_audit_checkpoint_timestamp_seconds",
        "When the last checkpoint was signed",
        at,
    );
}

/// Figures of where entries are sent beside the files.
pub(in super::super) fn sinks(page: &mut Page, sinks: &[Figures]) {
    let figures = |figure: fn(&Figures) -> u64| {
        sinks.iter().map(move |sink| (label("sink", sink.name), figure(sink)))
    };
    page.counters(
        "keyward_audit_sink_delivered",
        "Entries that a sink took, those it was given again included",
        figures(|sink| sink.delivered),
    );
    page.counters(
        "keyward_audit_sink_failures",
        "Deliveries to a sink that failed and were tried again",
        figures(|sink| sink.failures),
    );
    page.counters(
        "keyward_audit_sink_skipped",
        "Entries that a sink was not given",
        figures(|sink| sink.skipped),
    );
    page.gauges(
        "keyward_audit_sink_lag_entries",
        "Entries in the files that a sink did not take yet",
        figures(|sink| sink.lag).map(|(labels, lag)| (labels, number(lag))),
    );
}
