//! Keeping keys out of swap.
//!
//! What holds key material at rest in this process, and what is expanded of it, is locked into
//! memory page by page where it lies (`mlock(2)`): boxes of it do not move. Pages stay locked once
//! they are, because other keys may lie in them. What AWS-LC allocates itself, and what is on a
//! stack for as long as one operation takes, is not.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most that is locked: pages come one by one, and the kernel keeps books on each.
const MAX_PAGES: usize = 16_384;

static ENABLED: AtomicBool = AtomicBool::new(false);
static FAILED: AtomicU64 = AtomicU64::new(0);
static PAGES: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

/// How much is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locked {
    /// Bytes of memory that hold keys and stay in memory.
    pub bytes: u64,
    /// How often the system refused, or the bound was reached.
    pub failed: u64,
}

/// From now on keys are locked into memory as far as the system permits. Off at first: a tool that
/// holds a key for a moment need not.
pub fn lock_keys() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// How much is locked.
pub fn locked() -> Locked {
    let pages = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = pages.as_ref().map_or(0, HashSet::len);
    Locked { bytes: (count * region::page::size()) as u64, failed: FAILED.load(Ordering::Relaxed) }
}

/// Locks the pages that a secret is in. It is about to stay where it is: on the heap.
pub(crate) fn keep<T: ?Sized>(secret: &T) {
    if ENABLED.load(Ordering::Relaxed) {
        lock(std::ptr::from_ref(secret).cast::<u8>(), size_of_val(secret));
    }
}

fn lock(start: *const u8, length: usize) {
    if length == 0 {
        return;
    }
    let (first, page) = (region::page::floor(start) as usize, region::page::size());
    let count = (start as usize + length - first).div_ceil(page);
    let mut pages = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let pages = pages.get_or_insert_default();
    let all = (0..count).map(|n| first + n * page);
    let new = all.clone().filter(|address| !pages.contains(address)).count();
    let fits = pages.len() + new <= MAX_PAGES;
    // Also where it was locked before: meanwhile the page may have been given back and come anew.
    match fits.then(|| region::lock(start, length)) {
        Some(Ok(guard)) => {
            // It would unlock, other keys with it.
            std::mem::forget(guard);
            pages.extend(all);
        }
        _ => {
            FAILED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, KeyId, KeyMaterial, KeyVersion};

    /// `VmLck` of this process, in bytes.
    fn kernel_says() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// One test, because it is one process.
    #[test]
    #[cfg(target_os = "linux")]
    fn keys_are_locked_once_it_is_asked_for() {
        assert_eq!(locked(), Locked::default());
        let key = |n: u64| {
            let material = KeyMaterial::generate(Algorithm::XAes256Gcm).unwrap();
            KeyVersion::new(Algorithm::XAes256Gcm, KeyId(n), 1, &material).unwrap()
        };
        let _before = key(1);
        assert_eq!(locked(), Locked::default());
        lock_keys();
        let _keys: Vec<_> = (2..50).map(key).collect();
        let Locked { bytes, failed } = locked();
        // Where nothing may be locked, that is said, and nothing else changes.
        assert!(bytes > 0 || failed > 0);
        assert!(kernel_says() >= bytes, "{} < {bytes}", kernel_says());
    }
}
