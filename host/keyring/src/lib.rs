//! Tenants, their keys, and the stores that hold them.
//!
//! This crate owns names and their validation, the layout of records in a store, the life cycle
//! of keys and versions (create, rotate, roll back, bound, trim, disable, delete, restore, destroy;
//! written down in `docs/keys.md`), how often each version was used and which keys are to be
//! rotated for it or by schedule, backups of a store and their restoration ([`backup`]), the cache of keys and of
//! their expanded versions with its outage contract, what keyrings over one store tell each other
//! about changes, and the embedded store that seals every record under a root key. It never performs a
//! cryptographic operation on a caller's data, never decides who may use a key, and never lets
//! key bytes into an error, a log line or a `Debug` output.
//!
//! Start at [`Keyring`]; a [`store::Store`] is where its records live, and
//! [`embedded::EmbeddedStore`] is the one that needs no other service.

mod about;
mod absence;
pub mod backup;
mod bounds;
mod cache;
mod change;
mod duration;
pub mod embedded;
mod error;
mod flight;
mod generate;
mod history;
mod key;
mod keyring;
mod names;
pub mod origin;
mod outage;
mod receipt;
mod record;
mod rotation;
pub mod store;
mod store_key;
mod usage;
pub mod vault;

pub use crate::about::{About, Edit, KeyEdit};
pub use crate::absence::{Absences, Begun};
pub use crate::cache::{CacheConfig, CacheStatistics, Histogram};
pub use crate::change::Change;
pub use crate::error::KeyringError;
pub use crate::generate::generate;
pub use crate::history::{Action, Author, HISTORY_LIMIT, HistoryEntry, MAX_REASON};
pub use crate::key::{Deletion, Key, KeyState, Stamp, VersionInfo};
pub use crate::keyring::{
    DEFAULT_RESTORE_WINDOW, Exported, Flush, KeyPage, KeyQuery, Keyring, NewKey, Purge,
    ReceiptPage, Rotated, Rotations, Trimmed, UsageStatistics,
};
pub use crate::names::{KeyName, TenantName};
pub use crate::outage::Outage;
pub use crate::receipt::{
    Destroyed, DestroyedVersion, Extent, Receipt, ReceiptError, ReceiptKey, ReceiptKeyId,
};
pub use crate::rotation::{Rotation, RotationCause, default_max_messages};
pub use crate::usage::{KeyUsage, Meter, Span, VersionUsage};
