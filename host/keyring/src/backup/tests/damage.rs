use std::io::Write as _;

use age::Encryptor;

use super::*;
use crate::backup::frame::{self, Kind};
use crate::backup::header::{End, Header};
use crate::backup::origin::Signer;

/// A frame: its kind, path and value.
type Made<'a> = (Kind, &'a str, &'a [u8]);
/// Makes an end of the right one.
type MakeEnd = fn(End) -> Option<End>;

/// Opening fails with one of these codes.
async fn refused(owner: &Owner, bytes: &[u8], codes: &[&str], what: &str) {
    match owner.open(bytes).await {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => assert!(codes.contains(&error.code()), "{what}: {error:?}"),
    }
}

fn encrypted(owner: &Owner, text: &[u8]) -> Vec<u8> {
    let recipient: age::x25519::Recipient = owner.public.parse().unwrap();
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
    let mut bytes = Vec::new();
    let mut writer = encryptor.wrap_output(&mut bytes).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A store whose backup spans several blocks of age.
async fn large() -> Arc<MemoryStore> {
    let store = populated().await;
    store.create("tenants/demo/large", &vec![7; 200_000]).await.unwrap();
    store
}

/// Where the encrypted part begins.
fn payload(bytes: &[u8]) -> usize {
    let mac = bytes.windows(5).position(|window| window == b"\n--- ").unwrap();
    mac + 1 + bytes[mac + 1..].iter().position(|byte| *byte == b'\n').unwrap() + 1
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_refused() {
    let (owner, store) = (Owner::new(), large().await);
    let bytes = owner.all_of(&*store).await;
    let payload = payload(&bytes);
    assert!(payload > 100 && bytes.len() > 200_000);
    let sampled = (payload..bytes.len()).step_by(4_999).chain(bytes.len() - 20..bytes.len());
    for at in (0..payload + 20).chain(sampled) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x01;
        let codes: &[&str] = if at < payload {
            // The header says who can open it and how: a change in it may look like any of these.
            &["backup-foreign", "backup-wrong-identity", "backup-damaged", "backup-truncated"]
        } else {
            &["backup-damaged"]
        };
        refused(&owner, &changed, codes, &format!("byte {at}")).await;
    }
}

#[tokio::test]
async fn every_end_but_the_right_one_is_refused() {
    let (owner, store) = (Owner::new(), large().await);
    let bytes = owner.all_of(&*store).await;
    let block = (64 << 10) + 16;
    let payload = payload(&bytes) + 16;
    let borders = (1..=3).flat_map(|n| [payload + n * block - 1, payload + n * block]);
    let sampled =
        (0..bytes.len()).step_by(4_999).chain(borders).chain(bytes.len() - 40..bytes.len());
    for length in sampled {
        let codes: &[&str] =
            if length < 19 { &["backup-foreign"] } else { &["backup-truncated", "backup-damaged"] };
        refused(&owner, &bytes[..length], codes, &format!("length {length}")).await;
    }
    for more in [1, 15, 16, 17, block] {
        let longer = [bytes.as_slice(), &vec![0; more]].concat();
        refused(&owner, &longer, &["backup-damaged"], &format!("{more} more")).await;
    }
    let twice = [bytes.as_slice(), &bytes].concat();
    refused(&owner, &twice, &["backup-damaged"], "twice").await;
}

#[tokio::test]
async fn what_is_no_backup_of_ours_is_told_apart() {
    let (owner, store) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*store).await;
    refused(&Owner::new(), &bytes, &["backup-wrong-identity"], "another identity").await;
    refused(&owner, b"", &["backup-foreign"], "nothing").await;
    refused(&owner, &vec![b'x'; 100_000], &["backup-foreign"], "no age file").await;
    refused(&owner, b"-----BEGIN AGE ENCRYPTED FILE-----\n", &["backup-foreign"], "armor").await;
    refused(
        &owner,
        b"age-encryption.org/v9\n",
        &["backup-foreign", "backup-truncated", "backup-damaged"],
        "age of a later time",
    )
    .await;
    let foreign = encrypted(&owner, b"holiday pictures");
    refused(&owner, &foreign, &["backup-foreign"], "a foreign age file").await;
    let newer = encrypted(&owner, b"keyward-backup 2\n\x00\x01\x02");
    refused(&owner, &newer, &["backup-newer-format"], "a newer format").await;
}

/// An archive made by hand: each frame, and the end if any.
async fn forged(
    owner: &Owner,
    scope: Scope,
    frames: &[Made<'_>],
    end: impl FnOnce(End) -> Option<End>,
) -> Vec<u8> {
    let signer = Signer::of(&MemoryStore::default()).await.unwrap();
    let mut text = Header { created_at: 1, scope, origin: signer.origin() }.encode();
    for (kind, path, value) in frames {
        text.extend(frame::head(*kind, path, value).unwrap());
        text.extend_from_slice(value);
    }
    let digest = keyward_crypto::sha256(&text);
    let signature = signer.sign(&digest);
    if let Some(end) = end(End { frames: frames.len() as u64, digest, signature }) {
        let value = end.encode();
        text.extend(frame::head(Kind::End, "", &value).unwrap());
        text.extend(value);
    }
    encrypted(owner, &text)
}

#[tokio::test]
async fn the_archive_proves_itself_within_the_encryption_too() {
    let owner = Owner::new();
    let frames = [(Kind::Record, "a", b"1".as_slice()), (Kind::Record, "b", b"2")];
    let make = async |end: MakeEnd| forged(&owner, Scope::All, &frames, end).await;
    assert!(owner.open(&make(Some).await).await.is_ok());
    refused(&owner, &make(|_| None).await, &["backup-truncated"], "no end").await;
    let damaged: [(MakeEnd, _); 3] = [
        (|end| Some(End { frames: 1, ..end }), "another count"),
        (|end| Some(End { digest: [0; 32], ..end }), "another digest"),
        (|end| Some(End { signature: [0; 64], ..end }), "another signature"),
    ];
    for (end, what) in damaged {
        refused(&owner, &make(end).await, &["backup-damaged"], what).await;
    }
}

#[tokio::test]
async fn records_that_no_backup_holds_are_refused() {
    let owner = Owner::new();
    let demo = || Scope::Tenant(tenant("demo"));
    let metadata = br#"{"id":"00000000000000ab","versions":[{"version":1}]}"#.as_slice();
    let key = (Kind::Key, "tenants/demo/keys/k", metadata);
    let cases: [(_, Scope, &[Made<'_>]); 11] = [
        ("a path that is none", Scope::All, &[(Kind::Record, "../x", b"")]),
        ("another tenant", demo(), &[(Kind::Record, "tenants/other", b"{}")]),
        ("an operator", demo(), &[(Kind::Record, "tokens/1", br#"{"reach":"operator"}"#)]),
        ("what hosts tell each other", Scope::All, &[(Kind::Record, "changes", b"")]),
        ("the origin's key", Scope::All, &[(Kind::Record, "backup-origin", b"")]),
        ("a key as a record", demo(), &[(Kind::Record, key.1, metadata)]),
        ("a part of nothing", demo(), &[(Kind::Part, "tenants/demo/keys/k/versions/1", b"")]),
        ("no metadata", demo(), &[(Kind::Key, key.1, b"{}")]),
        (
            "another key's part",
            demo(),
            &[key, (Kind::Part, "tenants/demo/keys/k2/versions/1", b"")],
        ),
        ("a version unlisted", demo(), &[key, (Kind::Part, "tenants/demo/keys/k/versions/2", b"")]),
        ("another id", demo(), &[key, (Kind::Part, "tenants/demo/key-ids/00000000000000ac", b"k")]),
    ];
    for (what, scope, frames) in cases {
        let bytes = forged(&owner, scope, frames, Some).await;
        refused(&owner, &bytes, &["backup-damaged"], what).await;
    }
    let parts = [
        key,
        (Kind::Part, "tenants/demo/keys/k/versions/1", b"m".as_slice()),
        (Kind::Part, "tenants/demo/key-ids/00000000000000ab", b"k"),
    ];
    assert!(owner.open(&forged(&owner, demo(), &parts, Some).await).await.is_ok());
}

#[tokio::test]
async fn the_origin_is_checked_when_it_is_given() {
    let (owner, store) = (Owner::new(), populated().await);
    let (bytes, report) = owner.back_up(&*store, &Scope::All).await;
    let open = async |origin: crate::backup::Origin| {
        Restore::open(Cursor::new(bytes.clone()), owner.identities(), Some(origin)).await
    };
    let origin = report.summary.origin;
    assert!(open(origin).await.is_ok());
    let other = Signer::of(&MemoryStore::default()).await.unwrap().origin();
    assert_eq!(open(other).await.err().unwrap().code(), "backup-wrong-origin");
}
