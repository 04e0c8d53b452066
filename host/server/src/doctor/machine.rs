//! What the machine permits: files and memory of a process, swap, and what hardening needs.

use rustix::process::{Resource, getrlimit};

use super::Findings;
use crate::config::Config;

/// Files that are open beside connections: store, audit log, policies, connections to Vault.
const OTHER_FILES: u64 = 256;
/// Address space that an instance reserves, by engine, as the configuration says it.
const COMPACT: u64 = 17 << 20;
const IMAGE: u64 = 129 << 20;
/// Memory that keys take before it matters whether it can be locked.
const KEYS: u64 = 1 << 20;

pub(super) fn look(config: &Config, findings: &mut Findings) {
    open_files(config, findings);
    address_space(config, findings);
    swap(findings);
    hardening(config, findings);
}

fn open_files(config: &Config, findings: &mut Findings) {
    let needed = config.http.max_connections as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < needed => findings.warning(
            "open files",
            format!("{limit} may be open, and `http.max_connections` needs {needed}"),
            format!(
                "LimitNOFILE={needed} in the unit, or `ulimit -n {needed}`; or fewer connections"
            ),
        ),
        Some(limit) => findings.ok("open files", format!("{limit} may be open")),
        None => findings.ok("open files", "any number may be open"),
    }
}

fn address_space(config: &Config, findings: &mut Findings) {
    let check = "address space";
    let image = config.policy.image.as_ref().map_or(0, |image| u64::from(image.pool_size) * IMAGE);
    let needed = u64::from(config.policy.pool_size) * COMPACT + image + (2 << 30);
    if let Some(limit) = getrlimit(Resource::As).current.filter(|limit| *limit < needed) {
        return findings.failed(
            check,
            format!("{} MiB, and the pools of policies reserve {} MiB", limit >> 20, needed >> 20),
            "`ulimit -v unlimited`, or smaller `policy.pool_size` and `policy.image.pool_size`",
        );
    }
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    match read("/proc/sys/vm/overcommit_memory").as_deref() {
        Ok("2") => findings.warning(
            check,
            "the kernel grants no more memory than there is (vm.overcommit_memory is 2), and pools \
             reserve much more than they use",
            "sysctl vm.overcommit_memory=0, or smaller pools",
        ),
        _ => findings.ok(check, format!("the pools may reserve their {} MiB", needed >> 20)),
    }
}

fn swap(findings: &mut Findings) {
    let check = "swap";
    let Ok(swaps) = std::fs::read_to_string("/proc/swaps") else {
        return findings.skipped(check, "this system does not say what it swaps to");
    };
    let used = swaps.lines().skip(1).filter(|line| !line.contains("/zram")).count();
    if used == 0 {
        return findings.ok(check, "nothing is swapped to a disk");
    }
    let lockable = getrlimit(Resource::Memlock).current;
    match lockable.filter(|limit| *limit < KEYS) {
        Some(limit) => findings.warning(
            check,
            format!("memory is swapped to a disk, and only {} KiB can be locked", limit >> 10),
            "swapoff -a, MemorySwapMax=0 in the unit, or LimitMEMLOCK=64M",
        ),
        None => findings.warning(
            check,
            "memory is swapped to a disk; keys are locked, what policies hold is not",
            "swapoff -a, or MemorySwapMax=0 in the unit",
        ),
    }
}

/// Takes the measures in a thread that ends then, and nothing else with it.
fn hardening(config: &Config, findings: &mut Findings) {
    let check = "hardening";
    let measures = std::thread::scope(|scope| {
        scope.spawn(|| crate::hardening::try_out(config)).join().unwrap_or_default()
    });
    let missing: Vec<_> = measures
        .iter()
        .filter_map(|measure| Some(format!("{}: {}", measure.name, measure.missing.as_ref()?)))
        .collect();
    if missing.is_empty() {
        return findings.ok(check, "this system permits all of it");
    }
    let text = missing.join("; ");
    let fix = "a kernel from 6.12 on has all of it";
    if config.hardening == crate::config::Hardening::Required {
        findings.failed(check, text, format!("{fix}; or set `hardening` to `on`"));
    } else {
        findings.warning(check, text, fix);
    }
}
