//! What a policy remembers, in memory: the rules of the host's own state, for the test harness.

use std::collections::BTreeMap;

use super::memory::with_state;
use crate::Error;
use crate::state::Entry;

/// Longest name and value in bytes, as in the host.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 4 << 10;

/// One tenant's entries.
#[derive(Debug, Default)]
pub struct State {
    now: u64,
    last_revision: u64,
    entries: BTreeMap<String, (Entry, Option<u64>)>,
}

impl State {
    pub fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    fn live(&self, name: &str) -> Result<Option<&(Entry, Option<u64>)>, Error> {
        if !(1..=MAX_NAME).contains(&name.len()) {
            return Err(Error::invalid(format!(
                "the name of an entry is of 1 to {MAX_NAME} bytes"
            )));
        }
        let entry = self.entries.get(name);
        Ok(entry.filter(|(_, end)| end.is_none_or(|end| self.now < end)))
    }

    fn check(&self, name: &str, expected: Option<u64>) -> Result<(), Error> {
        let found = self.live(name)?.map_or(0, |(entry, _)| entry.revision);
        match expected {
            Some(expected) if expected != found => {
                Err(Error::conflict(format!("the entry is at revision {found}, not at {expected}")))
            }
            _ => Ok(()),
        }
    }

    fn end(&self, ttl: Option<u64>) -> Result<Option<u64>, Error> {
        match ttl {
            Some(0) => Err(Error::invalid("an entry lives for a second at least")),
            ttl => Ok(ttl.map(|ttl| self.now.saturating_add(ttl.saturating_mul(1_000)))),
        }
    }

    fn write(&mut self, name: &str, value: &[u8], end: Option<u64>) -> u64 {
        self.last_revision += 1;
        let entry = Entry { value: value.to_vec(), revision: self.last_revision };
        self.entries.insert(name.to_owned(), (entry, end));
        self.last_revision
    }

    fn put(
        &mut self,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Result<u64, Error> {
        let end = self.end(ttl)?;
        self.check(name, expected)?;
        if value.len() > MAX_VALUE {
            let reason = format!("the value of an entry has at most {MAX_VALUE} bytes");
            return Err(Error::invalid(reason));
        }
        Ok(self.write(name, value, end))
    }

    fn add(&mut self, name: &str, amount: i64, ttl: Option<u64>) -> Result<i64, Error> {
        let new_end = self.end(ttl)?;
        let (before, end) = match self.live(name)? {
            None => (0, new_end),
            Some((entry, end)) => {
                let value = entry.value.as_slice().try_into();
                let value = value.map_err(|_| Error::invalid("the entry is no counter"))?;
                (i64::from_be_bytes(value), *end)
            }
        };
        let sum = before.checked_add(amount);
        let sum =
            sum.ok_or_else(|| Error::invalid("the entry would leave the range of a counter"))?;
        self.write(name, &sum.to_be_bytes(), end);
        Ok(sum)
    }
}

pub fn state_get(name: &str) -> Result<Option<Entry>, Error> {
    with_state(|state| Ok(state.live(name)?.map(|(entry, _)| entry.clone())))
}

pub fn state_put(name: &str, value: &[u8], ttl: Option<u64>) -> Result<u64, Error> {
    with_state(|state| state.put(name, value, ttl, None))
}

pub fn state_put_if(
    name: &str,
    value: &[u8],
    ttl: Option<u64>,
    revision: u64,
) -> Result<u64, Error> {
    with_state(|state| state.put(name, value, ttl, Some(revision)))
}

pub fn state_add(name: &str, amount: i64, ttl: Option<u64>) -> Result<i64, Error> {
    with_state(|state| state.add(name, amount, ttl))
}

pub fn state_remove(name: &str, revision: Option<u64>) -> Result<(), Error> {
    with_state(|state| {
        state.check(name, revision)?;
        state.entries.remove(name);
        Ok(())
    })
}
