//! Backups of a store, and restoring them into a store of any kind.
//!
//! An archive is an age file with the records of a store in it; docs/backup.md describes it byte
//! by byte. [`write()`] makes one while hosts serve, [`to_file`] in a file; [`Restore`] opens one, says
//! how a store differs from it and restores it. [`readdress`] encrypts one to somebody else.

mod archive;
mod difference;
mod document;
mod envelope;
mod error;
mod file;
mod frame;
mod gather;
mod header;
mod origin;
mod pass;
mod readdress;
mod report;
mod restore;
mod scope;
mod sink;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub use difference::{Difference, KeyAction, KeyDifference, Reason, Records, TenantDifference};
pub use envelope::{Identities, Recipients};
pub use error::BackupError;
pub use file::to_file;
pub use origin::Origin;
pub use readdress::readdress;
pub use report::{Report, Summary};
pub use restore::{Applied, Conflict, Restore};
pub use scope::Scope;
pub use write::write;
