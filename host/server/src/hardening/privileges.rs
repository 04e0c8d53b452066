//! Core dumps, debuggers, capabilities.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::config::Config;

/// No core dumps, and `ptrace(2)` for those alone who may do anything.
pub fn no_dumps() -> Result<(), String> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| error.to_string())
}

/// Drops the capabilities that a server with this configuration does not need, where it has any.
pub fn drop_all_but_needed(config: &Config) -> Result<(), String> {
    let has = caps::read(None, CapSet::Permitted).map_err(|error| error.to_string())?;
    let inheritable = caps::read(None, CapSet::Inheritable).map_err(|error| error.to_string())?;
    if has.is_empty() && inheritable.is_empty() {
        // Nor is there anything to drop. Whoever took it may have taken the call for it as well.
        return Ok(());
    }
    let kept: CapsHashSet = has.intersection(&needed(config)).copied().collect();
    let failed = |error: caps::errors::CapsError| error.to_string();
    // Needs a capability itself. Without it nothing can be had again by a program that is started:
    // seccomp is not without the promise of no new privileges.
    if has.contains(&Capability::CAP_SETPCAP) {
        let bounds = caps::read(None, CapSet::Bounding).map_err(failed)?;
        for capability in bounds.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(failed)?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(failed)?;
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(failed)
}

fn needed(config: &Config) -> CapsHashSet {
    let mut needed = CapsHashSet::new();
    // Keys that stay in memory may be more than others may lock.
    needed.insert(Capability::CAP_IPC_LOCK);
    // Where an administrator runs a server on files of somebody else's.
    let me = rustix::process::geteuid().as_raw();
    let is_others = |path: &Path| path.metadata().is_ok_and(|about| about.uid() != me);
    if files(config).any(is_others) {
        needed.insert(Capability::CAP_DAC_OVERRIDE);
    }
    needed
}

/// What is read and written, if it is there.
fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let audit = config.audit.as_ref().map(|audit| audit.dir.as_path());
    config
        .files
        .iter()
        .map(std::path::PathBuf::as_path)
        .chain(audit)
        .chain([config.data_dir.as_path()])
}

#[cfg(test)]
mod tests {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

    use super::*;
    use crate::config::Values;

    /// As in a unit of systemd's. In a thread of its own: what it gives up it does not get back.
    #[test]
    fn who_has_nothing_needs_no_call_to_drop_it() {
        let config = Config::build(&Values::new()).unwrap();
        std::thread::spawn(move || {
            for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
                caps::clear(None, set).unwrap();
            }
            let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
            let rules = [(libc::SYS_capset, Vec::new())].into();
            let eperm = SeccompAction::Errno(libc::EPERM.cast_unsigned());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, eperm, arch).unwrap();
            apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
            assert!(caps::clear(None, CapSet::Permitted).is_err(), "the call is still there");
            assert_eq!(drop_all_but_needed(&config), Ok(()));
        })
        .join()
        .unwrap();
    }
}
