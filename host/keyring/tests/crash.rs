//! Kills a process that writes through the real store, again and again, and finds every write
//! that it acknowledged. The process is this test binary, started with a directory to write to.
#![allow(clippy::unwrap_used)] // in the helpers of tests

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_crypto::{Algorithm, Binding, Channel};
use keyward_keyring::embedded::{EmbeddedStore, RootKeySource};
use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{CacheConfig, KeyName, Keyring, KeyringError, TenantName};

const KILLS: u32 = 100;
const FRESH_KILLS: u32 = 25;
const DIR: &str = "KEYWARD_CRASH_TEST_DIR";
const ROUND: &str = "KEYWARD_CRASH_TEST_ROUND";
const KEYS: [&str; 3] = ["k0", "k1", "k2"];

fn open(dir: &Path) -> Result<Arc<EmbeddedStore>, StoreError> {
    EmbeddedStore::open(dir, &RootKeySource::File(dir.join("root.key"))).map(Arc::new)
}

fn tenant() -> TenantName {
    "demo".parse().unwrap()
}

fn binding(key: &str) -> Binding<'_> {
    Binding {
        channel: Channel::Payload,
        tenant: "demo",
        key_name: key,
        policy_data: b"",
        context: b"",
    }
}

fn random(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    keyward_crypto::random_bytes(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % bound
}

/// One line on standard output, past the test harness's capture.
fn acknowledge(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("ack {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The process that is killed: writes records, counts, creates and rotates keys, and
/// acknowledges each when the store has.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let store = open(&dir).unwrap();
        let ring = Keyring::new(store.clone(), CacheConfig::default());
        match ring.create_tenant(&tenant()).await {
            Ok(()) | Err(KeyringError::TenantExists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        for writer in 0..3 {
            let (store, round) = (store.clone(), round.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    let path = format!("records/{round}-{writer}/{n}");
                    store.create(&path, path.as_bytes()).await.unwrap();
                    acknowledge(&format!("record {path}"));
                }
            });
        }
        tokio::spawn({
            let store = store.clone();
            async move {
                loop {
                    let (count, done) = match store.get("counter").await.unwrap() {
                        Some(record) => {
                            let text = std::str::from_utf8(&record.value).unwrap();
                            let count = text.parse::<u64>().unwrap() + 1;
                            let text = count.to_string();
                            let path = "counter";
                            (count, store.replace(path, text.as_bytes(), record.revision).await)
                        }
                        None => (0, store.create("counter", b"0").await),
                    };
                    done.unwrap();
                    acknowledge(&format!("count {count}"));
                }
            }
        });
        for n in 0.. {
            let name = if n % 2 == 0 { KEYS[n / 2 % 3].to_owned() } else { format!("{round}-{n}") };
            let key: KeyName = name.parse().unwrap();
            let version = match ring.rotate(&tenant(), &key, "tests").await {
                Ok(version) => version,
                Err(KeyringError::KeyNotFound { .. }) => {
                    let algorithm = Algorithm::default();
                    ring.create_key(&tenant(), &key, algorithm, BTreeMap::new(), "tests")
                        .await
                        .unwrap();
                    1
                }
                Err(error) => panic!("{error}"),
            };
            let found = ring.key(&tenant(), &key).await.unwrap();
            let expanded = ring.version(&found, version).await.unwrap();
            let ciphertext = expanded.seal(None, &binding(&name), name.as_bytes()).unwrap();
            let ciphertext = keyward_crypto::text::encode(&ciphertext);
            acknowledge(&format!("version {name} {version} {ciphertext}"));
        }
    });
}

fn start(dir: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Lets the process run for `time`, kills it, and returns what it acknowledged. `time` runs from
/// the first acknowledgement when `from_first`, from the start otherwise.
fn run_and_kill(dir: &Path, round: u32, time: Duration, from_first: bool) -> Vec<String> {
    let mut child = start(dir, round);
    let out = BufReader::new(child.stdout.take().unwrap());
    let (first, seen) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut out = out;
        let mut line = String::new();
        // A line without its end was not acknowledged.
        while out.read_line(&mut line).is_ok_and(|length| length > 0) && line.ends_with('\n') {
            // The harness may have begun the line.
            if let Some(at) = line.find("ack ") {
                let _ = first.send(());
                lines.push(line[at + 4..].trim_end().to_owned());
            }
            line.clear();
        }
        lines
    });
    if from_first {
        seen.recv_timeout(Duration::from_secs(30)).expect("the process writes");
    }
    std::thread::sleep(time);
    child.kill().unwrap(); // SIGKILL
    let status = child.wait().unwrap();
    let lines = reader.join().unwrap();
    assert!(status.code().is_none(), "the process ended by itself: {status}");
    lines
}

/// Finds what the lines acknowledge.
async fn verify(store: &Arc<EmbeddedStore>, lines: &[String]) {
    let ring = Keyring::new(store.clone(), CacheConfig::default());
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["record", path] => {
                let record = store.get(path).await.unwrap();
                let record = record.unwrap_or_else(|| panic!("{path} is lost"));
                assert_eq!(record.value.as_slice(), path.as_bytes());
            }
            ["count", count] => {
                let record = store.get("counter").await.unwrap().expect("the counter is lost");
                let found: u64 = std::str::from_utf8(&record.value).unwrap().parse().unwrap();
                assert!(found >= count.parse().unwrap(), "counted {count}, found {found}");
            }
            ["version", name, version, ciphertext] => {
                let version = version.parse().unwrap();
                let key = ring.key(&tenant(), &name.parse().unwrap()).await.unwrap();
                assert!(key.has_version(version), "{name} lost version {version}");
                assert!(key.current_version() >= version);
                assert_eq!(ring.key_by_id(&tenant(), key.id()).await.unwrap(), key);
                let expanded = ring.version(&key, version).await.unwrap();
                let ciphertext = keyward_crypto::text::decode(ciphertext).unwrap();
                let plaintext = expanded.open(&binding(name), &ciphertext).unwrap();
                assert_eq!(plaintext.as_slice(), name.as_bytes());
            }
            _ => panic!("unexpected line {line:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let began = Instant::now();
    for round in 0..KILLS {
        // One in four is killed at any point of its start, the others among writes.
        let time = Duration::from_micros(random(120_000));
        let lines = run_and_kill(dir.path(), round, time, round % 4 != 0);
        let store = open(dir.path()).unwrap();
        verify(&store, &lines).await;
        acknowledged.extend(lines);
    }
    let store = open(dir.path()).unwrap();
    verify(&store, &acknowledged).await;
    // The three keys can still be rotated, whatever was left half-way.
    let ring = Keyring::new(store, CacheConfig::default());
    for key in KEYS {
        ring.rotate(&tenant(), &key.parse().unwrap(), "tests").await.unwrap();
    }
    let count = |kind: &str| acknowledged.iter().filter(|line| line.starts_with(kind)).count();
    let counts = [count("record "), count("count "), count("version ")];
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    println!(
        "{KILLS} kills in {:?}: {} records, {} counts and {} key versions acknowledged and found",
        began.elapsed(),
        counts[0],
        counts[1],
        counts[2],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_the_store_is_created_leaves_a_usable_directory() {
    for round in 0..FRESH_KILLS {
        let dir = tempfile::tempdir().unwrap();
        let lines = run_and_kill(dir.path(), round, Duration::from_micros(random(60_000)), false);
        let store = open(dir.path()).unwrap();
        verify(&store, &lines).await;
        store.create("after", b"x").await.unwrap();
    }
}

#[test]
fn a_directory_in_use_by_another_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(dir.path(), 0);
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !line.contains("ack ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the process writes");
    }
    let error = open(dir.path()).err().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(error, StoreError::Locked { path: dir.path().to_owned() });
    assert!(open(dir.path()).is_ok());
}
