//! A data directory that may not be written to. Permissions do not bind the superuser, so the
//! attempt is made by a process of this test binary that runs as an ordinary user.
#![allow(clippy::unwrap_used)] // in the helpers of tests

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_keyring::embedded::{EmbeddedStore, RootKeySource};
use zeroize::Zeroizing;

const DIR: &str = "KEYWARD_READ_ONLY_TEST_DIR";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// `nobody` on most systems; any unprivileged user does.
const NOBODY: u32 = 65_534;

fn source() -> RootKeySource {
    RootKeySource::Value(Zeroizing::new(KEY.to_owned()))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The ordinary user's process: opens the store and prints what came of it.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    match EmbeddedStore::open(&dir, &source()) {
        Ok(_) => println!("result: opened"),
        Err(error) => println!("result: {} {error}", error.code()),
    }
}

/// Opens the store in `dir` as an ordinary user.
fn open_as_user(dir: &Path) -> String {
    // A copy where that user may run it.
    let place = tempfile::tempdir().unwrap();
    set_mode(place.path(), 0o755);
    let program = place.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    let mut command = Command::new(&program);
    command.args(["--exact", "child", "--nocapture"]).env(DIR, dir);
    if is_superuser(dir) {
        command.uid(NOBODY).gid(NOBODY).current_dir(place.path());
    }
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let at = text.find("result: ").unwrap_or_else(|| panic!("{text} {out:?}"));
    text[at + 8..].lines().next().unwrap().to_owned()
}

/// Only the superuser may give a file away.
fn is_superuser(dir: &Path) -> bool {
    let probe = dir.with_extension("probe");
    fs::write(&probe, b"").unwrap();
    let result = chown(&probe, Some(NOBODY), Some(NOBODY));
    fs::remove_file(&probe).unwrap();
    result.is_ok()
}

#[test]
fn what_cannot_be_written_is_named_with_what_to_do() {
    let parent = tempfile::tempdir().unwrap();
    set_mode(parent.path(), 0o755);
    let dir = parent.path().join("data");
    drop(EmbeddedStore::open(&dir, &source()).unwrap());
    let files = ["keyward.redb", "keyward.lock"].map(|file| dir.join(file));
    if is_superuser(&dir) {
        for path in files.iter().chain([&dir]) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    assert_eq!(open_as_user(&dir), "opened");

    let refused = |what: &Path| {
        let result = open_as_user(&dir);
        assert!(result.starts_with("store-read-only "), "{result}");
        assert!(result.contains(what.to_str().unwrap()), "{result}");
        assert!(result.contains("read and write access"), "{result}");
    };
    // Each file in turn.
    for file in &files {
        set_mode(file, 0o400);
        refused(file);
        set_mode(file, 0o600);
    }
    // A directory where nothing can be created.
    fs::remove_file(&files[0]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    set_mode(&dir, 0o500);
    refused(&files[1]);
    // A directory that cannot be created.
    fs::remove_dir(&dir).unwrap();
    set_mode(parent.path(), 0o555);
    refused(&dir);
    set_mode(parent.path(), 0o755);
}
