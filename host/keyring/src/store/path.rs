//! Which paths and values a store accepts.

use super::StoreError;

/// The longest path, in bytes.
pub const MAX_PATH: usize = 512;

/// The longest value, in bytes (64 MiB).
pub const MAX_VALUE: usize = 64 << 20;

/// Accepts `segment(/segment)*` of at most [`MAX_PATH`] bytes, where a segment is one or more of
/// `A-Z`, `a-z`, `0-9`, `.`, `_`, `-`, but not `.` or `..`. Fails with
/// [`StoreError::InvalidPath`].
pub fn check_path(path: &str) -> Result<(), StoreError> {
    let invalid = |reason| Err(StoreError::InvalidPath { path: shorten(path), reason });
    if path.len() > MAX_PATH {
        return invalid("it is longer than 512 bytes");
    }
    for segment in path.split('/') {
        if segment.is_empty() {
            return invalid("a segment is empty");
        }
        if segment == "." || segment == ".." {
            return invalid("a segment is '.' or '..'");
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !segment.bytes().all(allowed) {
            return invalid("a segment has a character other than A-Z a-z 0-9 . _ -");
        }
    }
    Ok(())
}

/// Accepts what [`check_path`] accepts, with or without one `/` at the end, and the empty
/// prefix. Returns the prefix of the paths below it: empty, or ending in one `/`.
pub fn check_prefix(prefix: &str) -> Result<String, StoreError> {
    if prefix.is_empty() {
        return Ok(String::new());
    }
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    check_path(folder)?;
    Ok(format!("{folder}/"))
}

/// Accepts values of at most [`MAX_VALUE`] bytes. Fails with [`StoreError::ValueTooLarge`].
pub fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > MAX_VALUE {
        return Err(StoreError::ValueTooLarge { size: value.len(), limit: MAX_VALUE });
    }
    Ok(())
}

/// Enough of a refused path to recognise it by.
fn shorten(path: &str) -> String {
    path.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_of_the_rules() {
        for good in ["a", "a/b", "tenants/demo/keys/K.1_x-/versions/1", "...", "-"] {
            assert!(check_path(good).is_ok(), "{good:?}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a\0", "é"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path(&"a".repeat(MAX_PATH)).is_ok());
        assert!(check_path(&"a".repeat(MAX_PATH + 1)).is_err());
        assert_eq!(check_prefix("").unwrap(), "");
        assert_eq!(check_prefix("a/b").unwrap(), "a/b/");
        assert_eq!(check_prefix("a/b/").unwrap(), "a/b/");
        assert!(check_prefix("/").is_err() && check_prefix("a//").is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_never_lets_a_traversal_through(path in "\\PC{0,600}|[./a-]{0,20}") {
            if check_path(&path).is_ok() {
                prop_assert!(path.split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
                prop_assert!(path.is_ascii() && path.len() <= MAX_PATH);
            }
        }
    }
}
