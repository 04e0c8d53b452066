//! The configuration's file, the data directory, the root key, the audit log, and room on the disk.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keyward_keyring::embedded::{EmbeddedStore, RootKeySource};
use keyward_keyring::store::StoreError;

use super::Findings;
use crate::config::Config;

/// Less than this is worth a word; the store and the audit log grow.
const LITTLE: u64 = 1 << 30;
/// Less than this, and the next writes may fail.
const TOO_LITTLE: u64 = 64 << 20;
/// A write that takes so long to reach the disk slows every change of a key.
const SLOW: Duration = Duration::from_millis(50);

pub(super) fn look(config: &Config, findings: &mut Findings) {
    if let Some(file) = config.source.as_ref().and_then(|source| source.file()) {
        writable_by_others("configuration file", file, findings);
    }
    let is_there = directory("data directory", &config.data_dir, findings);
    if let Some(audit) = &config.audit
        && !audit.dir.starts_with(&config.data_dir)
    {
        directory("audit directory", &audit.dir, findings);
    }
    root_key(&config.root_key, findings);
    if is_there && config.vault.is_none() {
        store(config, findings);
    }
}

fn mode(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|about| about.mode() & 0o7777)
}

fn writable_by_others(check: &'static str, path: &Path, findings: &mut Findings) {
    let shown = path.display();
    match mode(path) {
        Some(mode) if mode & 0o022 != 0 => findings.warning(
            check,
            format!("others may change {shown} (mode {mode:o}), and with it what the server does"),
            format!("chmod go-w {shown}"),
        ),
        Some(_) => findings.ok(check, format!("{shown} is changed by its owner alone")),
        None => findings.skipped(check, format!("{shown} cannot be looked at")),
    }
}

/// Whether it is there.
fn directory(check: &'static str, dir: &Path, findings: &mut Findings) -> bool {
    let shown = dir.display();
    match dir.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            missing(check, dir, findings);
            return false;
        }
        Err(error) => {
            findings.failed(
                check,
                format!("{shown}: {error}"),
                format!("chown it to who runs the server: chown -R USER {shown}"),
            );
            return false;
        }
        Ok(about) if !about.is_dir() => {
            findings.failed(
                check,
                format!("{shown} is no directory"),
                "set `data_dir` or `audit.dir` to another path",
            );
            return false;
        }
        Ok(about) if about.mode() & 0o077 != 0 => findings.warning(
            check,
            format!("others may look into {shown} (mode {:o})", about.mode() & 0o7777),
            format!("chmod 700 {shown}"),
        ),
        Ok(_) => findings.ok(check, format!("{shown} is its owner's alone")),
    }
    write(check, dir, findings);
    room(dir, findings);
    true
}

fn missing(check: &'static str, dir: &Path, findings: &mut Findings) {
    let shown = dir.display();
    let parent = dir.ancestors().skip(1).find(|parent| parent.exists() || *parent == Path::new(""));
    let parent = parent.filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    match probe(parent) {
        Ok(_) => {
            findings.ok(check, format!("{shown} is not there and will be made"));
            room(parent, findings);
        }
        Err(error) => findings.failed(
            check,
            format!("{shown} is not there and cannot be made: {error}"),
            format!("mkdir -p -m 700 {shown} && chown USER {shown}"),
        ),
    }
}

/// Writes a file, sees it onto the disk and removes it; how long that took.
fn probe(dir: &Path) -> std::io::Result<Duration> {
    let path = dir.join(format!(".keyward-doctor.{}", std::process::id()));
    let start = Instant::now();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    let took = start.elapsed();
    fs::remove_file(&path)?;
    written.map(|()| took)
}

fn write(check: &'static str, dir: &Path, findings: &mut Findings) {
    let shown = dir.display();
    match probe(dir) {
        Ok(took) if took > SLOW => findings.warning(
            check,
            format!("a write to {shown} takes {} ms to reach the disk", took.as_millis()),
            "move it to a faster disk: each change of a key, and strict audit entries, wait so long",
        ),
        Ok(took) => findings.ok(check, format!("a write reaches the disk in {} µs", took.as_micros())),
        Err(error) => findings.failed(
            check,
            format!("nothing can be written to {shown}: {error}"),
            format!("chown -R USER {shown}; mount it writable"),
        ),
    }
}

fn room(dir: &Path, findings: &mut Findings) {
    let (check, shown) = ("disk", dir.display());
    let Ok(about) = rustix::fs::statvfs(dir) else {
        return findings.skipped(check, format!("{shown} cannot be asked"));
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let text = format!("{} MiB are free for {shown}", free >> 20);
    let fix = "make room, or set `data_dir` or `audit.dir` to another disk";
    if free < TOO_LITTLE || (about.f_files > 0 && about.f_favail < 64) {
        findings.failed(check, format!("{text}, {} files", about.f_favail), fix);
    } else if free < LITTLE {
        findings.warning(check, text, fix);
    } else {
        findings.ok(check, text);
    }
}

fn root_key(source: &RootKeySource, findings: &mut Findings) {
    let check = "root key";
    let RootKeySource::File(path) = source else {
        return findings.ok(check, "it is given by the environment");
    };
    let shown = path.display();
    match path.metadata() {
        Ok(about) if about.mode() & 0o077 != 0 => findings.failed(
            check,
            format!(
                "others may read {shown} (mode {:o}), and with it every key",
                about.mode() & 0o7777
            ),
            format!("chmod 600 {shown}, and rotate keys if somebody did"),
        ),
        Ok(_) => findings.ok(check, format!("{shown} is its owner's alone; keep a copy elsewhere")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.ok(check, format!("{shown} is not there; a new store has it made"));
        }
        Err(error) => {
            findings.failed(check, format!("{shown}: {error}"), format!("chown USER {shown}"));
        }
    }
}

/// Opens a store that is there, unless a server has it open.
fn store(config: &Config, findings: &mut Findings) {
    let check = "key store";
    let database: PathBuf = config.data_dir.join("keyward.redb");
    if !database.exists() {
        return findings.ok(check, "there is none yet; it will be made");
    }
    match EmbeddedStore::open(&config.data_dir, &config.root_key) {
        Ok(_) => findings.ok(check, "it opens under the root key"),
        Err(StoreError::Locked { .. }) => {
            findings.ok(check, "a server has it open: this one, if it is yours");
        }
        Err(error) => {
            let fix = "give the root key it was made with, or restore a backup: docs/backup.md";
            findings.failed(check, error.to_string(), fix);
        }
    }
}
