//! Encrypting a backup to somebody else, so that its identity stays with whoever has it.

use std::io::{Read, Write};

use zeroize::Zeroizing;

use super::envelope::{Identities, Recipients};
use super::error::BackupError;

/// How much is in memory at a time, in bytes.
const PIECE: usize = 64 << 10;

/// Opens the age file that `source` holds and encrypts what is in it to `recipients`. Gives the
/// number of bytes that are encrypted in it. Blocks; memory is bounded.
///
/// Nothing but the age file is looked at: whether it holds a backup, and a whole one, is checked
/// where it is restored. What was written to `out` before an error opens as none. Fails with
/// [`BackupError::Foreign`], [`BackupError::WrongIdentity`], [`BackupError::Damaged`],
/// [`BackupError::Truncated`] and [`BackupError::Io`].
pub fn readdress(
    source: impl Read,
    identities: &Identities,
    recipients: &Recipients,
    out: impl Write,
) -> Result<u64, BackupError> {
    let mut source = identities.open(source)?;
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    // Before anything is written, so that one who cannot open it writes nothing.
    let mut length = source.read(&mut piece).map_err(|error| BackupError::reading(&error))?;
    let encryptor = recipients.encryptor()?;
    let mut out = encryptor.wrap_output(out).map_err(|error| BackupError::writing(&error))?;
    let mut total = 0;
    while length > 0 {
        out.write_all(&piece[..length]).map_err(|error| BackupError::writing(&error))?;
        total += length as u64;
        length = source.read(&mut piece).map_err(|error| BackupError::reading(&error))?;
    }
    let mut out = out.finish().map_err(|error| BackupError::writing(&error))?;
    out.flush().map_err(|error| BackupError::writing(&error))?;
    Ok(total)
}
