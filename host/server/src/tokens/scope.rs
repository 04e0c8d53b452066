//! What a credential may be used for at all, whatever a policy would allow: operations, keys and,
//! for operators, tenants, each by patterns in which `*` stands for any text.

use std::fmt;

use wildmatch::WildMatch;

/// Most patterns of a kind.
pub const MAX_PATTERNS: usize = 32;
/// Longest pattern, in bytes.
pub const MAX_PATTERN: usize = 128;

/// What a scope bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Operations by the names that the audit log has for them, such as `encrypt` or `key.rotate`.
    Operations,
    /// Names of keys.
    Keys,
    /// Names of tenants. Of operators' tokens alone: others have one tenant anyway.
    Tenants,
}

impl Kind {
    /// As it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Keys => "keys",
            Self::Tenants => "tenants",
        }
    }

    fn allows(self, byte: u8) -> bool {
        let also: &[u8] = match self {
            Self::Operations => b"._-/",
            Self::Keys => b"._-",
            Self::Tenants => b"-",
        };
        byte.is_ascii_alphanumeric() || byte == b'*' || also.contains(&byte)
    }
}

/// What is asked for and no pattern has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential's scope `{}` does not have {wanted}", kind.name())]
pub struct Missing {
    /// Of which kind.
    pub kind: Kind,
    /// The name or pattern.
    pub wanted: String,
}

/// Why patterns cannot be a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There is none, which would allow nothing, or too many.
    #[error("must have 1 to 32 patterns")]
    Count,
    /// One is too long, empty, or has characters that no such name has.
    #[error("a pattern has 1 to 128 characters of the names it stands for, and `*` for any text")]
    Pattern {
        /// Which.
        index: usize,
    },
}

/// The patterns of one kind. None: everything.
#[derive(Clone, Default, PartialEq)]
struct Patterns(Option<Vec<WildMatch>>);

impl Patterns {
    fn read(kind: Kind, given: Option<&[String]>) -> Result<Self, ScopeError> {
        let Some(given) = given else { return Ok(Self(None)) };
        if !(1..=MAX_PATTERNS).contains(&given.len()) {
            return Err(ScopeError::Count);
        }
        for (index, pattern) in given.iter().enumerate() {
            let fits = (1..=MAX_PATTERN).contains(&pattern.len());
            if !fits || !pattern.bytes().all(|byte| kind.allows(byte)) {
                return Err(ScopeError::Pattern { index });
            }
        }
        Ok(Self(Some(given.iter().map(|pattern| WildMatch::new(pattern)).collect())))
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|it| it.matches(name)))
    }

    /// A pattern of `other` that allows what no pattern of this does. A pattern is within another
    /// if that one matches it as a text: whatever its `*` stands for, a `*` there takes.
    fn lacks(&self, other: &Self) -> Option<String> {
        let held = self.0.as_ref()?;
        let Some(wanted) = &other.0 else { return Some("*".into()) };
        let texts = wanted.iter().map(ToString::to_string);
        texts.into_iter().find(|text| !held.iter().any(|it| it.matches(text)))
    }

    fn texts(&self) -> Option<Vec<String>> {
        self.0.as_ref().map(|patterns| patterns.iter().map(ToString::to_string).collect())
    }
}

/// What a credential may be used for at all.
#[derive(Clone, Default, PartialEq)]
pub struct Scope {
    operations: Patterns,
    keys: Patterns,
    tenants: Patterns,
}

impl Scope {
    /// Reads one kind's patterns; `None` leaves that kind unbounded.
    pub fn with(mut self, kind: Kind, patterns: Option<&[String]>) -> Result<Self, ScopeError> {
        *self.of_mut(kind) = Patterns::read(kind, patterns)?;
        Ok(self)
    }

    fn of(&self, kind: Kind) -> &Patterns {
        match kind {
            Kind::Operations => &self.operations,
            Kind::Keys => &self.keys,
            Kind::Tenants => &self.tenants,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Patterns {
        match kind {
            Kind::Operations => &mut self.operations,
            Kind::Keys => &mut self.keys,
            Kind::Tenants => &mut self.tenants,
        }
    }

    /// Fails unless `name` is in the scope.
    pub fn check(&self, kind: Kind, name: &str) -> Result<(), Missing> {
        if self.of(kind).has(name) {
            return Ok(());
        }
        // It may come from a path, and is shown.
        Err(Missing { kind, wanted: name.chars().take(MAX_PATTERN).collect() })
    }

    /// Whether names of this kind are bounded at all.
    pub fn bounds(&self, kind: Kind) -> bool {
        self.of(kind).0.is_some()
    }

    /// Fails unless everything that `other` allows is allowed here.
    pub fn check_covers(&self, other: &Self) -> Result<(), Missing> {
        for kind in [Kind::Operations, Kind::Keys, Kind::Tenants] {
            if let Some(wanted) = self.of(kind).lacks(other.of(kind)) {
                return Err(Missing { kind, wanted });
            }
        }
        Ok(())
    }

    /// The patterns of a kind as they were given; `None`: unbounded.
    pub fn patterns(&self, kind: Kind) -> Option<Vec<String>> {
        self.of(kind).texts()
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Scope");
        for kind in [Kind::Operations, Kind::Keys, Kind::Tenants] {
            shown.field(kind.name(), &self.patterns(kind));
        }
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(patterns: &[&str]) -> Scope {
        let patterns: Vec<String> = patterns.iter().map(|&text| text.into()).collect();
        Scope::default().with(Kind::Keys, Some(&patterns)).unwrap()
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        let scope = keys(&["orders", "log-*", "a.b"]);
        for good in ["orders", "log-", "log-2026.11", "a.b"] {
            assert_eq!(scope.check(Kind::Keys, good), Ok(()), "{good}");
        }
        for bad in ["order", "orders2", "Orders", "log", "axb", "", "xlog-1"] {
            assert!(scope.check(Kind::Keys, bad).is_err(), "{bad}");
        }
        assert_eq!(scope.check(Kind::Operations, "encrypt"), Ok(()), "unbounded");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let read = |kind, pattern: &str| Scope::default().with(kind, Some(&[pattern.to_owned()]));
        let wrong = Err(ScopeError::Pattern { index: 0 });
        for bad in ["", "a?", "a b", "a/b", "[a]", "ä", "a\n", &"a".repeat(129)] {
            assert_eq!(read(Kind::Keys, bad), wrong, "{bad:?}");
        }
        assert_eq!(read(Kind::Tenants, "a.b"), wrong);
        assert!(read(Kind::Operations, "invoke/*").is_ok());
        assert_eq!(Scope::default().with(Kind::Keys, Some(&[])), Err(ScopeError::Count));
        let many = vec!["a".to_owned(); 33];
        assert_eq!(Scope::default().with(Kind::Keys, Some(&many)), Err(ScopeError::Count));
    }

    #[test]
    fn nobody_covers_more_than_they_have() {
        let held = keys(&["log-*", "a*z", "orders"]);
        for within in [&["log-*"][..], &["log-1", "orders"], &["log-x-*"], &["abz"], &["a*b*z"]] {
            assert_eq!(held.check_covers(&keys(within)), Ok(()), "{within:?}");
        }
        for beyond in [&["*"][..], &["log*"], &["log-1", "order"], &["a*"], &["*-*"]] {
            assert!(held.check_covers(&keys(beyond)).is_err(), "{beyond:?}");
        }
        assert!(held.check_covers(&Scope::default()).is_err(), "everything is more");
        assert_eq!(Scope::default().check_covers(&held), Ok(()));
    }

    /// Against every text up to a length: what covers admits all that the covered one admits.
    #[test]
    fn covering_is_sound() {
        let alphabet = ['a', 'b', '*'];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer: Vec<String> = texts
                .iter()
                .flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}")))
                .collect();
            texts.extend(longer);
            texts.sort_unstable();
            texts.dedup();
        }
        let names: Vec<&String> = texts.iter().filter(|text| !text.contains('*')).collect();
        let patterns: Vec<&String> =
            texts.iter().filter(|text| (1..=3).contains(&text.len())).collect();
        for held in &patterns {
            let held = keys(&[held]);
            for wanted in &patterns {
                let wanted = keys(&[wanted]);
                if held.check_covers(&wanted).is_err() {
                    continue;
                }
                for name in &names {
                    let (inner, outer) =
                        (wanted.check(Kind::Keys, name), held.check(Kind::Keys, name));
                    assert!(inner.is_err() || outer.is_ok(), "{held:?} {wanted:?} {name}");
                }
            }
        }
    }
}
