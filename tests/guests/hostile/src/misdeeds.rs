//! What a policy must not do, or must not succeed at.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use keyward_policy::{Error, Key, Request, log, random};

use crate::plans::AS_BASELINE;
use crate::{memory, signing};

/// Every name [`commit`] knows.
pub const NAMES: &[&str] = &[
    "loop",
    "alloc",
    "trap",
    "panic",
    "recurse",
    "recurse-wide",
    "garbage-utf8",
    "huge-answer",
    "open-own",
    "log-and-open",
    "open-foreign",
    "sign-foreign",
    "sign-unfit",
    "sign-own",
    "sign-huge",
    "million-calls",
    "log-flood",
    "random-huge",
    "hold-handles",
    "forge-handle",
    "reuse-check",
    "residue-check",
    "seal-as-baseline",
    "state-calls",
    "state-fill",
    "state-foreign",
    "state-unfit",
    "state-count",
    "state-remember",
    "tokens-unfit",
];

/// Names by which a guest might try to reach a key that is another tenant's, or a record that is
/// no key at all.
pub const FOREIGN: &[&str] = &[
    "secret",
    "other/secret",
    "other:secret",
    "/other/keys/secret",
    "../other/keys/secret",
    "../../other/keys/secret",
    "tenants/other/keys/secret",
    "..",
    ".",
    "",
    "*",
    "secret\0",
    "%2e%2e/other/keys/secret",
    "policy",
    "../policy",
    "../../../tokens/1",
];

/// A static is zero in a fresh instance.
static VISITS: AtomicU32 = AtomicU32::new(0);

/// Does it, and says what came of it. An error is what the host has stopped, short of ending the
/// instance, or what a sound sandbox never shows.
pub fn commit(name: &str, request: &Request) -> Result<String, String> {
    match name {
        "loop" => loop {
            black_box(());
        },
        "alloc" => loop {
            black_box(Vec::<u8>::with_capacity(1 << 20)).leak();
        },
        "trap" => machine::trap(),
        "panic" => panic!("a panic is a trap"),
        "recurse" => Ok(recurse(1).to_string()),
        "recurse-wide" => Ok(recurse_wide(1).to_string()),
        "garbage-utf8" => Err(machine::garbage_utf8()),
        "huge-answer" => Err("a".repeat(12 << 20)),
        "open-own" => open_own(request),
        "log-and-open" => {
            log::info("about to open", &[]);
            open_own(request)
        }
        "open-foreign" => open_foreign(),
        "sign-foreign" => signing::foreign(),
        "sign-unfit" => signing::unfit(request),
        "sign-own" => signing::own(request),
        "sign-huge" => signing::huge(request),
        "million-calls" => Ok(million_calls()),
        "log-flood" => Ok(log_flood()),
        "random-huge" => Ok(random::bytes(u32::MAX).len().to_string()),
        "hold-handles" => hold_handles(request),
        "forge-handle" => Ok(machine::forge_handle()),
        "reuse-check" => match VISITS.fetch_add(1, Ordering::Relaxed) {
            0 => Ok("fresh".to_owned()),
            visits => Err(format!("reused {visits} times")),
        },
        "residue-check" => machine::residue_check(),
        "seal-as-baseline" => seal_as_baseline(request),
        "state-calls" => Ok(memory::calls()),
        "state-fill" => memory::fill(request),
        "state-foreign" => memory::foreign(),
        "state-unfit" => memory::unfit(),
        "state-count" => memory::count(),
        "state-remember" => memory::remember(),
        "tokens-unfit" => memory::tokens(request),
        unknown => Err(format!("no misdeed `{unknown}`")),
    }
}

/// Recurses on the engine's stack.
fn recurse(depth: u64) -> u64 {
    let next: fn(u64) -> u64 = black_box(recurse);
    next(depth + 1).wrapping_add(depth)
}

/// Recurses on the guest's own stack, in its memory.
fn recurse_wide(depth: u8) -> u64 {
    let frame = black_box([depth; 1024]);
    let next: fn(u8) -> u64 = black_box(recurse_wide);
    next(depth.wrapping_add(1)).wrapping_add(frame.iter().map(|byte| u64::from(*byte)).sum())
}

/// Seals and opens as if an operator's baseline had bound something.
fn seal_as_baseline(request: &Request) -> Result<String, String> {
    let key = Key::open(request.key.as_deref().unwrap_or("main"));
    let key = key.map_err(|error| error.to_string())?;
    if key.encrypt(b"x", AS_BASELINE).is_ok() {
        return Err("sealed".to_owned());
    }
    let sealed = key.encrypt(b"x", b"").map_err(|error| error.to_string())?;
    match key.decrypt(&sealed, AS_BASELINE) {
        Err(Error::Invalid(_)) => Ok("refused".to_owned()),
        other => Err(format!("{:?}", other.map(|_| ()))),
    }
}

/// Not a misdeed: what a wait for a key looks like.
fn open_own(request: &Request) -> Result<String, String> {
    match Key::open(request.key.as_deref().unwrap_or("demo")) {
        Ok(key) => Ok(format!("opened {}", key.name())),
        Err(error) => Err(error.to_string()),
    }
}

fn open_foreign() -> Result<String, String> {
    let opened: Vec<&str> =
        FOREIGN.iter().copied().filter(|name| Key::open(name).is_ok()).collect();
    if opened.is_empty() {
        Err("opened nothing".to_owned())
    } else {
        Ok(format!("opened {opened:?}"))
    }
}

fn million_calls() -> String {
    let sum: u64 = (0..1_000_000).map(|_| random::bytes(1).len() as u64).sum();
    format!("{sum} bytes from a million calls")
}

fn log_flood() -> String {
    let line = "x".repeat(100_000);
    for _ in 0..1_000 {
        log::error(&line, &[("more", "of the same")]);
    }
    "100 MB logged".to_owned()
}

fn hold_handles(request: &Request) -> Result<String, String> {
    let name = request.key.as_deref().unwrap_or("demo");
    let mut held = Vec::new();
    loop {
        match Key::open(name) {
            Ok(key) => held.push(key),
            Err(error) => return Err(format!("{} handles, then {error}", held.len())),
        }
    }
}

/// What only a component can do.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "each of these breaks a rule that safe code keeps")]
mod machine {
    use core::arch::wasm32;

    use keyward_policy::component::bindings::keyward::policy::keys;

    const PAGE: usize = 64 << 10;
    /// Left behind for the next instance to find.
    const MARK: u8 = 0xA5;

    pub fn trap() -> ! {
        wasm32::unreachable()
    }

    pub fn garbage_utf8() -> String {
        // SAFETY: there is none. The host must find out.
        unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe, b'z']) }
    }

    pub fn forge_handle() -> String {
        // SAFETY: there is none. The host must find out.
        let key = unsafe { keys::Key::from_handle(123_456) };
        key.name()
    }

    /// Grows the memory, looks for anything but zeros in the new part, and soils it.
    pub fn residue_check() -> Result<String, String> {
        let pages = 64;
        let before = wasm32::memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err("memory does not grow".to_owned());
        }
        let mut soiled = 0_usize;
        for address in before * PAGE..(before + pages) * PAGE {
            let byte = address as *mut u8;
            // SAFETY: the address is within the pages just added, which nobody else uses.
            unsafe {
                soiled += usize::from(byte.read_volatile() != 0);
                byte.write_volatile(MARK);
            }
        }
        if soiled == 0 { Ok("clean".to_owned()) } else { Err(format!("{soiled} bytes of residue")) }
    }
}

/// A native build has no sandbox to attack.
#[cfg(not(target_family = "wasm"))]
mod machine {
    pub fn trap() -> ! {
        std::process::abort()
    }

    pub fn garbage_utf8() -> String {
        "only in a component".to_owned()
    }

    pub fn forge_handle() -> String {
        garbage_utf8()
    }

    pub fn residue_check() -> Result<String, String> {
        Err(garbage_utf8())
    }
}
