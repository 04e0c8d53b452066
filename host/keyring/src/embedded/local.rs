//! A data directory without a store: for hosts whose keys are kept elsewhere.

use std::path::Path;

use keyward_crypto::at_rest::RootKey;

use super::RootKeySource;
use super::files::DataDir;
use super::root_key;
use crate::store::StoreError;

/// Holds a data directory for this process, and the root key that protects what the host keeps
/// there, such as compiled artefacts.
pub struct LocalDir {
    root_key: RootKey,
    _dir: DataDir,
}

impl LocalDir {
    /// Takes the directory, which is created if missing, and reads the root key; a key file that
    /// is missing is created. Blocks.
    ///
    /// Fails with [`StoreError::Locked`], [`StoreError::ReadOnly`], [`StoreError::RootKeyExposed`],
    /// and [`StoreError::RootKeyInvalid`], also for a passphrase, which only a store's header can
    /// turn into a key.
    pub fn open(dir: &Path, source: &RootKeySource) -> Result<Self, StoreError> {
        let dir = DataDir::acquire(dir)?;
        if matches!(source, RootKeySource::Passphrase(_)) {
            let reason = "it opens an embedded store alone; use a file or a value";
            return Err(source.invalid(reason));
        }
        let (root_key, _origin) = root_key::establish(source)?;
        Ok(Self { root_key, _dir: dir })
    }

    /// The root key, to derive the host's other keys from ([`RootKey::derive`]).
    pub fn root_key(&self) -> &RootKey {
        &self.root_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_the_same_key_again() {
        let dir = tempfile::tempdir().unwrap();
        let source = RootKeySource::File(dir.path().join("root.key"));
        let first = LocalDir::open(dir.path(), &source).unwrap();
        let locked = LocalDir::open(dir.path(), &source).err().unwrap();
        assert_eq!(locked.code(), "store-locked");
        let key = *first.root_key().expose();
        drop(first);
        assert_eq!(*LocalDir::open(dir.path(), &source).unwrap().root_key().expose(), key);
        let passphrase = RootKeySource::Passphrase("a long enough phrase".to_owned().into());
        let refused = LocalDir::open(dir.path(), &passphrase).err().unwrap();
        assert_eq!(refused.code(), "root-key-invalid");
    }
}
