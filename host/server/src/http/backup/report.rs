//! What a backup holds, as a caller is told.

use axum::http::{HeaderName, HeaderValue};
use keyward_keyring::backup::{Report, Scope, Summary};
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock;
use crate::http::openapi::schema;

/// The trailer with the report.
pub const REPORT: HeaderName = HeaderName::from_static("x-keyward-backup-report");
/// Most damaged records named in it; the log names all.
const MAX_DAMAGED: usize = 20;

/// What an archive holds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BackupSummary")]
pub struct SummaryView<'a> {
    #[schemars(with = "schema::Timestamp")]
    created_at: String,
    /// `None`: all tenants.
    #[schemars(with = "Option<schema::TenantName>")]
    tenant: Option<&'a str>,
    #[schemars(with = "schema::Origin")]
    origin: String,
    digest: &'a str,
    records: u64,
    keys: u64,
    versions: u64,
}

impl<'a> SummaryView<'a> {
    /// Of a summary.
    pub fn of(summary: &'a Summary) -> Self {
        Self {
            created_at: clock::rfc3339(summary.created_at),
            tenant: match &summary.scope {
                Scope::All => None,
                Scope::Tenant(tenant) => Some(tenant.as_str()),
            },
            origin: summary.origin.to_string(),
            digest: &summary.digest,
            records: summary.records,
            keys: summary.keys,
            versions: summary.versions,
        }
    }
}

#[derive(Serialize)]
struct ReportView<'a> {
    #[serde(flatten)]
    summary: SummaryView<'a>,
    bytes: u64,
    damaged: Vec<&'a str>,
    damaged_total: usize,
}

/// The report as the value of a trailer: JSON in ASCII.
pub fn trailer(report: &Report) -> Result<HeaderValue, serde_json::Error> {
    let view = ReportView {
        summary: SummaryView::of(&report.summary),
        bytes: report.bytes,
        damaged: report.damaged.iter().take(MAX_DAMAGED).map(String::as_str).collect(),
        damaged_total: report.damaged.len(),
    };
    let json = serde_json::to_string(&view)?;
    // Paths in a store are ASCII, but for what somebody else put there.
    let ascii = json.replace(|c: char| !matches!(c, ' '..='~'), "?");
    HeaderValue::from_str(&ascii).map_err(serde::ser::Error::custom)
}
