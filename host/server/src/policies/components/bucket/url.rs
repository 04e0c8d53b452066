//! Which bucket, and where in it.

use std::fmt;
use std::str::FromStr;

/// A bucket, and where in it: `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// Its name.
    pub bucket: String,
    /// What the names of all objects begin with; may be empty.
    pub prefix: String,
}

impl FromStr for BucketUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("s3://").ok_or(())?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let of_a_name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
        };
        let is_name = (3..=63).contains(&bucket.len()) && bucket.bytes().all(of_a_name);
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_part = |part: &str| {
            let of_a_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(of_a_part)
        };
        let is_prefix = prefix.is_empty() || prefix.split('/').all(is_part);
        (is_name && is_prefix)
            .then(|| Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            .ok_or(())
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<BucketUrl> {
        text.parse().ok()
    }

    #[test]
    fn buckets_are_named_as_s3_names_them() {
        let whole = url("s3://my-bucket/keyward/policies/").unwrap();
        assert_eq!((&*whole.bucket, &*whole.prefix), ("my-bucket", "keyward/policies"));
        assert_eq!(whole.to_string(), "s3://my-bucket/keyward/policies");
        assert_eq!(url("s3://my-bucket").unwrap().prefix, "");
        for bad in [
            "",
            "s3://",
            "s3:///x",
            "s3://ab",
            "S3://bucket",
            "https://bucket/x",
            "s3://Bucket",
            "s3://bucket//x",
            "s3://bucket/../x",
            "s3://bucket/a b",
            "s3://key:secret@bucket/x",
            "s3://bucket/x?y",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
