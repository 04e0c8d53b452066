//! Counts of use, and how they add up: in any order and any grouping to the same.

use std::collections::BTreeMap;

/// From when to when something was used, both in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first use.
    pub first: u64,
    /// The last use, to the second.
    pub last: u64,
}

impl Span {
    fn union(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                Some(Self { first: one.first.min(other.first), last: one.last.max(other.last) })
            }
            (one, other) => one.or(other),
        }
    }
}

/// How often one version of a key was used. Counts end at [`u64::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionUsage {
    /// Messages sealed: encrypted, signed, authenticated, derived; data keys and streams are one
    /// each.
    pub sealed_messages: u64,
    /// Bytes of these messages; of what is derived, the bytes derived.
    pub sealed_bytes: u64,
    /// When; `None` if never.
    pub sealed: Option<Span>,
    /// Messages opened: decrypted, found valid, moved to another version, index terms by which
    /// something older is looked for.
    pub opened_messages: u64,
    /// When; `None` if never.
    pub opened: Option<Span>,
}

impl VersionUsage {
    /// Adds what `other` counts.
    pub fn merge(&mut self, other: &Self) {
        self.sealed_messages = self.sealed_messages.saturating_add(other.sealed_messages);
        self.sealed_bytes = self.sealed_bytes.saturating_add(other.sealed_bytes);
        self.sealed = Span::union(self.sealed, other.sealed);
        self.opened_messages = self.opened_messages.saturating_add(other.opened_messages);
        self.opened = Span::union(self.opened, other.opened);
    }

    /// Whether it counts nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How often each version of a key was used. A version that is missing never was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    versions: BTreeMap<u32, VersionUsage>,
}

impl KeyUsage {
    /// How often this version was used.
    pub fn version(&self, version: u32) -> VersionUsage {
        self.versions.get(&version).copied().unwrap_or_default()
    }

    /// Every version that was used, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = (u32, &VersionUsage)> {
        self.versions.iter().map(|(version, usage)| (*version, usage))
    }

    /// When something was last opened with this version, in milliseconds since the Unix epoch;
    /// `None` if never.
    pub fn last_opened(&self, version: u32) -> Option<u64> {
        self.version(version).opened.map(|span| span.last)
    }

    /// Whether something was opened with this version at `since` (milliseconds since the Unix
    /// epoch) or later: then it is still needed, and not to be destroyed.
    pub fn is_in_use(&self, version: u32, since: u64) -> bool {
        self.last_opened(version).is_some_and(|last| last >= since)
    }

    /// Adds to what is counted of one version.
    pub fn add(&mut self, version: u32, usage: &VersionUsage) {
        if !usage.is_empty() {
            self.versions.entry(version).or_default().merge(usage);
        }
    }

    /// Adds what `other` counts.
    pub fn merge(&mut self, other: &Self) {
        for (version, usage) in &other.versions {
            self.add(*version, usage);
        }
    }

    /// Whether it counts nothing at all.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// All messages, sealed and opened.
    pub fn messages(&self) -> u64 {
        let of = |usage: &VersionUsage| usage.sealed_messages.saturating_add(usage.opened_messages);
        self.versions.values().map(of).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span() -> impl Strategy<Value = Option<Span>> {
        let bounds = (1_u64..50, 0_u64..50);
        prop::option::of(bounds.prop_map(|(first, long)| Span { first, last: first + long }))
    }

    fn count() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 0_u64..1000, 1 => (u64::MAX - 5)..=u64::MAX]
    }

    pub(crate) fn version_usage() -> impl Strategy<Value = VersionUsage> {
        (count(), count(), span(), count(), span()).prop_map(
            |(sealed_messages, sealed_bytes, sealed, opened_messages, opened)| VersionUsage {
                sealed_messages,
                sealed_bytes,
                sealed,
                opened_messages,
                opened,
            },
        )
    }

    pub(crate) fn key_usage() -> impl Strategy<Value = KeyUsage> {
        prop::collection::vec((1_u32..4, version_usage()), 0..4).prop_map(|listed| {
            let mut usage = KeyUsage::default();
            for (version, counted) in listed {
                usage.add(version, &counted);
            }
            usage
        })
    }

    fn sum<'a>(all: impl IntoIterator<Item = &'a KeyUsage>) -> KeyUsage {
        let mut sum = KeyUsage::default();
        for one in all {
            sum.merge(one);
        }
        sum
    }

    proptest! {
        #[test]
        fn any_order_and_any_grouping_gives_the_same_sum(
            (all, shuffled) in prop::collection::vec(key_usage(), 0..8)
                .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
            at in 0_usize..8,
        ) {
            let expected = sum(&all);
            prop_assert_eq!(&sum(&shuffled), &expected);
            let (left, right) = shuffled.split_at(at.min(shuffled.len()));
            prop_assert_eq!(&sum([&sum(left), &sum(right)]), &expected);
            // Against plain arithmetic.
            for version in 1..4 {
                let of = |usage: &KeyUsage| u128::from(usage.version(version).sealed_messages);
                let plain = all.iter().map(of).sum::<u128>().min(u128::from(u64::MAX));
                prop_assert_eq!(of(&expected), plain);
                let last = all.iter().filter_map(|usage| usage.last_opened(version)).max();
                prop_assert_eq!(expected.last_opened(version), last);
                let firsts = all.iter().filter_map(|usage| usage.version(version).sealed);
                let first = firsts.map(|span| span.first).min();
                prop_assert_eq!(expected.version(version).sealed.map(|span| span.first), first);
            }
        }
    }

    #[test]
    fn in_use_is_opened_since() {
        let mut usage = KeyUsage::default();
        let opened = Some(Span { first: 10, last: 20 });
        usage.add(1, &VersionUsage { opened_messages: 2, opened, ..Default::default() });
        usage.add(
            2,
            &VersionUsage {
                sealed_messages: 1,
                sealed: Some(Span { first: 30, last: 30 }),
                ..Default::default()
            },
        );
        assert_eq!((usage.last_opened(1), usage.last_opened(2)), (Some(20), None));
        assert!(usage.is_in_use(1, 20) && !usage.is_in_use(1, 21) && !usage.is_in_use(2, 0));
    }
}
