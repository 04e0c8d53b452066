use super::*;
use crate::backup::{Conflict, readdress};

fn code(result: Result<u64, BackupError>) -> &'static str {
    result.unwrap_err().code()
}

#[tokio::test]
async fn a_readdressed_backup_is_the_same_backup_for_another() {
    let (owner, store) = (Owner::new(), populated().await);
    let (bytes, report) = owner.back_up(&*store, &Scope::All).await;
    let (identities, recipient) = Identities::generate();
    let to = Recipients::keys([recipient]).unwrap();
    let mut out = Vec::new();
    readdress(bytes.as_slice(), &owner.identities(), &to, &mut out).unwrap();
    let refused = owner.open(&out).await.err().unwrap();
    assert_eq!(refused.code(), "backup-wrong-identity");
    let restore = Restore::open(Cursor::new(out), identities, None).await.unwrap();
    assert_eq!(restore.summary(), &report.summary);
    let target = Arc::new(MemoryStore::default());
    restore.apply(&*target, Conflict::Refuse).await.unwrap();
    assert!(restore.plan(&*target).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_open_is_not_passed_on() {
    let (owner, store) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*store).await;
    let (other, recipient) = Identities::generate();
    let to = Recipients::keys([recipient]).unwrap();
    let mut out = Vec::new();
    assert_eq!(code(readdress(bytes.as_slice(), &other, &to, &mut out)), "backup-wrong-identity");
    assert_eq!(code(readdress(&b"text"[..], &other, &to, &mut out)), "backup-foreign");
    assert!(out.is_empty());
    let cut = &bytes[..bytes.len() - 1];
    let identities = owner.identities();
    assert!(["backup-damaged", "backup-truncated"].contains(&code(readdress(
        cut,
        &identities,
        &to,
        &mut out
    ))));
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(code(readdress(changed.as_slice(), &identities, &to, &mut out)), "backup-damaged");
    // What it wrote until then is no backup.
    let ended = Restore::open(Cursor::new(out), other, None).await;
    assert!(ended.is_err());
}
