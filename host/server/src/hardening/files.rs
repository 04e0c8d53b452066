//! Which files there are for the process: Landlock.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use keyward_keyring::embedded::RootKeySource;

use crate::config::Config;
use crate::files::create_private_dir;
use crate::policies::BucketSettings;

/// What the code below knows of; older kernels do what they can.
const KNOWN: ABI = ABI::V6;

/// What any program may have to read: names and certificates of others, libraries that the system's
/// resolver loads, and what the allocator and the runtime ask about the machine.
const SYSTEM: [&str; 10] = [
    "/etc",
    "/usr/share",
    "/usr/local/share",
    "/run/systemd/resolve",
    "/run/nscd",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/random",
];
/// What may be executed: the program itself, which compiles policies, and what it is linked to.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// Leaves the process the files that a server with this configuration needs. It listens already, and
/// cannot anywhere else.
pub fn restrict(config: &Config) -> Result<(), String> {
    match enforce(&own(config), &read(config)) {
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        Ok(RulesetStatus::PartiallyEnforced) => {
            Err("this kernel's Landlock has only a part of it".into())
        }
        Ok(RulesetStatus::NotEnforced) => Err("this kernel has no Landlock".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn enforce(own: &[PathBuf], read: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let (reads, executes) = (AccessFs::ReadFile | AccessFs::ReadDir, AccessFs::Execute);
    let writes: BitFlags<AccessFs> = AccessFs::from_all(KNOWN) & !executes;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(own, writes))?
        .add_rules(path_beneath_rules(read, reads))?
        .add_rules(path_beneath_rules(SYSTEM, reads))?
        .add_rules(path_beneath_rules(LIBRARIES, reads | executes))?
        .add_rules(path_beneath_rules(std::env::current_exe(), reads | executes))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Makes directories that are the server's own: what is not there cannot be allowed. Where one cannot
/// be made, whoever needs it says so.
pub fn make(config: &Config) {
    for dir in directories(config) {
        let _ = create_private_dir(dir);
    }
}

fn directories(config: &Config) -> impl Iterator<Item = &Path> {
    let audit = config.audit.as_ref().map(|audit| audit.dir.as_path());
    [config.data_dir.as_path()].into_iter().chain(audit)
}

fn own(config: &Config) -> Vec<PathBuf> {
    // A root key's file is made where there is none.
    let key = match &config.root_key {
        RootKeySource::File(path) if !path.exists() => Some(folder(path)),
        _ => None,
    };
    directories(config).map(Path::to_owned).chain(key).collect()
}

/// Directories of files that the configuration names: files in them are replaced by others, and
/// Kubernetes replaces what they are links to.
fn read(config: &Config) -> Vec<PathBuf> {
    let policies = crate::dev::policies_dir(config.policies_dir.as_deref());
    let credentials = config.policy.store.iter().flat_map(|_| BucketSettings::credential_files());
    let files = config.files.iter().cloned().chain(credentials);
    files.map(|path| folder(&path)).chain([policies]).collect()
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own: what it gives up it does not get back.
    #[test]
    fn what_is_not_named_cannot_be_read_or_written() {
        let (own, read, other) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        for dir in [&own, &read, &other] {
            std::fs::write(dir.path().join("file"), "x").unwrap();
        }
        std::thread::scope(|scope| {
            let restricted = scope.spawn(|| {
                let (own, read, other) = (own.path(), read.path(), other.path());
                let done = enforce(&[own.into()], &[read.into()]);
                if done.unwrap() == RulesetStatus::NotEnforced {
                    println!("SKIPPED: this kernel has no Landlock");
                    return;
                }
                std::fs::write(own.join("new"), "x").unwrap();
                std::fs::rename(own.join("new"), own.join("file")).unwrap();
                std::fs::read(read.join("file")).unwrap();
                std::fs::read_dir("/etc").unwrap();
                let refused = [
                    std::fs::write(read.join("file"), "y"),
                    std::fs::remove_file(read.join("file")),
                    std::fs::read(other.join("file")).map(drop),
                    std::fs::read_dir("/root").map(drop),
                    std::fs::write(other.join("new"), "y"),
                    std::net::TcpListener::bind("127.0.0.1:0").map(drop),
                    std::process::Command::new(own.join("file")).status().map(drop),
                ];
                for (n, result) in refused.into_iter().enumerate() {
                    let kind = result.map_err(|error| error.kind());
                    assert_eq!(kind, Err(std::io::ErrorKind::PermissionDenied), "{n}");
                }
            });
            restricted.join().unwrap();
        });
    }
}
