//! Wall-clock time, and its text form.

use std::time::{SystemTime, UNIX_EPOCH};

pub use keyward_audit::rfc3339;

/// Now, in milliseconds since 1970-01-01T00:00:00Z.
pub fn unix_ms() -> u64 {
    ms_of(SystemTime::now())
}

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
pub fn ms_of(time: SystemTime) -> u64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn known_times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
