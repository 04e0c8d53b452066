//! One record of entries: the rules, without the store.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy_host::{HostError, StateEntry};
use serde::{Deserialize, Serialize};

/// Entries by name.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Bucket {
    /// The revision given last, to whichever entry: none is given twice.
    last_revision: u64,
    entries: BTreeMap<String, Entry>,
    #[serde(skip)]
    changed: bool,
}

#[derive(Clone, Deserialize, Serialize)]
struct Entry {
    /// Standard base64.
    value: String,
    revision: u64,
    /// Unix time in ms from which on it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

impl Entry {
    fn is_there(&self, now: u64) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    fn value(&self) -> Result<Vec<u8>, HostError> {
        let damaged = || HostError::Unavailable("what the policy remembers is damaged".into());
        STANDARD.decode(&self.value).map_err(|_| damaged())
    }
}

impl Bucket {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The record to write, if something changed.
    pub(super) fn to_bytes_if_changed(&self) -> Option<Vec<u8>> {
        // Strings and numbers alone: cannot fail.
        self.changed.then(|| serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn get(&self, name: &str, now: u64) -> Result<Option<StateEntry>, HostError> {
        let Some(entry) = self.live(name, now) else { return Ok(None) };
        Ok(Some(StateEntry { value: entry.value()?, revision: entry.revision }))
    }

    pub(super) fn put(
        &mut self,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
        now: u64,
    ) -> Result<u64, HostError> {
        self.check(name, expected, now)?;
        Ok(self.write(name, value, expiry(ttl, now), now))
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        amount: i64,
        ttl: Option<u64>,
        now: u64,
    ) -> Result<i64, HostError> {
        let invalid = |reason: &str| HostError::Invalid(format!("the entry {reason}"));
        let (before, expires_at) = match self.live(name, now) {
            None => (0, expiry(ttl, now)),
            Some(entry) => {
                let value: Result<[u8; 8], _> = entry.value()?.try_into();
                let value = value.map_err(|_| invalid("is no counter"))?;
                (i64::from_be_bytes(value), entry.expires_at)
            }
        };
        let sum = before.checked_add(amount);
        let sum = sum.ok_or_else(|| invalid("would leave the range of a counter"))?;
        self.write(name, &sum.to_be_bytes(), expires_at, now);
        Ok(sum)
    }

    pub(super) fn remove(
        &mut self,
        name: &str,
        expected: Option<u64>,
        now: u64,
    ) -> Result<(), HostError> {
        self.check(name, expected, now)?;
        if self.entries.remove(name).is_some() {
            self.changed = true;
        }
        Ok(())
    }

    fn live(&self, name: &str, now: u64) -> Option<&Entry> {
        self.entries.get(name).filter(|entry| entry.is_there(now))
    }

    fn check(&self, name: &str, expected: Option<u64>, now: u64) -> Result<(), HostError> {
        let found = self.live(name, now).map_or(0, |entry| entry.revision);
        match expected {
            Some(expected) if expected != found => Err(HostError::Conflict(format!(
                "the entry is at revision {found}, not at {expected}"
            ))),
            _ => Ok(()),
        }
    }

    fn write(&mut self, name: &str, value: &[u8], expires_at: Option<u64>, now: u64) -> u64 {
        self.entries.retain(|_, entry| entry.is_there(now));
        self.last_revision += 1;
        let revision = self.last_revision;
        let entry = Entry { value: STANDARD.encode(value), revision, expires_at };
        self.entries.insert(name.to_owned(), entry);
        self.changed = true;
        revision
    }
}

fn expiry(ttl: Option<u64>, now: u64) -> Option<u64> {
    ttl.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put { name: u8, value: Vec<u8>, ttl: Option<u64>, expect: Expect },
        Add { name: u8, amount: i64, ttl: Option<u64> },
        Remove { name: u8, expect: Expect },
        Get { name: u8 },
        Wait { ms: u64 },
        Store,
    }

    #[derive(Clone, Debug)]
    enum Expect {
        Anything,
        Nothing,
        Current,
        Other(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let ttl = || proptest::option::of(1_u64..5);
        let expect = || {
            prop_oneof![
                Just(Expect::Anything),
                Just(Expect::Nothing),
                Just(Expect::Current),
                (1_u64..50).prop_map(Expect::Other),
            ]
        };
        let value = || {
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..10),
                any::<i64>().prop_map(|n| n.to_be_bytes().to_vec()),
            ]
        };
        let name = || 0_u8..3;
        let step =
            prop_oneof![
                (name(), value(), ttl(), expect())
                    .prop_map(|(name, value, ttl, expect)| Step::Put { name, value, ttl, expect }),
                (name(), any::<i64>(), ttl()).prop_map(|(name, amount, ttl)| Step::Add {
                    name,
                    amount,
                    ttl
                }),
                (name(), expect()).prop_map(|(name, expect)| Step::Remove { name, expect }),
                name().prop_map(|name| Step::Get { name }),
                (0_u64..3_000).prop_map(|ms| Step::Wait { ms }),
                Just(Step::Store),
            ];
        proptest::collection::vec(step, 1..60)
    }

    /// What should be there: value, revision, end.
    type Model = HashMap<String, (Vec<u8>, u64, Option<u64>)>;

    fn expected(expect: &Expect, current: u64) -> Option<u64> {
        match expect {
            Expect::Anything => None,
            Expect::Nothing => Some(0),
            Expect::Current => Some(current),
            Expect::Other(revision) => Some(*revision),
        }
    }

    proptest! {
        /// Against a plain map: every answer and every entry; no revision comes twice.
        #[test]
        fn it_does_what_a_map_does(steps in steps()) {
            let (mut bucket, mut model, mut now) = (Bucket::default(), Model::new(), 1_000);
            let mut given = Vec::new();
            for step in steps {
                model.retain(|_, (_, _, end)| end.is_none_or(|end| now < end));
                let current = |name: &str| model.get(name).map_or(0, |entry| entry.1);
                match step {
                    Step::Put { name, value, ttl, expect } => {
                        let name = name.to_string();
                        let expected = expected(&expect, current(&name));
                        let put = bucket.put(&name, &value, ttl, expected, now);
                        if expected.is_some_and(|expected| expected != current(&name)) {
                            prop_assert!(matches!(put, Err(HostError::Conflict(_))));
                        } else {
                            let revision = put.unwrap();
                            prop_assert!(!given.contains(&revision) && revision > 0);
                            given.push(revision);
                            let end = ttl.map(|seconds| now + seconds * 1_000);
                            model.insert(name, (value, revision, end));
                        }
                    }
                    Step::Add { name, amount, ttl } => {
                        let name = name.to_string();
                        let (before, end) = match model.get(&name) {
                            None => (Some(0), ttl.map(|seconds| now + seconds * 1_000)),
                            Some((value, _, end)) => {
                                (value.clone().try_into().ok().map(i64::from_be_bytes), *end)
                            }
                        };
                        let sum = before.and_then(|before| before.checked_add(amount));
                        let added = bucket.add(&name, amount, ttl, now);
                        match sum {
                            None => prop_assert!(matches!(added, Err(HostError::Invalid(_)))),
                            Some(sum) => {
                                prop_assert_eq!(added, Ok(sum));
                                let entry = bucket.get(&name, now).unwrap().unwrap();
                                given.push(entry.revision);
                                let value = sum.to_be_bytes().to_vec();
                                model.insert(name, (value, entry.revision, end));
                            }
                        }
                    }
                    Step::Remove { name, expect } => {
                        let name = name.to_string();
                        let expected = expected(&expect, current(&name));
                        let removed = bucket.remove(&name, expected, now);
                        if expected.is_some_and(|expected| expected != current(&name)) {
                            prop_assert!(matches!(removed, Err(HostError::Conflict(_))));
                        } else {
                            prop_assert_eq!(removed, Ok(()));
                            model.remove(&name);
                        }
                    }
                    Step::Get { name } => {
                        let name = name.to_string();
                        let there = model.get(&name).map(|(value, revision, _)| StateEntry {
                            value: value.clone(),
                            revision: *revision,
                        });
                        prop_assert_eq!(bucket.get(&name, now), Ok(there));
                    }
                    Step::Wait { ms } => now += ms,
                    Step::Store => {
                        if let Some(bytes) = bucket.to_bytes_if_changed() {
                            bucket = Bucket::from_bytes(&bytes).unwrap();
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_over_leaves_with_the_next_write() {
        let mut bucket = Bucket::default();
        bucket.put("old", b"x", Some(1), None, 0).unwrap();
        bucket.put("new", b"y", None, None, 1_000).unwrap();
        let text = String::from_utf8(bucket.to_bytes_if_changed().unwrap()).unwrap();
        assert_eq!(text, r#"{"last_revision":2,"entries":{"new":{"value":"eQ==","revision":2}}}"#);
    }
}
