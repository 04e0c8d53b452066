//! Tenants, their keys, and the stores that hold them.
//!
//! This crate owns names and their validation, the layout of records in a store, the life cycle
//! of keys and versions (create, rotate, list, get), the caches of key metadata and of expanded
//! versions, and the embedded store that seals every record under a root key. It never performs a
//! cryptographic operation on a caller's data, never decides who may use a key, and never lets
//! key bytes into an error, a log line or a `Debug` output.
//!
//! Start at [`Keyring`]; a [`store::Store`] is where its records live, and
//! [`embedded::EmbeddedStore`] is the one that needs no other service.

mod cache;
pub mod embedded;
mod error;
mod key;
mod keyring;
mod names;
mod record;
pub mod store;

pub use crate::cache::CacheConfig;
pub use crate::error::KeyringError;
pub use crate::key::{Key, VersionInfo};
pub use crate::keyring::Keyring;
pub use crate::names::{KeyName, TenantName};
