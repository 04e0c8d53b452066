//! The identifier a request has in its response, the log and the policy's view of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderValue, Request};
use bytes::Bytes;

/// Longest identifier taken over from a caller.
const MAX_LEN: usize = 64;

/// A request's identifier: 1–64 of `A-Z a-z 0-9 . _ -`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's own identifier if it is usable, else a new one.
    pub fn accept(given: Option<&HeaderValue>) -> Self {
        match given {
            Some(value) if is_clean(value.as_bytes()) => Self(value.clone()),
            _ => Self::generate(),
        }
    }

    /// A new identifier: random for the process, then counted. Unique, not secret.
    pub fn generate() -> Self {
        static PROCESS: OnceLock<u32> = OnceLock::new();
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let process = *PROCESS.get_or_init(|| {
            let mut bytes = [0; 4];
            // Without randomness the identifiers still are unique within the process.
            let _ = keyward_crypto::random_bytes(&mut bytes);
            u32::from_be_bytes(bytes)
        });
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 24];
        hex_into(u64::from(process) << 32, &mut text[..8]);
        hex_into(count, &mut text[8..]);
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text));
        Self(value.unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("unknown")
    }

    /// As a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// The identifier the outermost service gave the request.
pub fn of<B>(request: &Request<B>) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::generate)
}

fn is_clean(bytes: &[u8]) -> bool {
    (1..=MAX_LEN).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Writes the leading hex digits of `value`, as many as `out` holds.
fn hex_into(mut value: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for slot in out {
        *slot = DIGITS[(value >> 60) as usize];
        value <<= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_identifier_is_kept() {
        let given = HeaderValue::from_static("order-17.retry_2");
        assert_eq!(RequestId::accept(Some(&given)).as_str(), "order-17.retry_2");
    }

    #[test]
    fn an_unclean_one_is_replaced() {
        for text in ["", "a b", "a\"b", "ü", &"x".repeat(65)] {
            let given = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            let id = RequestId::accept(Some(&given));
            assert!(is_clean(id.as_str().as_bytes()) && id.as_str() != text);
        }
    }

    #[test]
    fn generated_ones_differ() {
        let (a, b) = (RequestId::generate(), RequestId::generate());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 24);
    }
}
