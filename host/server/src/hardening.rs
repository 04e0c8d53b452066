//! What the process gives up before it serves anybody: what a flaw in it could be used for.
//!
//! - No **core dumps**, and nobody without privileges attaches a debugger.
//! - **Keys stay in memory** as far as the system permits, and are not swapped out.
//! - **Privileges** that are not needed are dropped for good, where there are any.
//! - **Files** (Landlock): its directories, what the configuration names, and what a program needs of
//!   the system; nothing else, and nothing beside its own directories can be written.
//! - **System calls** that no server needs are refused (seccomp).
//!
//! Each holds for the thread that asks and those it starts, so all this is done before there are any.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod privileges;

use crate::config::{Config, Hardening};

/// One of the measures, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What it is called.
    pub name: &'static str,
    /// Why it is not in force, or not in full.
    pub missing: Option<String>,
}

/// A measure that `hardening = "required"` requires is not to be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "`hardening` is `required`, but {name} cannot be had: {reason}; `on` does with what the system \
     permits"
)]
pub struct HardeningError {
    name: &'static str,
    reason: String,
}

/// Takes all measures, unless the configuration says otherwise. What is not to be had is logged.
pub fn enter(config: &Config) -> Result<(), HardeningError> {
    if config.hardening == Hardening::Off {
        tracing::warn!("`hardening` is off: the process keeps all it could do");
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    files::make(config);
    for Measure { name, missing } in measures(config) {
        match missing {
            None => tracing::debug!(measure = name, "hardened"),
            Some(reason) if config.hardening == Hardening::Required => {
                return Err(HardeningError { name, reason });
            }
            Some(reason) => tracing::warn!(measure = name, reason, "not hardened in full"),
        }
    }
    Ok(())
}

/// Takes all measures for the thread that asks, and tells what came of each.
pub fn try_out(config: &Config) -> Vec<Measure> {
    measures(config)
}

#[cfg(target_os = "linux")]
fn measures(config: &Config) -> Vec<Measure> {
    keyward_crypto::memory::lock_keys();
    // What drops privileges comes before what takes the right to use any system call.
    let measures = [
        ("no core dumps", privileges::no_dumps()),
        ("no privileges", privileges::drop_all_but_needed(config)),
        ("no other files", files::restrict(config)),
        ("no other system calls", calls::restrict()),
    ];
    measures.map(|(name, done)| Measure { name, missing: done.err() }).into()
}

#[cfg(not(target_os = "linux"))]
fn measures(_: &Config) -> Vec<Measure> {
    vec![Measure { name: "hardening", missing: Some("it is there on Linux alone".into()) }]
}
