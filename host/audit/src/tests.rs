//! Logs that were written, and what was done to them since.

mod edits;
mod follow;
mod restarts;
mod sealed;
mod stalls;

use std::fs;
use std::path::Path;
use std::time::Duration;

use keyward_crypto::CryptoError;
use keyward_crypto::at_rest::RootKey;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

fn key_of(name: &str) -> Result<RootKey, CryptoError> {
    RootKey::from_bytes(&[7; 32])?.derive(name.as_bytes())
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        rotate_bytes: 1 << 30,
        rotate_after: Duration::from_hours(1),
        checkpoint_every: Duration::from_hours(1),
        checkpoint_entries: 1_000_000,
        on_stall: OnStall::Block,
        stall_timeout: Duration::from_millis(200),
        strict: false,
        queue: 64,
    }
}

fn entry(number: u64) -> Box<Entry> {
    let mut entry = Box::new(Entry {
        time_ms: 1_700_000_000_000 + number,
        request_id: format!("request-{number}").into(),
        tenant: Some("acme".into()),
        subject: Some("billing".into()),
        operation: "encrypt".into(),
        status: if number.is_multiple_of(3) { 403 } else { 200 },
        client: Some([127, 0, 0, 1].into()),
        ..Entry::default()
    });
    entry.uses("main", Some(1 + u32::try_from(number % 2).unwrap()));
    entry
}

async fn add(audit: &Audit, numbers: std::ops::Range<u64>) {
    for number in numbers {
        audit.reserve().await.unwrap().submit(entry(number)).await.unwrap();
    }
}

/// A log of these entries, closed in order.
async fn written(change: impl Fn(&mut Settings), entries: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    change(&mut settings);
    let audit = Audit::open(&settings, &key_of, None).unwrap();
    add(&audit, 0..entries).await;
    audit.close().await;
    dir
}

/// A few entries at a time, and a few of those to a file.
fn in_small_files(settings: &mut Settings) {
    (settings.rotate_bytes, settings.queue) = (4_000, 4);
    settings.stall_timeout = Duration::from_secs(10);
}

fn lines(dir: &Path) -> Vec<Value> {
    let parts = crate::dir::parts(dir).unwrap();
    let text: String = parts.iter().map(|part| fs::read_to_string(&part.path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(dir: &Path) -> Vec<String> {
    lines(dir).iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
}

fn verified(dir: &Path) -> Report {
    verify(dir, &Options::default()).unwrap()
}

#[track_caller]
fn edited(dir: &Path, options: &Options) -> Finding {
    match verify(dir, options) {
        Err(VerifyError::Edited(finding)) => finding,
        other => panic!("not found: {other:?}"),
    }
}

#[tokio::test]
async fn entries_are_written_in_order_and_all_is_signed_at_the_end() {
    let dir = written(|_| {}, 100).await;
    let lines = lines(dir.path());
    let kinds = kinds(dir.path());
    assert_eq!(kinds[..3], ["file", "start", "checkpoint"]);
    assert_eq!(kinds.last().unwrap(), "stop");
    assert_eq!(kinds.iter().filter(|kind| *kind == "request").count(), 100);
    for (line, seq) in lines.iter().zip(1..) {
        assert_eq!(line["seq"], seq);
    }
    assert_eq!(lines[3]["request_id"], "request-0");
    let report = verified(dir.path());
    assert_eq!((report.entries, report.files), (104, 1));
    assert_eq!(report.signed.unwrap().size, 104);
    assert_eq!(report.notes, [""; 0]);
}

#[tokio::test]
async fn a_log_goes_on_in_new_files() {
    let dir = written(in_small_files, 100).await;
    let report = verified(dir.path());
    assert!(report.files > 5, "{report:?}");
    assert_eq!(report.signed.unwrap().size, report.entries);
    let page = |after, limit| {
        let asked = Query { after, limit, key: Some("main".into()), ..Query::default() };
        let page = query(dir.path(), &asked, Sight::Nothing).unwrap();
        let parse = |entry: &serde_json::value::RawValue| {
            serde_json::from_str::<Value>(entry.get()).unwrap()["request_id"].clone()
        };
        (page.entries.iter().map(|entry| parse(entry)).collect::<Vec<_>>(), page.next)
    };
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let (more, next) = page(from, 7);
        all.extend(more);
        after = next;
    }
    let expected: Vec<Value> = (0..100).map(|n| format!("request-{n}").into()).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn filters() {
    let dir = written(|_| {}, 30).await;
    let count = |change: &dyn Fn(&mut Query)| {
        let mut asked = Query { limit: 1000, ..Query::default() };
        change(&mut asked);
        query(dir.path(), &asked, Sight::Nothing).unwrap().entries.len()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(count(&|query| query.tenant = text("acme")), 30);
    assert_eq!(count(&|query| query.tenant = text("acm")), 0);
    assert_eq!(count(&|query| query.subject = text("billing")), 30);
    assert_eq!(count(&|query| query.operation = text("encrypt")), 30);
    assert_eq!(count(&|query| query.operation = text("enc.")), 0);
    assert_eq!(count(&|query| query.request_id = text("request-7")), 1);
    assert_eq!(count(&|query| query.outcome = Outcome::read("failed")), 10);
    assert_eq!(count(&|query| query.outcome = Outcome::read("ok")), 20);
    assert_eq!(count(&|query| query.outcome = Outcome::read("403")), 10);
    assert_eq!(count(&|query| query.outcome = Outcome::read("policy_refused")), 0);
    let since = Some(1_700_000_000_010);
    assert_eq!(count(&|query| (query.since_ms, query.tenant) = (since, text("acme"))), 20);
    assert_eq!(count(&|query| query.until_ms = since), 10);
    for bad in ["", "99", "600", "A", "a b"] {
        assert_eq!(Outcome::read(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn two_cannot_write_to_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
    let second = Audit::open(&settings(dir.path()), &key_of, None).err().unwrap();
    assert!(second.to_string().contains("in use by another process"), "{second}");
    audit.close().await;
    assert!(Audit::open(&settings(dir.path()), &key_of, None).is_ok());
}

#[tokio::test]
async fn with_strict_an_entry_is_on_disk_when_the_call_returns() {
    let dir = tempfile::tempdir().unwrap();
    let strict = Settings { strict: true, ..settings(dir.path()) };
    let audit = Audit::open(&strict, &key_of, None).unwrap();
    for number in 0..20 {
        add(&audit, number..number + 1).await;
        assert_eq!(lines(dir.path()).last().unwrap()["request_id"], format!("request-{number}"));
    }
    audit.close().await;
    assert_eq!(verified(dir.path()).entries, 24);
}
