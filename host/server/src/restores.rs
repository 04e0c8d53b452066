//! How backups come in to be restored: encrypted to an identity that is in this process's memory
//! alone, and on disk only so.
//!
//! Whoever restores keeps the identity of the backup to himself and encrypts to this one instead,
//! so that no identity that opens other backups ever reaches a server.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use keyward_keyring::backup::Identities;

/// What receives backups. It has a new identity with each start.
pub struct Restores {
    dir: PathBuf,
    identities: Identities,
    recipient: String,
}

impl Restores {
    /// Received backups are put in `dir`, where each has no name and is gone with its last user.
    pub fn new(dir: PathBuf) -> Self {
        let (identities, recipient) = Identities::generate();
        Self { dir, identities, recipient }
    }

    /// To whom to encrypt a backup (`age1…`).
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// What opens a backup that was encrypted to the recipient.
    pub fn identities(&self) -> Identities {
        self.identities.clone()
    }

    /// A file without a name to receive a backup in. Blocks.
    pub fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.dir)
    }
}
