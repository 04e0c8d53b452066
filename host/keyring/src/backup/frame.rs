//! The framing of an archive's records.
//!
//! A frame is its kind (1 byte), the length of its path (u16 BE), the length of its value (u32 BE),
//! the path and the value.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::error::BackupError;
use crate::store::{MAX_PATH, MAX_VALUE};

/// Kind, length of the path, length of the value.
const HEAD_LEN: usize = 1 + 2 + 4;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record on its own.
    Record,
    /// A key's metadata. The parts that follow belong to it.
    Key,
    /// A record of the key before it.
    Part,
    /// The end of the archive.
    End,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Record => b'r',
            Self::Key => b'k',
            Self::Part => b'p',
            Self::End => b'z',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Record, Self::Key, Self::Part, Self::End]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// One record of an archive.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) value: Zeroizing<Vec<u8>>,
}

/// The frame up to its value; `None` when path or value are longer than a store accepts.
pub(super) fn head(kind: Kind, path: &str, value: &[u8]) -> Option<Vec<u8>> {
    let path_len = u16::try_from(path.len()).ok().filter(|_| path.len() <= MAX_PATH)?;
    let value_len = u32::try_from(value.len()).ok().filter(|_| value.len() <= MAX_VALUE)?;
    let mut head = Vec::with_capacity(HEAD_LEN + path.len());
    head.push(kind.byte());
    head.extend_from_slice(&path_len.to_be_bytes());
    head.extend_from_slice(&value_len.to_be_bytes());
    head.extend_from_slice(path.as_bytes());
    Some(head)
}

/// Reads one frame.
pub(super) fn read(source: &mut impl Read) -> Result<Frame, BackupError> {
    const STRANGE: BackupError = BackupError::Damaged("a record in it has an impossible head");
    let mut head = [0; HEAD_LEN];
    fill(source, &mut head)?;
    let [kind, lengths @ ..] = head;
    let [path_high, path_low, value_len @ ..] = lengths;
    let kind = Kind::of(kind).ok_or(STRANGE)?;
    let path_len = usize::from(u16::from_be_bytes([path_high, path_low]));
    let value_len = usize::try_from(u32::from_be_bytes(value_len)).map_err(|_| STRANGE)?;
    if path_len > MAX_PATH || value_len > MAX_VALUE {
        return Err(STRANGE);
    }
    let mut path = vec![0; path_len];
    fill(source, &mut path)?;
    let path = String::from_utf8(path).map_err(|_| STRANGE)?;
    let mut value = Zeroizing::new(vec![0; value_len]);
    fill(source, &mut value)?;
    Ok(Frame { kind, path, value })
}

/// Fills the buffer; an end before that is [`BackupError::Truncated`].
pub(super) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Result<(), BackupError> {
    source.read_exact(buffer).map_err(|error| BackupError::reading(&error))
}

/// Whether the source has nothing more.
pub(super) fn is_at_end(source: &mut impl Read) -> Result<bool, BackupError> {
    let mut byte = Zeroizing::new([0]);
    loop {
        match source.read(byte.as_mut_slice()) {
            Ok(read) => return Ok(read == 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BackupError::reading(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_framed_reads_back_and_what_is_cut_does_not(
            frames in prop::collection::vec(
                (0..4_usize, "[ -~é]{0,40}", prop::collection::vec(any::<u8>(), 0..300)),
                1..8,
            ),
            cut in any::<prop::sample::Index>(),
        ) {
            let kinds = [Kind::Record, Kind::Key, Kind::Part, Kind::End];
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for (kind, path, value) in &frames {
                bytes.extend(head(kinds[*kind], path, value).unwrap());
                bytes.extend(value);
                ends.push(bytes.len());
            }
            let mut source = bytes.as_slice();
            for (kind, path, value) in &frames {
                let frame = read(&mut source).unwrap();
                prop_assert_eq!(frame.kind, kinds[*kind]);
                prop_assert_eq!(&frame.path, path);
                prop_assert_eq!(frame.value.as_slice(), value.as_slice());
            }
            prop_assert!(is_at_end(&mut source).unwrap());
            let cut = cut.index(bytes.len());
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let mut source = &bytes[..cut];
            for _ in 0..whole {
                prop_assert!(read(&mut source).is_ok());
            }
            prop_assert_eq!(read(&mut source).err(), Some(BackupError::Truncated));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut source = bytes.as_slice();
            while read(&mut source).is_ok() {}
        }
    }

    #[test]
    fn what_no_store_accepts_is_not_framed() {
        assert!(head(Kind::Record, &"p".repeat(MAX_PATH + 1), b"").is_none());
        let oversized = [b"r\0\x01\xff\xff\xff\xff".as_slice(), b"p"].concat();
        assert_eq!(read(&mut oversized.as_slice()).err().unwrap().code(), "backup-damaged");
    }
}
