//! Compiled artefacts: kept on disk under an authentication tag, and loaded as native code only
//! when the tag is right.
//!
//! A file is named by the SHA-256 of the component, its engine's compatibility hash and the
//! wasmtime version, so an upgrade finds nothing and compiles anew. Its content is a 32-byte
//! HMAC-SHA-256 tag over name and code, then the code. The tag's key is derived from the host's
//! root key: who can write the directory, but lacks that key, cannot make the host run anything.

use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;

use subtle::ConstantTimeEq;
use wasmtime::Engine;
use wasmtime::component::Component;
use zeroize::Zeroizing;

const TAG_LEN: usize = 32;

/// The directory of artefacts, or none.
pub struct ArtefactStore {
    dir: Option<PathBuf>,
    key: Zeroizing<[u8; 32]>,
    compatibility: String,
}

/// Native code that this host's own compiler made, or that bore this host's own tag. There is no
/// other way to get one, which is what makes loading it sound.
pub struct TrustedCode(Vec<u8>);

impl TrustedCode {
    /// `code` must come from [`Engine::precompile_component`], in this process or in the compiler
    /// child that this process started and whose output it read through a private pipe.
    pub fn from_own_compiler(code: Vec<u8>) -> Self {
        Self(code)
    }
}

impl ArtefactStore {
    pub fn new(
        dir: Option<PathBuf>,
        key: Zeroizing<[u8; 32]>,
        engine: &Engine,
    ) -> io::Result<Self> {
        if let Some(dir) = &dir {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // Stable within one build of the host, which is all it must be.
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = format!("48.0.8-{:016x}", hasher.finish());
        Ok(Self { dir, key, compatibility })
    }

    /// The artefact of the component with this digest; none if there is none or its tag is wrong.
    pub fn get(&self, digest_hex: &str) -> Option<TrustedCode> {
        let path = self.path(digest_hex)?;
        let mut bytes = std::fs::read(&path).ok()?;
        if bytes.len() < TAG_LEN {
            return None;
        }
        let code = bytes.split_off(TAG_LEN);
        if !bool::from(self.tag(digest_hex, &code).ct_eq(&bytes)) {
            tracing::warn!(path = %path.display(), "artefact is not this host's; compiling anew");
            return None;
        }
        Some(TrustedCode(code))
    }

    /// Keeps an artefact; atomic, so a reader sees all of it or nothing.
    pub fn put(&self, digest_hex: &str, code: &TrustedCode) -> io::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let Some(path) = self.path(digest_hex) else {
            return Ok(());
        };
        let mut unique = [0; 8];
        keyward_crypto::random_bytes(&mut unique).map_err(io::Error::other)?;
        let temporary = path.with_extension(format!("{}.tmp", hex::encode(unique)));
        let write = || {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&self.tag(digest_hex, &code.0))?;
            file.write_all(&code.0)?;
            drop(file);
            std::fs::rename(&temporary, &path)
        };
        write().inspect_err(|_| drop(std::fs::remove_file(&temporary)))
    }

    /// Removes an artefact; one that is not there is no error.
    pub fn remove(&self, digest_hex: &str) -> io::Result<()> {
        let Some(path) = self.path(digest_hex) else { return Ok(()) };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, digest_hex: &str) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(format!("{}.cwasm", self.name(digest_hex))))
    }

    fn name(&self, digest_hex: &str) -> String {
        format!("{digest_hex}-{}", self.compatibility)
    }

    fn tag(&self, digest_hex: &str, code: &[u8]) -> [u8; TAG_LEN] {
        let name = self.name(digest_hex);
        let mut message = Vec::with_capacity(8 + name.len() + code.len());
        message.extend_from_slice(&(name.len() as u64).to_be_bytes());
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(code);
        keyward_crypto::hmac_sha256(&*self.key, &message)
    }
}

/// Loads native code.
#[expect(unsafe_code, reason = "the one place that loads compiled artefacts")]
pub fn load(engine: &Engine, code: &TrustedCode) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` runs the bytes as native code, so they must be what wasmtime made.
    // A `TrustedCode` holds only what this host's own compiler returned, or a file whose
    // HMAC-SHA-256 tag under the host's secret key was checked; wasmtime itself checks version
    // and settings.
    unsafe { Component::deserialize(engine, &code.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineKind;

    fn store(dir: &std::path::Path, key: u8) -> ArtefactStore {
        store_of(EngineKind::Compact, dir, key)
    }

    fn store_of(engine: EngineKind, dir: &std::path::Path, key: u8) -> ArtefactStore {
        let engine = crate::engine::for_compiling(engine, false).unwrap();
        ArtefactStore::new(Some(dir.into()), Zeroizing::new([key; 32]), &engine).unwrap()
    }

    #[test]
    fn an_artefact_is_of_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), 1).put("aa", &TrustedCode(b"code".to_vec())).unwrap();
        assert!(store_of(EngineKind::Image, dir.path(), 1).get("aa").is_none());
    }

    #[test]
    fn an_artefact_comes_back_only_under_its_own_name_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let ours = store(dir.path(), 1);
        ours.put("aa", &TrustedCode(b"code".to_vec())).unwrap();
        assert_eq!(ours.get("aa").unwrap().0, b"code");
        assert!(ours.get("bb").is_none());
        assert!(store(dir.path(), 2).get("aa").is_none());
        std::fs::rename(ours.path("aa").unwrap(), ours.path("bb").unwrap()).unwrap();
        assert!(ours.get("bb").is_none(), "moved to another component's name");
    }

    #[test]
    fn a_changed_artefact_is_not_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let ours = store(dir.path(), 1);
        ours.put("aa", &TrustedCode(b"code".to_vec())).unwrap();
        let path = ours.path("aa").unwrap();
        let good = std::fs::read(&path).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(ours.get("aa").is_none(), "byte {position}");
        }
        for len in 0..good.len() {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(ours.get("aa").is_none(), "cut to {len}");
        }
    }
}
