//! The audit trail: what happened, in files that prove they were not edited.
//!
//! This crate owns the entries, their bytes, the hash chain and Merkle tree over them, the signed
//! checkpoints, the thread that writes all of it, and the reading: verification and queries. It knows
//! no HTTP, no tenants' rules and no key store, and it never sees a payload, a context, a token or
//! a key: [`Entry`] has no place for them. The formats are written down in `docs/audit.md`.
//!
//! [`Audit::open`] starts a log in a directory; a request [`reserve`](Audit::reserve)s a place for
//! its entry before anything is done and [`submit`](Slot::submit)s it at the end. [`verify()`] and
//! [`query()`] work on the directory alone, whether a server is writing to it or not. Who is to have every
//! line as well reads along with a [`Follower`], which goes on where it was.
#![forbid(unsafe_code)]

mod audit;
mod dir;
mod entry;
mod error;
mod event;
mod follow;
mod hash;
mod line;
mod log;
mod note;
mod pace;
mod query;
mod recover;
mod sealed;
mod settings;
mod statistics;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod verify;
mod writer;

pub use audit::{Audit, Slot};
pub use dir::KEY_FILE;
pub use entry::{Entry, Items, MAX_TEXT, Use};
pub use error::{AuditError, Stalled};
pub use event::Skip;
pub use follow::{Follower, Line, Place};
pub use note::{Checkpoint, NoteError, Verifier};
pub use pace::Pace;
pub use query::{Outcome, Page, Query, Sight, query};
pub use sealed::{Auditors, Index, Unseal};
pub use settings::{OnStall, Settings};
pub use statistics::Statistics;
pub use time::{parse as parse_time, rfc3339};
pub use verify::{Finding, Options, Report, Signed, VerifyError, verify};

/// Gives the key that a log's signing key is the bytes of, by the log's name. The same name must always
/// give the same key, and another name another one.
pub type KeyOf<'a> = &'a (
        dyn Fn(&str) -> Result<keyward_crypto::at_rest::RootKey, keyward_crypto::CryptoError> + Sync
    );
