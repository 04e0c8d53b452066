//! Entries as log records of OTLP, in its JSON encoding: `ExportLogsServiceRequest` of
//! opentelemetry-proto 1.x as protobuf's JSON mapping has it, with the two exceptions that OTLP makes:
//! identifiers of traces are hexadecimal, and enumerations are numbers.

use keyward_audit::Line;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::line::{Seen, Severity};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A record. 64-bit numbers are strings, by the mapping.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    time_unix_nano: String,
    observed_time_unix_nano: String,
    severity_number: u8,
    severity_text: &'static str,
    event_name: String,
    /// The line as it stands in the log, without its newline.
    body: Value,
    attributes: Vec<Value>,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_id: &'a str,
}

/// The request's body for these lines.
pub(super) fn encode(lines: &[Line]) -> Vec<u8> {
    let read: Vec<_> = lines.iter().map(|line| (line, Seen::read(line.text()))).collect();
    let records: Vec<_> = read.iter().map(|(line, seen)| record(line, seen)).collect();
    let request = json!({
        "resourceLogs": [{
            "resource": {
                "attributes": [text("service.name", "keyward"), text("service.version", VERSION)],
            },
            "scopeLogs": [{
                "scope": { "name": "keyward.audit", "version": VERSION },
                "logRecords": records,
            }],
        }],
    });
    request.to_string().into_bytes()
}

fn record<'a>(line: &Line, seen: &'a Seen<'_>) -> Record<'a> {
    let mut attributes = vec![number("keyward.audit.seq", line.seq)];
    for (name, value) in [
        ("keyward.audit.kind", &seen.kind),
        ("keyward.audit.operation", &seen.operation),
        ("keyward.audit.tenant", &seen.tenant),
    ] {
        if !value.is_empty() {
            attributes.push(text(name, value));
        }
    }
    if let Some(status) = seen.status {
        attributes.push(number("http.response.status_code", status.into()));
    }
    let nanos = seen.time_ms.saturating_mul(1_000_000).to_string();
    let (severity_number, severity_text) = match seen.severity() {
        Severity::Info => (9, "INFO"),
        Severity::Warning => (13, "WARN"),
        Severity::Critical => (21, "FATAL"),
    };
    Record {
        time_unix_nano: nanos.clone(),
        observed_time_unix_nano: nanos,
        severity_number,
        severity_text,
        event_name: format!("keyward.audit.{}", seen.kind),
        body: json!({ "stringValue": String::from_utf8_lossy(line.text()) }),
        attributes,
        trace_id: &seen.trace_id,
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

fn number(name: &str, value: u64) -> Value {
    json!({ "key": name, "value": { "intValue": value.to_string() } })
}

/// What the receiver says of records that it took no part of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub rejected: u64,
    pub reason: String,
}

/// Reads a receiver's answer; one that cannot be read says nothing.
pub(super) fn answer(bytes: &[u8]) -> Answer {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Partial {
        rejected_log_records: Value,
        error_message: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Response {
        partial_success: Partial,
    }
    let Response { partial_success } = serde_json::from_slice(bytes).unwrap_or_default();
    let rejected = match &partial_success.rejected_log_records {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_u64(),
    };
    // It may be anything: as much as fits into a line of the log.
    let reason = partial_success.error_message.chars().take(200).collect();
    Answer { rejected: rejected.unwrap_or_default(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, text: &str) -> Line {
        Line { seq, bytes: format!("{text}\n").into_bytes() }
    }

    #[test]
    fn a_record_has_the_published_form() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let text = format!(
            r#"{{"seq":7,"kind":"request","time_ms":1700000000123,"time":"t","trace_id":"{trace}","tenant":"acme","operation":"encrypt","status":403}}"#
        );
        let sent: Value =
            serde_json::from_slice(&encode(&[line(7, &text), line(8, "damaged")])).unwrap();
        let scope = &sent["resourceLogs"][0]["scopeLogs"][0];
        assert_eq!(scope["scope"]["name"], "keyward.audit");
        let name = &sent["resourceLogs"][0]["resource"]["attributes"][0];
        assert_eq!(*name, json!({ "key": "service.name", "value": { "stringValue": "keyward" } }));
        let expected = json!({
            "timeUnixNano": "1700000000123000000",
            "observedTimeUnixNano": "1700000000123000000",
            "severityNumber": 13,
            "severityText": "WARN",
            "eventName": "keyward.audit.request",
            "body": { "stringValue": text },
            "attributes": [
                { "key": "keyward.audit.seq", "value": { "intValue": "7" } },
                { "key": "keyward.audit.kind", "value": { "stringValue": "request" } },
                { "key": "keyward.audit.operation", "value": { "stringValue": "encrypt" } },
                { "key": "keyward.audit.tenant", "value": { "stringValue": "acme" } },
                { "key": "http.response.status_code", "value": { "intValue": "403" } },
            ],
            "traceId": trace,
        });
        assert_eq!(scope["logRecords"][0], expected);
        let damaged = &scope["logRecords"][1];
        assert_eq!((&damaged["severityNumber"], &damaged["traceId"]), (&json!(21), &Value::Null));
        assert_eq!(damaged["body"]["stringValue"], "damaged");
    }

    #[test]
    fn what_was_rejected_is_read_in_both_spellings() {
        let said = |text: &str| {
            let Answer { rejected, reason } = answer(text.as_bytes());
            (rejected, reason)
        };
        let full = r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#;
        assert_eq!(said(full), (3, "too old".into()));
        assert_eq!(said(r#"{"partialSuccess":{"rejectedLogRecords":2}}"#).0, 2);
        for nothing in ["", "{}", "[]", r#"{"partialSuccess":{}}"#, "<html>"] {
            assert_eq!(said(nothing).0, 0, "{nothing}");
        }
    }
}
