//! The table to edit: what happens to which field, and who may see it again.

/// What happens to a field when a document is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Encrypted: equal values look different.
    Encrypt,
    /// Encrypted so that equal values of one field look equal, to be compared and joined on.
    /// Whoever sees the documents sees which values are equal.
    Deterministic,
    /// Encrypted like [`Protection::Encrypt`]. A caller who may not see the value gets it with all
    /// letters and digits but the last `keep` blotted out; `keep` counts only for values at least
    /// twice as long.
    Mask { keep: usize },
    /// Taken out of the document, for good.
    Drop,
    /// Left as it is.
    Clear,
}

/// A field and its protection.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// JSON Pointer (RFC 6901) of the field, where `*` stands for any element of an array or any
    /// member of an object. Elements cannot be told apart by index. The field may be an object or
    /// array: then it is protected as a whole.
    pub pointer: &'static str,
    /// What happens to it.
    pub protection: Protection,
    /// Roles that see the value when a document is revealed. For others an encrypted field stays
    /// encrypted, and a masked one is masked.
    pub revealed_to: &'static [&'static str],
}

/// The rules of a tenant's documents.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The first rule that fits a field counts; a rule for an object or array comes before rules
    /// for what is inside.
    pub listed: &'static [Rule],
    /// What happens to strings, numbers, booleans and nulls that no rule covers.
    pub unlisted: Protection,
    /// Roles that see unlisted fields, if those are protected.
    pub unlisted_revealed_to: &'static [&'static str],
}

/// An order of a shop.
pub const RULES: Rules = Rules {
    listed: &[
        Rule {
            pointer: "/customer/name",
            protection: Protection::Encrypt,
            revealed_to: &["application", "support"],
        },
        Rule {
            pointer: "/customer/email",
            protection: Protection::Deterministic,
            revealed_to: &["application", "support"],
        },
        Rule {
            pointer: "/customer/card",
            protection: Protection::Mask { keep: 4 },
            revealed_to: &["application"],
        },
        Rule {
            pointer: "/customer/address",
            protection: Protection::Encrypt,
            revealed_to: &["application"],
        },
        Rule {
            pointer: "/orders/*/note",
            protection: Protection::Encrypt,
            revealed_to: &["application"],
        },
        Rule { pointer: "/internal", protection: Protection::Drop, revealed_to: &[] },
    ],
    unlisted: Protection::Clear,
    unlisted_revealed_to: &[],
};

/// Roles that may call each operation.
pub const MAY_PROTECT: &[&str] = &["application"];
/// See [`MAY_PROTECT`]. What a caller then sees is up to the rules.
pub const MAY_REVEAL: &[&str] = &["application", "support"];
/// Roles that may also use the tenant's keys outside of documents: encrypt, decrypt, sign and so on.
pub const MAY_ENCRYPT: &[&str] = &["application", "tenant-admin"];

/// Key for [`Protection::Encrypt`] and [`Protection::Mask`]: an AEAD key.
pub const KEY: &str = "fields";
/// Key for [`Protection::Deterministic`]: an `aes-256-siv` key.
pub const DETERMINISTIC_KEY: &str = "fields-deterministic";

impl Rules {
    /// The rule for a field, given its pointer with `*` for every index.
    pub fn rule_for(&self, path: &str) -> Option<&'static Rule> {
        self.listed.iter().find(|rule| fits(rule.pointer, path))
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut tokens = path.split('/');
    pattern
        .split('/')
        .all(|wanted| tokens.next().is_some_and(|token| wanted == "*" || wanted == token))
        && tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_token() {
        for (pattern, path, expected) in [
            ("", "", true),
            ("", "/a", false),
            ("/a", "/a", true),
            ("/a", "/a/b", false),
            ("/a/b", "/a", false),
            ("/*", "/a", true),
            ("/*", "", false),
            ("/*", "/a/b", false),
            ("/orders/*/note", "/orders/*/note", true),
            ("/orders/*/note", "/orders/first/note", true),
            ("/orders/0/note", "/orders/*/note", false),
            ("/a~1b", "/a~1b", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
