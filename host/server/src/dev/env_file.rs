//! DIR/dev.env: where the server is and how to speak to it.

use std::io;
use std::path::Path;

use crate::files;

/// The three variables.
#[derive(Default)]
pub struct EnvFile {
    /// KEYWARD_ADDR.
    pub addr: String,
    /// KEYWARD_TOKEN, of an application.
    pub token: String,
    /// KEYWARD_OPERATOR_TOKEN.
    pub operator_token: String,
}

impl EnvFile {
    /// Reads the file; what it does not say is empty. `None` if there is none.
    pub fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let mut read = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "KEYWARD_ADDR" => value.clone_into(&mut read.addr),
                "KEYWARD_TOKEN" => value.clone_into(&mut read.token),
                "KEYWARD_OPERATOR_TOKEN" => value.clone_into(&mut read.operator_token),
                _ => {}
            }
        }
        Some(read)
    }

    /// Writes the file, for the owner alone.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let Self { addr, token, operator_token } = self;
        let text = format!(
            "KEYWARD_ADDR={addr}\nKEYWARD_TOKEN={token}\nKEYWARD_OPERATOR_TOKEN={operator_token}\n"
        );
        files::write_atomic(path, text.as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.env");
        assert!(EnvFile::read(&path).is_none());
        let env =
            EnvFile { addr: "http://x".into(), token: "a".into(), operator_token: "b".into() };
        env.write(&path).unwrap();
        let read = EnvFile::read(&path).unwrap();
        assert_eq!(
            (read.addr, read.token, read.operator_token),
            (env.addr, "a".into(), "b".into())
        );
    }
}
