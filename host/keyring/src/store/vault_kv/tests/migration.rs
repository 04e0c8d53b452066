//! Migration between the wraps.

use super::*;
use crate::store::vault_kv::Wrap;
use crate::store::{Store, StoreError};

const SECRET: &[u8] = b"thirty-two bytes of key material";

fn material(n: usize) -> String {
    format!("tenants/t{}/keys/key.{}/versions/{}", n % 2, n % 3, n)
}

/// Everything that can be read below the prefix, in any revision.
fn dump(root: &Client) -> String {
    fn walk(root: &Client, folder: &str, out: &mut String) {
        for name in root.list(&format!("secret/metadata/e2ee{folder}")) {
            let path = format!("{folder}/{name}");
            if let Some(folder) = path.strip_suffix('/') {
                walk(root, folder, out);
            } else {
                for secret in revisions(root, path.trim_start_matches('/')) {
                    out.push_str(&secret.to_string());
                }
            }
        }
    }
    let mut out = String::new();
    walk(root, "", &mut out);
    out
}

#[tokio::test]
async fn both_ways_with_nothing_left_in_the_other_form() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let (plain, wrapped) = (store(&server, PREFIX), wrapping(&server, "wrapping"));
    for n in 1..=30 {
        plain.create(&material(n), SECRET).await.unwrap();
    }
    plain.create("tenants/t0", b"tenant").await.unwrap();
    plain.create("tenants/t0/keys/key.0", b"metadata").await.unwrap();
    wrapped.create(&material(31), SECRET).await.unwrap();

    let done = wrapped.migrate(Wrap::Transit).await.unwrap();
    assert_eq!((done.examined, done.rewritten, done.unchanged), (31, 30, 1), "{done}");
    assert_eq!((done.revisions_destroyed, done.gone, done.is_complete()), (30, 0, true));
    let dumped = dump(&root);
    assert!(!dumped.contains(&base64(SECRET)), "raw material is still readable");
    assert_eq!(dumped.matches("vault:v1:").count(), 31);
    assert!(dumped.contains(&base64(b"tenant")) && dumped.contains(&base64(b"metadata")));
    for n in 1..=31 {
        assert_eq!(wrapped.get(&material(n)).await.unwrap().unwrap().value.as_slice(), SECRET);
    }
    let again = wrapped.migrate(Wrap::Transit).await.unwrap();
    assert_eq!((again.rewritten, again.unchanged, again.revisions_destroyed), (0, 31, 0));

    let back = wrapped.migrate(Wrap::Plain).await.unwrap();
    assert_eq!((back.rewritten, back.revisions_destroyed, back.is_complete()), (31, 31, true));
    assert!(!dump(&root).contains("vault:v1:"));
    for n in 1..=31 {
        assert_eq!(plain.get(&material(n)).await.unwrap().unwrap().value.as_slice(), SECRET);
    }
}

#[tokio::test]
async fn an_interrupted_migration_is_finished_by_the_next() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let (plain, wrapped) = (store(&server, PREFIX), wrapping(&server, "wrapping"));
    // Stopped between the new revision and the destruction of the old one.
    let revision = plain.create(&material(1), SECRET).await.unwrap();
    wrapped.replace(&material(1), SECRET, revision).await.unwrap();
    assert!(dump(&root).contains(&base64(SECRET)));
    // And an old revision that somebody deleted, which can be undone.
    root.post(&format!("secret/delete/e2ee/{}", material(1)), &json!({"versions": [1]})).ok();

    let done = wrapped.migrate(Wrap::Transit).await.unwrap();
    assert_eq!((done.unchanged, done.revisions_destroyed), (1, 1));
    root.post(&format!("secret/undelete/e2ee/{}", material(1)), &json!({"versions": [1]}));
    assert!(!dump(&root).contains(&base64(SECRET)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_at_once_and_hosts_that_read_meanwhile() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let (plain, wrapped) = (store(&server, PREFIX), wrapping(&server, "wrapping"));
    for n in 1..=20 {
        plain.create(&material(n), SECRET).await.unwrap();
    }
    let reading = tokio::spawn({
        let wrapped = wrapped.clone();
        async move {
            for n in (1..=20).cycle().take(100) {
                let found = wrapped.get(&material(n)).await.unwrap().unwrap();
                assert_eq!(found.value.as_slice(), SECRET);
            }
        }
    });
    let other = wrapping(&server, "wrapping");
    let (one, two) = tokio::join!(wrapped.migrate(Wrap::Transit), other.migrate(Wrap::Transit));
    let (one, two) = (one.unwrap(), two.unwrap());
    reading.await.unwrap();
    assert_eq!(one.rewritten + two.rewritten, 20, "{one}; {two}");
    assert!(one.is_complete() && two.is_complete());
    assert!(!dump(&root).contains(&base64(SECRET)));
}

#[tokio::test]
async fn what_cannot_be_migrated_is_named_and_stops_nothing() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let (plain, wrapped) = (store(&server, PREFIX), wrapping(&server, "wrapping"));
    for n in [2, 4, 6] {
        plain.create(&material(n), SECRET).await.unwrap();
    }
    put(&root, &material(2), &json!({"value": 5}));
    root.delete(&format!("{PREFIX}/{}", material(4))).ok();
    let done = wrapped.migrate(Wrap::Transit).await.unwrap();
    assert_eq!((done.examined, done.rewritten, done.is_complete()), (3, 1, false));
    let mut failed = done.failed;
    failed.sort_by(|a, b| a.0.cmp(&b.0));
    let codes: Vec<_> = failed.iter().map(|(path, error)| (path.as_str(), error.code())).collect();
    let expected = [(material(4), "record-deleted"), (material(2), "store-corrupted")];
    let mut expected: Vec<_> = expected.iter().map(|(path, code)| (path.as_str(), *code)).collect();
    expected.sort_unstable();
    assert_eq!(codes, expected);
    // The damaged record's older revision is all there is to restore it from.
    assert_eq!(revisions(&root, &material(2)).len(), 2);

    let error = plain.migrate(Wrap::Transit).await.unwrap_err();
    assert!(matches!(error, StoreError::TransitKeyMissing { .. }));
}
