use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::backup::{Conflict, to_file};

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_backup_is_a_private_file_that_restores() {
    let (owner, store, dir) = (Owner::new(), populated().await, tempfile::tempdir().unwrap());
    let path = dir.path().join("all.age");
    let report = to_file(&*store, &Scope::All, &owner.recipients(), &path).await.unwrap();
    assert_eq!(names(dir.path()), ["all.age"]);
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, report.bytes));
    let file = std::fs::File::open(&path).unwrap();
    let restore = Restore::open(file, owner.identities(), None).await.unwrap();
    assert_eq!(restore.summary(), &report.summary);
    let target = MemoryStore::default();
    restore.apply(&target, Conflict::Refuse).await.unwrap();
    assert_eq!(contents(&target).await, contents(&*store).await);
    let again = to_file(&*store, &Scope::All, &owner.recipients(), &path).await.unwrap_err();
    assert_eq!(again.code(), "backup-file-exists");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), report.bytes);
}

#[tokio::test]
async fn a_backup_that_fails_or_is_given_up_leaves_no_file() {
    let (owner, store, dir) = (Owner::new(), populated().await, tempfile::tempdir().unwrap());
    let path = dir.path().join("all.age");
    let nobody = Scope::Tenant(tenant("nobody"));
    assert!(to_file(&*store, &nobody, &owner.recipients(), &path).await.is_err());
    assert!(names(dir.path()).is_empty());

    let stuck = super::interrupted::Faulty::stuck_at(store, 9);
    let recipients = owner.recipients();
    let backup = to_file(&stuck, &Scope::All, &recipients, &path);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), async {
            tokio::pin!(backup);
            tokio::select! {
                _ = &mut backup => panic!("it was not stuck"),
                () = async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    assert_eq!(names(dir.path()).len(), 1);
                    std::future::pending::<()>().await;
                } => {}
            }
        })
        .await
        .is_err()
    );
    assert!(names(dir.path()).is_empty());
}
