//! A key's record of use: the sum over all hosts, and which batch of each is in it.

use std::collections::BTreeMap;

use keyward_crypto::KeyId;
use serde::{Deserialize, Serialize};

use super::tally::{KeyUsage, Span, VersionUsage};
use crate::error::KeyringError;

const FORMAT: u32 = 1;

/// The most hosts that are remembered, and for how long. A host forgotten with a batch in doubt
/// counts that batch again if it was written after all: rather too much than too little.
const MAX_HOSTS: usize = 64;
const HOST_MEMORY: u64 = 24 * 60 * 60 * 1000;

/// The record at `tenants/<t>/keys/<k>/usage`. It belongs to the key of its id: what an earlier key
/// of the name left is none of the next one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageRecord {
    pub(crate) id: KeyId,
    pub(crate) usage: KeyUsage,
    hosts: BTreeMap<String, Applied>,
}

/// The last batch of a host that is in the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Applied {
    batch: u64,
    at: u64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    id: String,
    versions: Vec<Row>,
    hosts: BTreeMap<String, Applied>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    version: u32,
    sealed_messages: u64,
    sealed_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<(u64, u64)>,
    opened_messages: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<(u64, u64)>,
}

impl UsageRecord {
    pub(crate) fn new(id: KeyId) -> Self {
        Self { id, usage: KeyUsage::default(), hosts: BTreeMap::new() }
    }

    /// The last batch of this host that is in the sum; 0 for none.
    pub(crate) fn applied(&self, host: &str) -> u64 {
        self.hosts.get(host).map_or(0, |applied| applied.batch)
    }

    /// Adds a batch of a host's. `now` is in milliseconds since the Unix epoch.
    pub(crate) fn apply(&mut self, host: &str, batch: u64, usage: &KeyUsage, now: u64) {
        self.usage.merge(usage);
        self.hosts.retain(|_, applied| applied.at.saturating_add(HOST_MEMORY) > now);
        self.hosts.insert(host.to_owned(), Applied { batch, at: now });
        while self.hosts.len() > MAX_HOSTS {
            let oldest = self.hosts.iter().filter(|(name, _)| *name != host);
            let oldest = oldest.min_by_key(|(_, applied)| applied.at).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            self.hosts.remove(&oldest);
        }
    }

    pub(crate) fn encode(&self, path: &str) -> Result<Vec<u8>, KeyringError> {
        let pair = |span: Option<Span>| span.map(|span| (span.first, span.last));
        let versions = self.usage.versions().map(|(version, usage)| Row {
            version,
            sealed_messages: usage.sealed_messages,
            sealed_bytes: usage.sealed_bytes,
            sealed: pair(usage.sealed),
            opened_messages: usage.opened_messages,
            opened: pair(usage.opened),
        });
        let document = Document {
            format: FORMAT,
            id: self.id.to_string(),
            versions: versions.collect(),
            hosts: self.hosts.clone(),
        };
        let corrupt = |_| KeyringError::Corrupt { path: path.to_owned() };
        serde_json::to_vec(&document).map_err(corrupt)
    }

    pub(crate) fn decode(path: &str, value: &[u8]) -> Result<Self, KeyringError> {
        let corrupt = || KeyringError::Corrupt { path: path.to_owned() };
        let document: Document = serde_json::from_slice(value).map_err(|_| corrupt())?;
        if document.format != FORMAT {
            return Err(corrupt());
        }
        let span = |pair: Option<(u64, u64)>| pair.map(|(first, last)| Span { first, last });
        let mut usage = KeyUsage::default();
        for row in document.versions {
            let counted = VersionUsage {
                sealed_messages: row.sealed_messages,
                sealed_bytes: row.sealed_bytes,
                sealed: span(row.sealed),
                opened_messages: row.opened_messages,
                opened: span(row.opened),
            };
            usage.add(row.version, &counted);
        }
        let id = document.id.parse().map_err(|_| corrupt())?;
        Ok(Self { id, usage, hosts: document.hosts })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tally::tests::key_usage;
    use super::*;

    proptest! {
        #[test]
        fn a_record_reads_back(usage in key_usage(), batch in 1_u64..9) {
            let mut record = UsageRecord::new(KeyId(7));
            record.apply("host", batch, &usage, 1);
            let read = UsageRecord::decode("p", &record.encode("p").unwrap()).unwrap();
            prop_assert_eq!(&read, &record);
            prop_assert_eq!((read.applied("host"), read.applied("other")), (batch, 0));
        }
    }

    #[test]
    fn what_is_no_record_is_damaged() {
        for bad in
            ["", "{}", "[]", r#"{"format":2,"id":"00000000000000ab","versions":[],"hosts":{}}"#]
        {
            let error = UsageRecord::decode("p", bad.as_bytes()).unwrap_err();
            assert!(matches!(error, KeyringError::Corrupt { .. }), "{bad}");
        }
    }

    #[test]
    fn hosts_that_are_gone_are_forgotten() {
        let mut record = UsageRecord::new(KeyId(7));
        let nothing = KeyUsage::default();
        for number in 0..200 {
            record.apply(&format!("host-{number}"), 1, &nothing, 1000 + number);
        }
        assert_eq!(record.hosts.len(), MAX_HOSTS);
        assert_eq!((record.applied("host-199"), record.applied("host-0")), (1, 0));
        record.apply("late", 3, &nothing, 1000 + 150 + HOST_MEMORY);
        assert_eq!((record.applied("host-150"), record.applied("host-151")), (0, 1));
    }
}
