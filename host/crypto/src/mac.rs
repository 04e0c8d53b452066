//! Message authentication codes.

use std::fmt;
use std::ops::Deref;

use subtle::ConstantTimeEq;

/// A message authentication code: 32, 48 or 64 bytes, as the key's algorithm has it. It reads as a
/// slice of bytes; two compare in constant time.
#[derive(Clone, Copy, Eq)]
pub struct Mac {
    bytes: [u8; Self::LONGEST],
    len: usize,
}

impl Mac {
    /// Length of the longest, in bytes.
    pub const LONGEST: usize = 64;

    /// A tag shorter than [`LONGEST`](Self::LONGEST) or as long.
    pub(crate) fn new<const N: usize>(tag: [u8; N]) -> Self {
        const { assert!(N <= Self::LONGEST) };
        let mut bytes = [0; Self::LONGEST];
        bytes[..N].copy_from_slice(&tag);
        Self { bytes, len: N }
    }
}

impl Deref for Mac {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Mac {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Mac> for Vec<u8> {
    fn from(mac: Mac) -> Self {
        mac.to_vec()
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({} bytes)", self.len)
    }
}
