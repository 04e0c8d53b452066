use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{EmbeddedStore, RootKeySource};
use crate::store::{Store, StoreError, conformance};

fn key_file(dir: &TempDir) -> RootKeySource {
    RootKeySource::File(dir.path().join("root.key"))
}

fn value(text: &str) -> RootKeySource {
    RootKeySource::Value(Zeroizing::new(text.to_owned()))
}

fn passphrase(text: &str) -> RootKeySource {
    RootKeySource::Passphrase(Zeroizing::new(text.to_owned()))
}

fn database(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("keyward.redb")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn refused(dir: &TempDir, source: &RootKeySource) -> StoreError {
    EmbeddedStore::open(dir.path(), source).err().unwrap()
}

type Table<'a> = redb::Table<'a, &'static str, &'static [u8]>;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap());
    conformance::check(store.clone(), "suite").await;
    conformance::check(store, "suite/again").await;
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    let first = store.create("a/b", b"one").await.unwrap();
    let second = store.replace("a/b", b"two", first).await.unwrap();
    store.create("a/gone", b"x").await.unwrap();
    store.delete("a/gone").await.unwrap();
    let derived = store.root_key().derive(b"x").unwrap().expose().to_owned();
    drop(store);

    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    let record = store.get("a/b").await.unwrap().unwrap();
    assert_eq!((record.value.as_slice(), record.revision), (b"two".as_slice(), second));
    assert!(store.get("a/gone").await.unwrap().is_none());
    assert_eq!(store.root_key().derive(b"x").unwrap().expose(), &derived);
    assert!(store.create("a/c", b"x").await.unwrap() > second);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_revision_is_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    let first = store.create("a", b"one").await.unwrap();
    store.delete("a").await.unwrap();
    store.create("a", b"two").await.unwrap();
    // Whoever read the record before it was deleted cannot replace its successor.
    assert!(matches!(
        store.replace("a", b"three", first).await,
        Err(StoreError::RevisionMismatch { .. })
    ));
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deep/data");
    let key = dir.join("root.key");
    let store = EmbeddedStore::open(&dir, &RootKeySource::File(key.clone())).unwrap();
    store.create("a", b"x").await.unwrap();
    assert_eq!(mode(&dir), 0o700);
    for file in ["keyward.redb", "keyward.lock", "root.key"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3, "nothing else is left");
    drop(store);

    // A database that became readable is closed again; a key file that did is refused.
    fs::set_permissions(dir.join("keyward.redb"), fs::Permissions::from_mode(0o644)).unwrap();
    drop(EmbeddedStore::open(&dir, &RootKeySource::File(key.clone())).unwrap());
    assert_eq!(mode(&dir.join("keyward.redb")), 0o600);
    for exposed in [0o644, 0o640, 0o660, 0o602] {
        fs::set_permissions(&key, fs::Permissions::from_mode(exposed)).unwrap();
        let error = EmbeddedStore::open(&dir, &RootKeySource::File(key.clone())).err().unwrap();
        assert_eq!(error, StoreError::RootKeyExposed { path: key.clone(), mode: exposed });
        assert!(error.to_string().contains("chmod 600"));
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(EmbeddedStore::open(&dir, &RootKeySource::File(key)).is_ok());
}

#[test]
fn an_empty_directory_is_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    EmbeddedStore::open(dir.path(), &value(KEY)).unwrap();
    assert_eq!(mode(dir.path()), 0o700);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &value(KEY)).unwrap();
    let error = refused(&dir, &value(KEY));
    assert_eq!(error, StoreError::Locked { path: dir.path().to_owned() });
    assert!(error.to_string().contains("another process"));
    drop(store);
    assert!(EmbeddedStore::open(dir.path(), &value(KEY)).is_ok());
}

#[test]
fn a_lost_key_file_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap());
    let key = dir.path().join("root.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let error = refused(&dir, &key_file(&dir));
    assert!(matches!(error, StoreError::RootKeyMissing { .. }));
    assert!(error.to_string().contains("backup"));
    assert!(!key.exists());

    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(EmbeddedStore::open(dir.path(), &key_file(&dir)).is_ok());
}

#[test]
fn an_existing_key_file_serves_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("root.key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    drop(EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap());
    // The same key as a value.
    assert!(EmbeddedStore::open(dir.path(), &value(KEY)).is_ok());
}

#[tokio::test]
async fn another_root_key_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &value(KEY)).unwrap();
    store.create("a", b"x").await.unwrap();
    drop(store);
    for source in [value(OTHER_KEY), passphrase("correct horse battery staple")] {
        let error = refused(&dir, &source);
        assert!(matches!(error, StoreError::WrongRootKey { .. }), "{error}");
        assert!(!error.to_string().contains("AQEC") && !error.to_string().contains("horse"));
    }
    let store = EmbeddedStore::open(dir.path(), &value(KEY)).unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value.as_slice(), b"x");
}

#[test]
fn what_is_not_a_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long = "A".repeat(1000);
    for bad in ["", "x", "AAAA", &KEY[..40], &format!("{KEY}AAAA"), "\u{0}", &long, "é"] {
        let error = refused(&dir, &value(bad));
        assert!(matches!(error, StoreError::RootKeyInvalid { .. }), "{bad:?}");
        assert!(error.to_string().contains("32 bytes in base64"));
    }
    let key = dir.path().join("root.key");
    for bad in [b"".as_slice(), b"secret-text", &[0xFF; 44], &[b'A'; 5000]] {
        fs::write(&key, bad).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let error = refused(&dir, &key_file(&dir));
        assert!(matches!(error, StoreError::RootKeyInvalid { .. }), "{error}");
        assert!(!error.to_string().contains("secret-text"));
    }
    assert!(matches!(refused(&dir, &passphrase("short")), StoreError::RootKeyInvalid { .. }));
    assert!(!database(&dir).exists());
    // Space around a key, and no padding, are fine.
    let loose = format!(" {}\r\n", KEY.trim_end_matches('='));
    assert!(EmbeddedStore::open(dir.path(), &value(&loose)).is_ok());
}

#[tokio::test]
async fn a_passphrase_opens_its_own_store() {
    let dir = tempfile::tempdir().unwrap();
    let right = passphrase("correct horse battery staple");
    let store = EmbeddedStore::open(dir.path(), &right).unwrap();
    let root = *store.root_key().expose();
    store.create("a", b"x").await.unwrap();
    drop(store);
    let error = refused(&dir, &passphrase("correct horse battery stable"));
    assert!(matches!(error, StoreError::WrongRootKey { .. }));
    assert!(matches!(refused(&dir, &value(KEY)), StoreError::WrongRootKey { .. }));
    let store = EmbeddedStore::open(dir.path(), &right).unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value.as_slice(), b"x");

    // The same passphrase elsewhere is another key.
    let other = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(other.path(), &right).unwrap();
    assert_ne!(store.root_key().expose(), &root);
}

#[tokio::test]
async fn values_are_sealed_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    let secret = b"the quick brown fox jumps";
    store.create("a", secret).await.unwrap();
    drop(store);
    let file = fs::read(database(&dir)).unwrap();
    assert!(!file.windows(secret.len()).any(|window| window == secret));
    let key = fs::read(dir.path().join("root.key")).unwrap();
    assert!(!file.windows(key.len()).any(|window| window == key.as_slice()));
}

#[tokio::test]
async fn a_value_opens_only_in_its_place() {
    const RECORDS: redb::TableDefinition<'_, &'static str, &'static [u8]> =
        redb::TableDefinition::new("records");
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    let old = store.create("a", b"old").await.unwrap();
    store.create("b", b"other").await.unwrap();
    drop(store);
    let edit = |change: &dyn Fn(&mut Table<'_>)| {
        let redb = redb::Database::open(database(&dir)).unwrap();
        let transaction = redb.begin_write().unwrap();
        change(&mut transaction.open_table(RECORDS).unwrap());
        transaction.commit().unwrap();
    };
    let row = |table: &Table<'_>, path: &str| {
        redb::ReadableTable::get(table, path).unwrap().unwrap().value().to_vec()
    };
    let kept = std::cell::OnceCell::new();
    edit(&|table| {
        kept.set(row(table, "a")).unwrap();
        let moved = row(table, "b");
        table.insert("a", moved.as_slice()).unwrap();
    });
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    assert!(matches!(store.get("a").await, Err(StoreError::Corrupted { .. })));
    assert_eq!(store.get("b").await.unwrap().unwrap().value.as_slice(), b"other");
    drop(store);

    // The old value under a new revision, and a row that is cut.
    for row in [[&(old + 9).to_be_bytes(), &kept.get().unwrap()[8..]].concat(), vec![1, 2, 3]] {
        edit(&|table| {
            table.insert("a", row.as_slice()).unwrap();
        });
        let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
        assert!(matches!(store.get("a").await, Err(StoreError::Corrupted { .. })));
    }
}

#[tokio::test]
async fn an_unfinished_database_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("keyward.redb.new"), b"half").unwrap();
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    store.create("a", b"x").await.unwrap();
    drop(store);
    assert!(!dir.path().join("keyward.redb.new").exists());
    assert!(EmbeddedStore::open(dir.path(), &key_file(&dir)).is_ok());
}

#[tokio::test]
async fn what_was_handed_over_is_written_even_if_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    for n in 0..20 {
        let path = format!("a/{n}");
        let write = store.create(&path, b"x");
        assert!(write.now_or_never().is_none());
    }
    drop(store);
    let store = EmbeddedStore::open(dir.path(), &key_file(&dir)).unwrap();
    assert_eq!(store.list("a").await.unwrap().len(), 20);
}

mod damage {
    use super::*;

    const RECORDS: usize = 200;

    fn path(n: usize) -> String {
        format!("folder/{n}")
    }

    fn content(n: usize) -> Vec<u8> {
        vec![u8::try_from(n).unwrap(); 20 + n * 7]
    }

    /// A database with records, deletions and replacements, as bytes.
    async fn sample() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path(), &value(KEY)).unwrap();
        for n in 0..RECORDS {
            let revision = store.create(&path(n), b"first").await.unwrap();
            store.replace(&path(n), &content(n), revision).await.unwrap();
            if n % 3 == 0 {
                store.create(&format!("gone/{n}"), &content(n)).await.unwrap();
                store.delete(&format!("gone/{n}")).await.unwrap();
            }
        }
        drop(store);
        fs::read(database(&dir)).unwrap()
    }

    fn random(bound: usize) -> usize {
        let mut bytes = [0; 8];
        keyward_crypto::random_bytes(&mut bytes).unwrap();
        usize::try_from(u64::from_le_bytes(bytes) % bound as u64).unwrap()
    }

    /// Opens a database of these bytes, if it opens, and uses it. Whatever happens, nothing
    /// panics and no value is wrong.
    async fn survives(bytes: &[u8]) -> Result<(), StoreError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(database(&dir), bytes).unwrap();
        let store = EmbeddedStore::open(dir.path(), &value(KEY))?;
        let mut result = Ok(());
        for n in 0..RECORDS {
            match store.get(&path(n)).await {
                Ok(Some(record)) => assert_eq!(*record.value, content(n)),
                // A missing record would be an acknowledged write lost in silence.
                Ok(None) => panic!("record {n} vanished"),
                Err(error) => result = Err(error),
            }
        }
        if let Err(error) = store.list("folder").await {
            result = Err(error);
        }
        if let Err(error) = store.create("more", b"x").await {
            result = Err(error);
        }
        result
    }

    #[tokio::test]
    async fn what_is_not_a_database_is_an_error() {
        let sample = sample().await;
        survives(&sample).await.unwrap();
        for bytes in [
            Vec::new(),
            b"text".to_vec(),
            vec![0; 100_000],
            vec![0xFF; 100_000],
            sample[..100].to_vec(),
            sample[..4096].to_vec(),
            sample[..sample.len() / 2].to_vec(),
        ] {
            let error = survives(&bytes).await.unwrap_err();
            assert!(matches!(error, StoreError::Corrupted { .. }), "{error}");
            assert!(error.to_string().contains("backup"));
        }
    }

    #[tokio::test]
    async fn random_damage_is_an_error_never_a_crash_or_a_wrong_value() {
        let sample = sample().await;
        let mut noticed = 0;
        for round in 0..120 {
            let mut bytes = sample.clone();
            let at = if round % 4 == 0 { random(4096) } else { random(bytes.len()) };
            match round % 6 {
                0 => bytes[at] ^= 1 << random(8),
                1 => (0..20).for_each(|_| {
                    let at = random(sample.len());
                    bytes[at] = bytes[at].wrapping_add(1);
                }),
                2 => bytes[at..].iter_mut().take(4096).for_each(|byte| *byte = 0),
                3 => bytes[at..].iter_mut().take(512).for_each(|byte| *byte = 0xFF),
                4 => bytes.truncate(at),
                _ => {
                    let from = random(bytes.len() / 4096) * 4096;
                    let to = random(bytes.len() / 4096) * 4096;
                    bytes.copy_within(from..from + 4096, to);
                }
            }
            if let Err(error) = survives(&bytes).await {
                noticed += 1;
                // Anything else would send the user the wrong way.
                assert!(matches!(error, StoreError::Corrupted { .. }), "{error}");
            }
        }
        // Damage to free space goes unnoticed, rightly.
        assert!(noticed > 30, "{noticed}");
    }
}
