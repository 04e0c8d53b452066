//! What a tenant wants while its store cannot answer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::duration;
use crate::error::KeyringError;

/// The longest time that may be asked for: 30 days.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A tenant's outage contract: what happens to keys whose time in the cache is over while the
/// store is unavailable. As text: `fail-closed`, or `serve-stale=` and a whole number with unit
/// `ms`, `s`, `m`, `h` or `d`, such as `serve-stale=1h`.
///
/// A store that answers is never overruled: a key it says is disabled, changed or gone is so at
/// once, whatever the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// Nothing is used beyond its time.
    #[default]
    FailClosed,
    /// What is cached may be used for this long beyond its time; at most 30 days.
    ServeStale(Duration),
}

impl Outage {
    /// How long beyond its time something cached may be used.
    pub fn window(self) -> Duration {
        match self {
            Self::FailClosed => Duration::ZERO,
            Self::ServeStale(window) => window.min(LONGEST),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::ServeStale(window) = self else {
            return f.write_str("fail-closed");
        };
        write!(f, "serve-stale={}", duration::Text(*window))
    }
}

impl FromStr for Outage {
    type Err = KeyringError;

    /// Fails with [`KeyringError::InvalidName`] and field `outage`.
    fn from_str(text: &str) -> Result<Self, KeyringError> {
        let invalid = KeyringError::InvalidName {
            field: "outage",
            reason: "must be 'fail-closed', or 'serve-stale=' and a duration of at most 30 days, \
                     such as 30s, 15m, 1h or 2d",
        };
        if text == "fail-closed" {
            return Ok(Self::FailClosed);
        }
        let window = text.strip_prefix("serve-stale=").and_then(duration::parse);
        match window {
            Some(window) if window <= LONGEST => Ok(Self::ServeStale(window)),
            _ => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_has_one_text_and_it_is_read_back() {
        let stale = |millis| Outage::ServeStale(Duration::from_millis(millis));
        for (contract, text) in [
            (Outage::FailClosed, "fail-closed"),
            (stale(0), "serve-stale=0s"),
            (stale(1), "serve-stale=1ms"),
            (stale(90_000), "serve-stale=90s"),
            (stale(900_000), "serve-stale=15m"),
            (stale(3_600_000), "serve-stale=1h"),
            (stale(86_400_000), "serve-stale=1d"),
            (Outage::ServeStale(LONGEST), "serve-stale=30d"),
        ] {
            assert_eq!(contract.to_string(), text);
            assert_eq!(text.parse::<Outage>().unwrap(), contract);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "stale",
            "FAIL-CLOSED",
            "serve-stale",
            "serve-stale=",
            "serve-stale=1",
            "serve-stale=h",
            "serve-stale=-1h",
            "serve-stale=1.5h",
            "serve-stale=1 h",
            "serve-stale=1w",
            "serve-stale=31d",
            "serve-stale=99999999999999999999h",
            "serve-stale=18446744073709551615d",
        ] {
            let error = text.parse::<Outage>().unwrap_err();
            assert!(
                matches!(error, KeyringError::InvalidName { field: "outage", .. }),
                "{text:?}: {error}"
            );
        }
    }
}
