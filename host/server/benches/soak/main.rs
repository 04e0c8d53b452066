//! Too much work for a long time: `cargo xtask bench --soak MINUTES`.
//!
//! Finds out how many requests of a mix the server answers a second when each connection waits for its
//! answer, and then sends a fifth more than that, whatever becomes of them: requests come when they
//! come, not when others are done. Server and load share the machine. Meanwhile memory, descriptors,
//! threads and tasks of the server are looked at. At the end it says what was bounded and what was not,
//! and fails where something was not.

#![allow(clippy::unwrap_used, reason = "it fails by panicking")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]

#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "of the other benches")]
mod servers;

mod load;
mod mix;
mod process;

use std::path::Path;
use std::time::{Duration, Instant};

use load::{Answers, Pace};
use mix::Mix;
use process::Sample;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much more comes than the server can do.
const OVERLOAD: f64 = 1.2;
/// How long it is measured what the server can do.
const CAPACITY_TIME: Duration = Duration::from_secs(15);
/// How often the server is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Of how many looks one is said: each minute.
const SAID: usize = 12;
/// Files of the audit log that are kept.
const KEPT: usize = 2;
/// Most that memory differs from its median after the start, in parts of it.
const FLAT: f64 = 0.10;
/// Longest that one in a hundred accepted requests takes, of any minute. A request waits for its turn for
/// `limits.max_wait`, 1 s, at most.
const P99: Duration = Duration::from_millis(1_500);
/// Descriptors and tasks that may be more at the end than before the load: idle connections of the
/// one who looks, and what was closed a moment ago.
const LEFT: u64 = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds options of its own.
    let minutes = arguments.iter().find_map(|text| text.parse::<u64>().ok()).unwrap_or(30);
    let directory = tempfile::tempdir().unwrap();
    let server = servers::keyward(directory.path());
    let mix = Mix::prepare(&server);
    let before = Sample::take(&server);

    let capacity = load::run(&server.address, &mix, Pace::Closed, CAPACITY_TIME).answered();
    let capacity = capacity as f64 / CAPACITY_TIME.as_secs_f64();
    let rate = capacity * OVERLOAD;
    println!("capacity: {capacity:.0} requests/s; sending {rate:.0}/s for {minutes} minutes");

    let (mut samples, mut all, start) = (Vec::new(), Vec::new(), Instant::now());
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            (0..minutes)
                .map(|minute| {
                    let time = Duration::from_mins(1);
                    let answers = load::run(&server.address, &mix, Pace::Open(rate), time);
                    println!("minute {}: {answers}", minute + 1);
                    answers
                })
                .collect::<Vec<_>>()
        });
        while !sending.is_finished() {
            std::thread::sleep(LOOK);
            let sample = Sample::take(&server);
            if samples.len().is_multiple_of(SAID) {
                println!("memory: {} MiB", sample.own >> 20);
            }
            samples.push((start.elapsed(), sample));
            remove_old_entries(directory.path());
        }
        all = sending.join().unwrap();
    });
    // Connections end, and what they began with them.
    std::thread::sleep(Duration::from_secs(10));
    let after = Sample::take(&server);
    let is_bounded = judge(&all, &samples, before, after, minutes);
    // What exits drops nothing, and the server would go on.
    drop(server);
    std::process::exit(i32::from(!is_bounded));
}

/// The audit log of some hours' worth of requests would fill the disk: all but its newest files go.
fn remove_old_entries(directory: &Path) {
    let entries = std::fs::read_dir(directory.join("data/audit")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    files.truncate(files.len().saturating_sub(KEPT));
    for file in files {
        std::fs::remove_file(file).unwrap();
    }
}

/// Prints each bound and whether it held; whether all did.
fn judge(
    minutes: &[Answers],
    samples: &[(Duration, Sample)],
    before: Sample,
    after: Sample,
    length: u64,
) -> bool {
    let mut holds = true;
    let mut say = |what: &str, held: bool, figures: String| {
        println!("{} {what}: {figures}", if held { "held  " } else { "FAILED" });
        holds &= held;
    };
    // A tenth of the time, one minute at least, is the start.
    let warm = Duration::from_mins((length / 10).max(1)).min(Duration::from_mins(length) / 2);
    let mut memory: Vec<u64> =
        samples.iter().filter(|(at, _)| *at > warm).map(|(_, sample)| sample.own).collect();
    memory.sort_unstable();
    let median = memory.get(memory.len() / 2).copied().unwrap_or_default() as f64;
    let (least, most) = (memory.first().copied(), memory.last().copied());
    let off = |bytes: Option<u64>| (bytes.unwrap_or_default() as f64 - median) / median;
    say(
        "memory",
        off(most) <= FLAT && off(least) >= -FLAT,
        format!(
            "{:.0} MiB, {:+.1} % to {:+.1} % after {} s",
            median / 1_048_576.0,
            100.0 * off(least),
            100.0 * off(most),
            warm.as_secs()
        ),
    );
    for (what, of) in [
        ("descriptors", Sample::descriptors as fn(&Sample) -> u64),
        ("tasks", Sample::tasks),
        ("threads", Sample::threads),
    ] {
        let most = samples.iter().map(|(_, sample)| of(sample)).max().unwrap_or_default();
        let (before, after) = (of(&before), of(&after));
        say(
            what,
            after <= before + LEFT,
            format!("{before} before, {most} at most, {after} after"),
        );
    }
    let slowest = minutes.iter().map(Answers::p99).max().unwrap_or_default();
    say(
        "p99 of accepted requests",
        slowest <= P99,
        format!("{} ms in the slowest minute", slowest.as_millis()),
    );
    let sum = |of: fn(&Answers) -> u64| minutes.iter().map(of).sum::<u64>();
    let (accepted, rejected) = (sum(Answers::accepted), sum(|answers| answers.rejected));
    say(
        "rejected requests",
        sum(|answers| answers.without_retry_after) == 0 && sum(|answers| answers.wrong) == 0,
        format!(
            "{accepted} accepted, {rejected} rejected with 429 or 503, {} of them without Retry-After, \
             {} others; {} did not go out",
            sum(|answers| answers.without_retry_after),
            sum(|answers| answers.wrong),
            sum(|answers| answers.unsent)
        ),
    );
    holds
}
