//! Those to whom the log's entries are sealed: age recipients, as for backups.

use std::io;

use keyward_keyring::backup::Recipients;

/// Who reads the log.
pub struct Auditors(pub Recipients);

impl keyward_audit::Auditors for Auditors {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn seal(&self, keys: &[u8]) -> io::Result<Vec<u8>> {
        self.0.seal(keys).map_err(io::Error::other)
    }
}
