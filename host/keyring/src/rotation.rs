//! When a key is to be rotated by itself: by schedule, or because its current version was used up.

use std::fmt;
use std::time::Duration;

use keyward_crypto::Algorithm;

use crate::cache::millis;
use crate::duration;
use crate::error::KeyringError;
use crate::key::Key;
use crate::usage::VersionUsage;

/// The shortest and the longest schedule: a second, and ten years.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(3650 * 24);
/// The smallest budgets: below them a busy key would be rotated at every flush.
const FEWEST_MESSAGES: u64 = 1_000;
const FEWEST_BYTES: u64 = 1 << 20;
/// The largest budgets: what JSON readers that know no integers still read exactly.
const MOST: u64 = 1 << 53;

/// Half of what NIST SP 800-38D section 8.3 allows under one key with random 96-bit nonces, 2^32
/// messages. The other half is the margin for what hosts have counted and not flushed yet, or seal
/// until they learn of the rotation.
const RANDOM_NONCES: u64 = 1 << 31;

/// When a key is rotated by itself. Whatever comes first counts; at least one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    every: Option<Duration>,
    max_messages: Option<u64>,
    max_bytes: Option<u64>,
}

/// Why a key was rotated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationCause {
    /// Its newest version was old enough.
    Schedule,
    /// Its current version has sealed its messages.
    Messages,
    /// Its current version has sealed its bytes.
    Bytes,
}

impl RotationCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Schedule, Self::Messages, Self::Bytes];

    /// The cause's name: `schedule`, `messages` or `bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
        }
    }
}

impl Rotation {
    /// A policy: rotate when the newest version is as old as `every` (a second to 3,650 days,
    /// whole milliseconds), when the current version has sealed `max_messages` messages (1,000 to
    /// 2^53), or `max_bytes` bytes (2^20 to 2^53).
    ///
    /// Fails with [`KeyringError::InvalidName`] and field `every`, `max_messages`, `max_bytes`, or
    /// `rotation` when nothing is set.
    pub fn new(
        every: Option<Duration>,
        max_messages: Option<u64>,
        max_bytes: Option<u64>,
    ) -> Result<Self, KeyringError> {
        let invalid = |field, reason| Err(KeyringError::InvalidName { field, reason });
        if every.is_none() && max_messages.is_none() && max_bytes.is_none() {
            return invalid("rotation", "needs `every`, `max_messages` or `max_bytes`");
        }
        if every.is_some_and(|every| !(SHORTEST..=LONGEST).contains(&every)) {
            return invalid("every", EVERY);
        }
        if max_messages.is_some_and(|max| !(FEWEST_MESSAGES..=MOST).contains(&max)) {
            return invalid("max_messages", "must be a whole number from 1000 to 2^53");
        }
        if max_bytes.is_some_and(|max| !(FEWEST_BYTES..=MOST).contains(&max)) {
            return invalid("max_bytes", "must be a whole number from 1048576 (1 MiB) to 2^53");
        }
        Ok(Self { every, max_messages, max_bytes })
    }

    /// Reads `every` from text such as `12h` or `30d`. Fails as [`Rotation::new`].
    pub fn parse_every(text: &str) -> Result<Duration, KeyringError> {
        let invalid = KeyringError::InvalidName { field: "every", reason: EVERY };
        let every = duration::parse(text).filter(|every| (SHORTEST..=LONGEST).contains(every));
        every.ok_or(invalid)
    }

    /// The text that [`Rotation::parse_every`] reads as `every`.
    pub fn show_every(every: Duration) -> String {
        duration::Text(every).to_string()
    }

    /// How old the newest version becomes.
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    /// How many messages one version seals.
    pub fn max_messages(&self) -> Option<u64> {
        self.max_messages
    }

    /// How many bytes one version seals.
    pub fn max_bytes(&self) -> Option<u64> {
        self.max_bytes
    }

    /// Succeeds unless the algorithm bears less than the policy allows.
    pub(crate) fn check_for(&self, algorithm: Algorithm) -> Result<(), KeyringError> {
        let most = default_max_messages(algorithm);
        if self.max_messages.is_some_and(|max| most.is_some_and(|most| max > most)) {
            let reason = "must be at most 2147483648 for a key whose algorithm has random nonces \
                          of 96 bits";
            return Err(KeyringError::InvalidName { field: "max_messages", reason });
        }
        Ok(())
    }
}

const EVERY: &str = "must be a whole number with unit ms, s, m, h or d, such as 12h or 30d; at \
                     least 1s and at most 3650d";

impl fmt::Display for Rotation {
    /// What is set of `every=30d`, `max_messages=1000000` and `max_bytes=1048576`, between commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = self.every.map(|every| format!("every={}", duration::Text(every)));
        let messages = self.max_messages.map(|max| format!("max_messages={max}"));
        let bytes = self.max_bytes.map(|max| format!("max_bytes={max}"));
        let all: Vec<String> = [every, messages, bytes].into_iter().flatten().collect();
        f.write_str(&all.join(","))
    }
}

/// How many messages a version of such a key seals unless the key's own policy says less: 2^31
/// where the nonces are random and of 96 bits.
pub fn default_max_messages(algorithm: Algorithm) -> Option<u64> {
    matches!(algorithm, Algorithm::Aes256Gcm | Algorithm::ChaCha20Poly1305).then_some(RANDOM_NONCES)
}

/// Whether the key has any budget, of its own or by default.
pub(crate) fn has_budget(key: &Key) -> bool {
    let own = key.rotation.is_some_and(|own| own.max_messages.is_some() || own.max_bytes.is_some());
    own || default_max_messages(key.algorithm).is_some()
}

/// Why the key, whose current version was used so, is to be rotated at `now` (milliseconds since the
/// Unix epoch). What may not be used is not rotated.
pub(crate) fn due(key: &Key, current: &VersionUsage, now: u64) -> Option<RotationCause> {
    if !key.enabled() {
        return None;
    }
    let own = key.rotation;
    // The newest, not the current one: after a roll-back the schedule goes on where it was.
    let newest = key.versions.iter().map(|info| info.created_at).max().unwrap_or(key.created_at);
    let every = own.and_then(|own| own.every);
    if every.is_some_and(|every| newest.saturating_add(millis(every)) <= now) {
        return Some(RotationCause::Schedule);
    }
    let (max_messages, max_bytes) = budget(key);
    if max_messages.is_some_and(|max| current.sealed_messages >= max) {
        return Some(RotationCause::Messages);
    }
    max_bytes.is_some_and(|max| current.sealed_bytes >= max).then_some(RotationCause::Bytes)
}

/// Most messages and bytes that a version of the key is to seal.
fn budget(key: &Key) -> (Option<u64>, Option<u64>) {
    let own = key.rotation;
    let max_messages =
        own.and_then(|own| own.max_messages).or_else(|| default_max_messages(key.algorithm));
    (max_messages, own.and_then(|own| own.max_bytes))
}

/// Which share of its budget the key's current version, used so, has spent, of messages or bytes
/// whichever is more: 1 when it is due. None without a budget.
pub(crate) fn budget_spent(key: &Key, current: &VersionUsage) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share to look at, not to decide by")]
    let share = |used: u64, max: Option<u64>| max.map(|max| used as f64 / max as f64);
    let (max_messages, max_bytes) = budget(key);
    let messages = share(current.sealed_messages, max_messages);
    let bytes = share(current.sealed_bytes, max_bytes);
    messages.into_iter().chain(bytes).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(made: Result<Rotation, KeyringError>) -> Option<&'static str> {
        match made {
            Ok(_) => None,
            Err(KeyringError::InvalidName { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn policies_are_bounded_and_name_the_field() {
        let every = |text: &str| {
            let every = Rotation::parse_every(text);
            field(every.and_then(|every| Rotation::new(Some(every), None, None)))
        };
        for good in ["1s", "1000ms", "90m", "12h", "30d", "3650d"] {
            assert_eq!(every(good), None, "{good}");
        }
        for bad in
            ["", "0d", "999ms", "-1d", "3651d", "1", "d", "1w", "1.5h", "99999999999999999999d"]
        {
            assert_eq!(every(bad), Some("every"), "{bad}");
        }
        assert_eq!(field(Rotation::new(None, None, None)), Some("rotation"));
        assert_eq!(field(Rotation::new(Some(Duration::ZERO), None, None)), Some("every"));
        let messages = |max| field(Rotation::new(None, Some(max), None));
        let bytes = |max| field(Rotation::new(None, None, Some(max)));
        for bad in [0, 999, MOST + 1, u64::MAX] {
            assert_eq!((messages(bad), bytes(bad)), (Some("max_messages"), Some("max_bytes")));
        }
        assert_eq!((messages(1_000), bytes(1 << 20), messages(MOST)), (None, None, None));
    }

    #[test]
    fn random_nonces_of_96_bits_have_a_budget_by_default() {
        let rotation = |max| Rotation::new(None, Some(max), None).unwrap();
        for algorithm in Algorithm::ALL {
            let capped = ["aes-256-gcm", "chacha20-poly1305"].contains(&algorithm.name());
            assert_eq!(default_max_messages(algorithm), capped.then_some(1 << 31));
            assert!(rotation(1 << 31).check_for(algorithm).is_ok());
            assert_eq!(rotation((1 << 31) + 1).check_for(algorithm).is_err(), capped);
        }
    }

    #[test]
    fn a_policy_has_a_text() {
        let every = Some(Duration::from_hours(24));
        let text = |rotation: Result<Rotation, _>| rotation.unwrap().to_string();
        assert_eq!(text(Rotation::new(every, None, None)), "every=1d");
        let all = Rotation::new(every, Some(5000), Some(1 << 20));
        assert_eq!(text(all), "every=1d,max_messages=5000,max_bytes=1048576");
    }
}
