//! What an entry costs: the thread of the request, which makes it and hands it over, and the thread
//! that writes, which turns it into a line, hashes and writes it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use keyward_audit::{Audit, Entry, OnStall, Settings};
use keyward_crypto::at_rest::RootKey;

const ENTRIES: u32 = 200_000;

fn entry(number: u32) -> Box<Entry> {
    let mut entry = Box::new(Entry {
        time_ms: 1_700_000_000_000,
        request_id: "4a7aac960000000000000004".into(),
        tenant: Some("acme".into()),
        subject: Some("billing".into()),
        credential: Some("0123456789abcdef".into()),
        credential_tenant: Some("acme".into()),
        operation: "encrypt".into(),
        policy: Some(format!("sha256:{}", "0".repeat(64)).into()),
        decision: Some("allow"),
        purpose: Some("monthly statement".into()),
        status: 200,
        duration_us: 40,
        client: Some([127, 0, 0, 1].into()),
        ..Entry::default()
    });
    entry.uses("main", Some(number % 3 + 1));
    entry
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        dir: dir.path().to_owned(),
        rotate_bytes: 1 << 40,
        rotate_after: Duration::from_hours(1),
        checkpoint_every: Duration::from_mins(1),
        checkpoint_entries: 100_000,
        on_stall: OnStall::Block,
        stall_timeout: Duration::from_secs(10),
        strict: false,
        queue: ENTRIES as usize,
    };
    let audit = Audit::open(&settings, &|_| RootKey::from_bytes(&[7; 32]), None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Instant::now();
    let made: Duration = runtime.block_on(async {
        for number in 0..ENTRIES {
            let slot = audit.reserve().await.unwrap();
            slot.submit(black_box(entry(number))).await.unwrap();
        }
        start.elapsed()
    });
    while audit.statistics().queued > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let all = start.elapsed();
    runtime.block_on(audit.close());
    let bytes = audit.statistics().bytes;
    println!(
        "request's thread: {:.0} ns for an entry",
        made.as_secs_f64() * 1e9 / f64::from(ENTRIES)
    );
    println!(
        "until written:    {:.0} ns for an entry",
        all.as_secs_f64() * 1e9 / f64::from(ENTRIES)
    );
    println!("{} bytes for an entry", bytes / u64::from(ENTRIES));
}
