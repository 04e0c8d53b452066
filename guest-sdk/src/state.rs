//! What a policy remembers from one request to the next: counts, quotas, quorums, leases.
//!
//! Entries are the tenant's own, small and durable, and every host of a fleet sees the same. Each
//! function asks the host's key store, a write waits until it is on disk: a policy that needs no
//! memory is faster without.
//!
//! ```
//! use core::time::Duration;
//! use keyward_policy::{Error, Plan, Policy, Request, state};
//!
//! /// Sixty decryptions a minute for each caller.
//! struct Metered;
//!
//! impl Policy for Metered {
//!     fn authorize(request: &Request) -> Result<Plan, Error> {
//!         let name = format!("rate:{}:{}", request.caller.subject, request.time / 60_000);
//!         if state::add(&name, 1, Some(Duration::from_secs(120)))? > 60 {
//!             return Err(Error::denied("more than 60 requests in this minute"));
//!         }
//!         Ok(Plan::allow())
//!     }
//! }
//!
//! # #[cfg(feature = "harness")]
//! # {
//! use keyward_policy::harness::Harness;
//!
//! let host = Harness::new("acme");
//! let shop = host.caller("shop", &["application"]);
//! for _ in 0..60 {
//!     assert!(shop.authorize::<Metered>("decrypt").is_ok());
//! }
//! assert!(shop.authorize::<Metered>("decrypt").is_err());
//! # }
//! ```

use core::time::Duration;

use crate::{Error, host};

/// An entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// At most 4 KiB.
    pub value: Vec<u8>,
    /// Changes with every write, and is not used again for this name: for [`put_if`].
    pub revision: u64,
}

/// The entry called `name`, of 1 to 256 bytes. `None` if there is none, or its time is over.
pub fn get(name: &str) -> Result<Option<Entry>, Error> {
    host::state_get(name)
}

/// Writes an entry, whatever was there; it is gone after `ttl`, in whole seconds, or stays. Gives
/// the new revision. [`Error::Denied`] when the tenant has as much as it may.
pub fn put(name: &str, value: &[u8], ttl: Option<Duration>) -> Result<u64, Error> {
    host::state_put(name, value, seconds(ttl))
}

/// The same, if the entry is at `revision` still, or, with 0, if there is none;
/// [`Error::Conflict`] otherwise, and nothing is written.
pub fn put_if(
    name: &str,
    value: &[u8],
    ttl: Option<Duration>,
    revision: u64,
) -> Result<u64, Error> {
    host::state_put_if(name, value, seconds(ttl), revision)
}

/// Adds to a counter in one step, and gives what it is then. One that is not there begins at 0 and
/// lives for `ttl` from then on; adding does not lengthen that. [`Error::Invalid`] if the entry is
/// no counter, or would leave the range of an `i64`.
pub fn add(name: &str, amount: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    host::state_add(name, amount, seconds(ttl))
}

/// Removes an entry; with a revision only if it is at that still, otherwise [`Error::Conflict`].
/// What is not there is removed.
pub fn remove(name: &str, revision: Option<u64>) -> Result<(), Error> {
    host::state_remove(name, revision)
}

/// Begun seconds count as whole ones.
fn seconds(ttl: Option<Duration>) -> Option<u64> {
    ttl.map(|ttl| ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0)))
}
