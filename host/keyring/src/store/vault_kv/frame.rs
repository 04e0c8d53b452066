//! What is given to Vault Transit to wrap: the record with its path, so that a wrapped value that
//! was moved to another path does not open there.
//!
//! Format byte `0x01`, length of the path as u16 big-endian, path, value.

use zeroize::Zeroizing;

const FORMAT: u8 = 1;

/// The bytes to wrap. A path has at most [`MAX_PATH`](crate::store::MAX_PATH) bytes.
pub(super) fn frame(path: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let header = header(path);
    let mut bytes = Zeroizing::new(Vec::with_capacity(header.len() + value.len()));
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(value);
    bytes
}

/// The value, if the bytes were framed for this path.
pub(super) fn unframe(path: &str, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    bytes.strip_prefix(header(path).as_slice()).map(|value| Zeroizing::new(value.to_vec()))
}

fn header(path: &str) -> Vec<u8> {
    let length = u16::try_from(path.len()).unwrap_or(u16::MAX);
    let mut header = vec![FORMAT];
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(path.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_opens_at_its_own_path_only(
            path in "[a-c/]{1,6}",
            other in "[a-c/]{1,6}",
            value in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let framed = frame(&path, &value);
            let opened = unframe(&path, &framed).unwrap();
            prop_assert_eq!(opened.as_slice(), value.as_slice());
            prop_assert_eq!(unframe(&other, &framed).is_some(), path == other);
        }

        #[test]
        fn no_bytes_make_it_panic(path in "[a-z]{0,4}", bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = unframe(&path, &bytes);
        }
    }
}
