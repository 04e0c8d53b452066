//! What values a setting takes, and how they are read.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Uri;
use keyward_keyring::vault::SecretPath;
use keyward_keyring::{Outage, TenantName};

use crate::limits::Rate;
use crate::policies::BucketUrl;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IP address and port.
    Address,
    /// File or directory.
    Path,
    /// Number of bytes between the two, inclusive: `65536`, `64KiB`, `8MiB`.
    Bytes(u64, u64),
    /// Whole number between the two, inclusive.
    Count(u64, u64),
    /// Milliseconds between the two, inclusive: `250ms`, `10s`, `15m`.
    Duration(u64, u64),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// Text of visible ASCII characters: it goes into a path or a header.
    Word,
    /// A tenant's name.
    Name,
    /// `http://` or `https://`, host, and port where it is not the scheme's own.
    Url,
    /// `https://`, host and path, or `http://` on this machine.
    Link,
    /// `http://` or `https://`, host, perhaps a port and a path.
    Endpoint,
    /// A number from 0 to 1.
    Ratio,
    /// Texts: a list in the file, else separated by `;`.
    List,
    /// Some of these words: a list in the file, else separated by `;`.
    Choices(&'static [&'static str]),
    /// A bucket, and where in it.
    Bucket,
    /// Mount and folder of Vault's KV engine.
    SecretPath,
    /// An outage contract.
    Outage,
    /// So many in a time.
    Rate,
    /// A secret: never shown.
    Secret,
    /// A secret of visible ASCII characters.
    Credential,
}

impl Kind {
    /// What would be accepted, for messages and the documentation.
    pub fn expects(self) -> String {
        match self {
            Self::Address => "an IP address and port such as `127.0.0.1:8480`".into(),
            Self::Path => "a path".into(),
            Self::Bytes(min, max) => {
                format!("a size from {} to {}", show_bytes(min), show_bytes(max))
            }
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Duration(min, max) => {
                format!("a duration from {} to {}", show_ms(min), show_ms(max))
            }
            Self::Switch => "`true` or `false`".into(),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(" or ")
            }
            Self::Text => "text".into(),
            Self::Word => "text without spaces or control characters".into(),
            Self::Name => "a tenant's name".into(),
            Self::Url => "a URL such as `https://vault.example:8200`, without a path".into(),
            Self::Link => "an `https://` URL, or `http://` on this machine".into(),
            Self::Endpoint => "an `http://` or `https://` URL".into(),
            Self::Ratio => "a number from 0 to 1".into(),
            Self::List => "a list of texts (outside the file separated by `;`)".into(),
            Self::Choices(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("a list (outside the file separated by `;`) of {}", words.join(", "))
            }
            Self::Bucket => "a bucket and a prefix such as `s3://bucket/keyward`".into(),
            Self::SecretPath => "a mount and a folder such as `secret/e2ee`".into(),
            Self::Outage => "`fail-closed`, or `serve-stale=` and a duration such as `1h`".into(),
            Self::Rate => "a rate such as `100/s`, `600/m` or `100/s burst 200`".into(),
            Self::Secret => "a secret".into(),
            Self::Credential => "a secret without spaces or control characters".into(),
        }
    }

    /// Whether values of this kind must not be shown.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Credential)
    }

    /// Whether `text` is a value of this kind.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Address => text.parse::<SocketAddr>().is_ok(),
            Self::Path | Self::Text | Self::Secret => !text.trim().is_empty(),
            Self::Bytes(min, max) => bytes(text).is_some_and(|n| (min..=max).contains(&n)),
            Self::Count(min, max) => count(text).is_some_and(|n| (min..=max).contains(&n)),
            Self::Duration(min, max) => ms(text).is_some_and(|n| (min..=max).contains(&n)),
            Self::Switch => switch(text).is_some(),
            Self::Choice(words) => words.contains(&text),
            Self::Word | Self::Credential => {
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
            }
            Self::Name => text.parse::<TenantName>().is_ok(),
            Self::Url => is_base_url(text),
            Self::Link => is_link(text),
            Self::Endpoint => is_endpoint(text),
            Self::Ratio => ratio(text).is_some(),
            Self::List => list(text).is_some(),
            Self::Choices(words) => {
                list(text).is_some_and(|list| list.iter().all(|word| words.contains(word)))
            }
            Self::Bucket => text.parse::<BucketUrl>().is_ok(),
            Self::SecretPath => text.parse::<SecretPath>().is_ok(),
            Self::Outage => text.parse::<Outage>().is_ok(),
            Self::Rate => text.parse::<Rate>().is_ok(),
        }
    }
}

/// Reads a whole number; `_` may separate digits.
pub fn count(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Reads a number of bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    count(number)?.checked_mul(1 << shift)
}

/// Reads a duration.
pub fn duration(text: &str) -> Option<Duration> {
    ms(text).map(Duration::from_millis)
}

fn ms(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count(number)?.checked_mul(factor)
}

/// Reads a number from 0 to 1.
pub fn ratio(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let ratio: f64 = text.parse().ok()?;
    (plain && (0.0..=1.0).contains(&ratio)).then_some(ratio)
}

/// Reads a switch.
pub fn switch(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// Reads a list: at least one text, none of them empty.
pub fn list(text: &str) -> Option<Vec<&str>> {
    let items: Vec<&str> = text.split(SEPARATOR).map(str::trim).collect();
    items.iter().all(|item| !item.is_empty()).then_some(items)
}

/// What stands between the texts of a list.
pub const SEPARATOR: char = ';';

/// What answers is believed, so nobody may sit between.
fn is_link(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return false;
    };
    let bare = host.trim_matches(|c| c == '[' || c == ']');
    let is_here =
        host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_safe = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_here,
        _ => false,
    };
    is_safe && !text.contains(['@', '#'])
}

/// Scheme and host, and no credential that would be shown.
fn is_endpoint(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && !text.contains(['@', '#'])
}

/// Scheme, host, perhaps a port, and nothing that would be lost or end up in a log.
fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let named = uri.authority().is_some_and(|to| !to.host().is_empty() && !text.contains('@'));
    matches!(uri.scheme_str(), Some("http" | "https"))
        && named
        && uri.path() == "/"
        && uri.query().is_none()
        && !text.contains('#')
}

fn split_unit(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number.trim_end(), unit)
}

fn show_bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 30 && n % (1 << 30) == 0 => format!("{}GiB", n >> 30),
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{}MiB", n >> 20),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{}KiB", n >> 10),
        n => n.to_string(),
    }
}

fn show_ms(n: u64) -> String {
    match n {
        n if n >= 3_600_000 && n % 3_600_000 == 0 => format!("{}h", n / 3_600_000),
        n if n >= 60_000 && n % 60_000 == 0 => format!("{}m", n / 60_000),
        n if n >= 1_000 && n % 1_000 == 0 => format!("{}s", n / 1_000),
        n => format!("{n}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        assert_eq!(bytes("8MiB"), Some(8 << 20));
        assert_eq!(bytes("65_536"), Some(65_536));
        assert_eq!(bytes("8 MiB"), Some(8 << 20));
        assert_eq!(bytes("8MB"), None);
        assert_eq!(bytes("-1"), None);
        assert_eq!(bytes("99999999999GiB"), None);
        for (text, expected) in [("0", Some(0.0)), ("0.01", Some(0.01)), ("1", Some(1.0))] {
            assert_eq!(ratio(text), expected);
        }
        for text in ["", "1.1", "-0", "1e-3", "NaN", "inf", "a"] {
            assert_eq!(ratio(text), None, "{text}");
        }
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("15m"), Some(Duration::from_mins(15)));
        assert_eq!(duration("10"), None);
        assert_eq!(count(""), None);
    }

    #[test]
    fn base_urls() {
        for good in ["http://localhost:8200", "https://vault.example/", "https://[::1]:8200"] {
            assert!(Kind::Url.accepts(good), "{good}");
        }
        for bad in [
            "localhost:8200",
            "ftp://vault",
            "https://",
            "https://vault/v1",
            "https://user:pass@vault",
            "https://vault?x=1",
            "https://vault#x",
            "https://va ult",
        ] {
            assert!(!Kind::Url.accepts(bad), "{bad}");
        }
    }

    #[test]
    fn links_and_lists() {
        for good in
            ["https://idp.example/realms/a/certs?x=1", "http://127.0.0.1:8/k", "http://[::1]/k"]
        {
            assert!(Kind::Link.accepts(good), "{good}");
        }
        for bad in ["http://idp.example/k", "file:///k", "https://u:p@idp/k", "idp/k", "https://"] {
            assert!(!Kind::Link.accepts(bad), "{bad}");
        }
        for good in ["http://collector:4318/v1/logs", "https://[::1]/x?y=1"] {
            assert!(Kind::Endpoint.accepts(good), "{good}");
        }
        for bad in ["collector:4318", "ftp://c/", "http://u:p@c/", "http:///x", "http://c/#x"] {
            assert!(!Kind::Endpoint.accepts(bad), "{bad}");
        }
        assert_eq!(list("a; b=c,d ;e"), Some(vec!["a", "b=c,d", "e"]));
        for bad in ["", ";", "a;", "a;;b"] {
            assert!(!Kind::List.accepts(bad), "{bad}");
        }
        let words = Kind::Choices(&["a", "b"]);
        assert!(words.accepts("b;a") && !words.accepts("a;c") && !words.accepts(""));
    }

    #[test]
    fn a_credential_fits_into_a_header() {
        assert!(Kind::Credential.accepts("hvs.CAESI-x_y"));
        for bad in ["", "a b", "a\n", "a\u{7f}", "schlüssel"] {
            assert!(!Kind::Credential.accepts(bad), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        assert!(Kind::Count(1, 3).accepts("3") && !Kind::Count(1, 3).accepts("4"));
        assert!(!Kind::Duration(1_000, 2_000).accepts("999ms"));
    }
}
