//! The beginning and the end of an archive.
//!
//! It begins with the line `keyward-backup 1`, 1 being the format, and a line of JSON. The frame
//! that ends it holds the number of frames before it (u64 BE), the SHA-256 of every byte before it,
//! and the origin's Ed25519 signature of that digest.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::frame;
use super::origin::{Origin, SIGNATURE_LEN};
use super::scope::Scope;

/// The format of new archives, and the newest that is read.
pub(super) const FORMAT: u32 = 1;
const NAME: &str = "keyward-backup ";
/// The longest line, in bytes.
const LINE_MAX: usize = 4096;
const DIGEST_LEN: usize = 32;
const END_LEN: usize = 8 + DIGEST_LEN + SIGNATURE_LEN;

const FOREIGN: BackupError = BackupError::Foreign("what is encrypted in it is something else");

/// What an archive says of itself at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) created_at: u64,
    pub(super) scope: Scope,
    pub(super) origin: Origin,
}

#[derive(Serialize, Deserialize)]
struct Fields {
    created_at: u64,
    scope: Scope,
    origin: String,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { created_at, scope, origin } = self.clone();
        let fields = Fields { created_at, scope, origin: origin.to_string() };
        // Strings and numbers alone: cannot fail.
        let json = serde_json::to_string(&fields).unwrap_or_default();
        format!("{NAME}{FORMAT}\n{json}\n").into_bytes()
    }

    /// Reads a header; gives its bytes as well.
    pub(super) fn read(source: &mut impl Read) -> Result<(Self, Vec<u8>), BackupError> {
        const STRANGE: BackupError = BackupError::Damaged("its header cannot be read");
        let mut bytes = Vec::new();
        // Nothing else is read of what may be no backup at all.
        for expected in NAME.bytes() {
            let mut byte = [0];
            match frame::fill(source, &mut byte) {
                Ok(()) if byte == [expected] => bytes.push(expected),
                Ok(()) | Err(BackupError::Truncated) => return Err(FOREIGN),
                Err(error) => return Err(error),
            }
        }
        let format = line(source, &mut bytes)?;
        let format = String::from_utf8(format).ok().and_then(|text| text.parse().ok());
        match format.ok_or(STRANGE)? {
            FORMAT => {}
            found if found > FORMAT => {
                return Err(BackupError::NewerFormat { found, known: FORMAT });
            }
            _ => return Err(STRANGE),
        }
        let json = line(source, &mut bytes)?;
        let fields: Fields = serde_json::from_slice(&json).map_err(|_| STRANGE)?;
        let Fields { created_at, scope, origin } = fields;
        let origin = origin.parse().map_err(|_| STRANGE)?;
        Ok((Self { created_at, scope, origin }, bytes))
    }
}

/// Reads up to the end of a line, which is left out of the line but not of `bytes`.
fn line(source: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Vec<u8>, BackupError> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        frame::fill(source, &mut byte)?;
        bytes.extend_from_slice(&byte);
        match byte {
            [b'\n'] => return Ok(line),
            _ if line.len() == LINE_MAX => {
                return Err(BackupError::Damaged("its header cannot be read"));
            }
            [byte] => line.push(byte),
        }
    }
}

/// What an archive says of itself at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) frames: u64,
    pub(super) digest: [u8; DIGEST_LEN],
    pub(super) signature: [u8; SIGNATURE_LEN],
}

impl End {
    pub(super) fn encode(&self) -> Vec<u8> {
        [self.frames.to_be_bytes().as_slice(), &self.digest, &self.signature].concat()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let value: &[u8; END_LEN] = value.try_into().ok()?;
        let (frames, rest) = value.split_first_chunk()?;
        let (digest, signature) = rest.split_first_chunk()?;
        let signature = signature.try_into().ok()?;
        Some(Self { frames: u64::from_be_bytes(*frames), digest: *digest, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(scope: Scope) -> Header {
        let origin = format!("ed25519:{}", "0a".repeat(32)).parse().unwrap();
        Header { created_at: 7, scope, origin }
    }

    #[test]
    fn headers_read_back() {
        for scope in [Scope::All, Scope::Tenant("demo".parse().unwrap())] {
            let header = header(scope);
            let bytes = [header.encode().as_slice(), b"rest"].concat();
            let mut source = bytes.as_slice();
            assert_eq!(Header::read(&mut source).unwrap(), (header.clone(), header.encode()));
            assert_eq!(source, b"rest");
        }
        let text = String::from_utf8(header(Scope::Tenant("a".parse().unwrap())).encode()).unwrap();
        let start =
            "keyward-backup 1\n{\"created_at\":7,\"scope\":{\"tenant\":\"a\"},\"origin\":\"ed";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn other_contents_are_told_apart() {
        let code = |mut bytes: &[u8]| Header::read(&mut bytes).unwrap_err().code();
        assert_eq!(code(b""), "backup-foreign");
        assert_eq!(code(b"some text"), "backup-foreign");
        assert_eq!(code(b"keyward-backup 2\nwhatever"), "backup-newer-format");
        assert_eq!(code(b"keyward-backup 0\n"), "backup-damaged");
        assert_eq!(code(b"keyward-backup 1\n{}\n"), "backup-damaged");
        assert_eq!(code(b"keyward-backup 1\n{"), "backup-truncated");
        assert_eq!(
            code(&[b"keyward-backup 1\n", vec![b'x'; 9999].as_slice()].concat()),
            "backup-damaged"
        );
    }

    #[test]
    fn ends_read_back() {
        let end = End { frames: 3, digest: [1; 32], signature: [2; 64] };
        assert_eq!(End::decode(&end.encode()), Some(end.clone()));
        assert_eq!(End::decode(&end.encode()[1..]), None);
    }
}
