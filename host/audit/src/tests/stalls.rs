//! A disk that does not take any more: a pipe that nobody reads.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::log::{Head, Log, Output};
use crate::note::Signer;
use crate::statistics::Counters;

/// Blocks when the pipe is full.
struct Pipe(PipeWriter);

impl Output for Pipe {
    fn write_at(&mut self, bytes: &[u8], _: u64) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn on_a_pipe(dir: &Path, on_stall: OnStall, strict: bool) -> (Audit, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let settings = Settings { on_stall, strict, ..settings(dir) };
    let counters = Arc::new(Counters::default());
    let signer = Signer::of("keyward-audit/pipe", &key_of).unwrap();
    let output = Box::new(Pipe(writer));
    let index = Index::of(&key_of("keyward-audit/pipe").unwrap()).unwrap();
    let log = Log::new(&settings, (signer, None), counters.clone(), Head::default(), output, 0);
    let lock = crate::dir::acquire(dir).unwrap();
    (Audit::start(&settings, counters, log, index, lock).unwrap(), reader)
}

/// Everything that comes out of the pipe until the log is closed.
fn read_all(mut reader: PipeReader) -> std::thread::JoinHandle<Vec<Value>> {
    std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    })
}

fn long(number: u64) -> Box<Entry> {
    Box::new(Entry { purpose: Some("p".repeat(1_000).into()), ..*entry(number) })
}

#[tokio::test]
async fn block_refuses_within_its_time_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, reader) = on_a_pipe(dir.path(), OnStall::Block, false);
    let mut taken = 0;
    let start = loop {
        let start = Instant::now();
        match audit.reserve().await {
            Ok(slot) => slot.submit(long(taken)).await.unwrap(),
            Err(Stalled) => break start,
        }
        taken += 1;
        assert!(taken < 100_000);
    };
    let took = start.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_secs(2)).contains(&took), "{took:?}");
    let statistics = audit.statistics();
    assert_eq!((statistics.refused, statistics.shed), (1, 0));
    assert_eq!(statistics.queued, 64);
    let read = read_all(reader);
    while audit.statistics().queued > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    add(&audit, taken..taken + 10).await;
    audit.close().await;
    let lines = read.join().unwrap();
    let requests: Vec<_> = lines.iter().filter(|line| line["kind"] == "request").collect();
    assert_eq!(requests.len() as u64, taken + 10);
    for (line, number) in requests.iter().zip(0..) {
        assert_eq!(line["request_id"], format!("request-{number}"));
    }
}

#[tokio::test]
async fn shed_goes_on_and_says_how_many_were_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, reader) = on_a_pipe(dir.path(), OnStall::Shed, false);
    let mut sent = 0;
    while audit.statistics().shed < 100 {
        audit.reserve().await.unwrap().submit(long(sent)).await.unwrap();
        sent += 1;
        assert!(sent < 100_000);
    }
    let read = read_all(reader);
    // Until there is place again.
    while audit.statistics().queued > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    add(&audit, sent..sent + 10).await;
    audit.close().await;
    let lines = read.join().unwrap();
    let requests = lines.iter().filter(|line| line["kind"] == "request").count() as u64;
    let lost: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
    assert_eq!((lost, requests + lost), (100, sent + 10));
    let newest = lines.iter().rfind(|line| line["kind"] == "request").unwrap();
    assert_eq!(newest["request_id"], format!("request-{}", sent + 9));
}

#[tokio::test]
async fn strict_does_not_answer_before_the_entry_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, reader) = on_a_pipe(dir.path(), OnStall::Block, true);
    let mut taken = 0;
    while audit.reserve().await.unwrap().submit(long(taken)).await.is_ok() {
        taken += 1;
        assert!(taken < 100_000);
    }
    let read = read_all(reader);
    audit.close().await;
    let lines = read.join().unwrap();
    // The one that was refused is written all the same.
    let requests = lines.iter().filter(|line| line["kind"] == "request").count() as u64;
    assert_eq!(requests, taken + 1);
}
