//! Which artefact is meant, and whether it may be pulled from there.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

use super::OciError;

const SCHEME: &str = "oci://";
/// What stands for the tenant in an entry's prefix.
const TENANT: &str = "{tenant}";

/// Where an artefact is: `oci://REGISTRY/REPOSITORY:TAG`, or `@sha256:…` instead of the tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(Reference);

impl Location {
    /// The crate's form of it.
    pub fn reference(&self) -> &Reference {
        &self.0
    }

    /// Host, and port if it is not the scheme's own.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The digest that the manifest must have.
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// The same repository, at this digest of a manifest.
    #[must_use]
    pub fn at_digest(&self, digest: &str) -> Self {
        let (registry, repository) = (self.registry().to_owned(), self.repository().to_owned());
        Self(Reference::with_digest(registry, repository, digest.to_owned()))
    }

    /// The same repository, at this tag.
    #[must_use]
    pub fn at_tag(&self, tag: &str) -> Self {
        let (registry, repository) = (self.registry().to_owned(), self.repository().to_owned());
        Self(Reference::with_tag(registry, repository, tag.to_owned()))
    }
}

impl FromStr for Location {
    type Err = OciError;

    fn from_str(text: &str) -> Result<Self, OciError> {
        let bad = || {
            OciError::Reference(
                "must be `oci://`, a registry, `/`, a repository, and `:` and a tag or `@sha256:` \
                 and a digest, such as `oci://registry.example/policies/mine:1.0`"
                    .to_owned(),
            )
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(bad)?;
        // A name without a registry would mean one that nobody wrote.
        let host = rest.split_once('/').ok_or_else(bad)?.0;
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let reference: Reference = rest.parse().map_err(|_| bad())?;
        let is_exact = reference.registry() == host
            && (reference.digest().is_some() || rest[host.len()..].contains(':'));
        let is_sha256 = reference.digest().is_none_or(|digest| digest.starts_with("sha256:"));
        if is_host && is_exact && is_sha256 { Ok(Self(reference)) } else { Err(bad()) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (registry, repository) = (self.registry(), self.repository());
        write!(f, "{SCHEME}{registry}/{repository}")?;
        match (self.0.tag(), self.0.digest()) {
            (_, Some(digest)) => write!(f, "@{digest}"),
            (Some(tag), None) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

/// Registries that may be pulled from, each with how it is spoken to and what its repositories begin
/// with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    plain: bool,
    registry: String,
    /// Parts of a repository's name; may be none.
    prefix: Vec<String>,
}

impl Entry {
    fn read(text: &str) -> Option<Self> {
        let (plain, rest) = match text.strip_prefix("http://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("https://").unwrap_or(text)),
        };
        let (registry, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_host = registry.contains(['.', ':']) || registry == "localhost";
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        let has_port = !registry.ends_with(']') && registry.contains(':');
        let is_host = is_host
            && (!has_port || registry.rsplit_once(':').is_some_and(|(_, port)| is_port(port)));
        let of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        let of_a_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let of_a_part = |byte: u8| of_a_part(byte) || b"._-".contains(&byte);
        let prefix: Vec<String> =
            prefix.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let is_prefix = prefix.iter().all(|part| part == TENANT || part.bytes().all(of_a_part));
        (is_host && registry.bytes().all(of_a_host) && is_prefix).then(|| Self {
            plain,
            registry: registry.to_owned(),
            prefix,
        })
    }

    fn has(&self, location: &Location, tenant: &str) -> bool {
        let mut parts = location.repository().split('/');
        self.registry == location.registry()
            && self.prefix.iter().all(|wanted| {
                let wanted = if wanted == TENANT { tenant } else { wanted };
                parts.next() == Some(wanted)
            })
            // A prefix is not the whole name.
            && parts.next().is_some()
    }
}

impl Allowed {
    /// Reads entries such as `registry.example/policies/{tenant}`; `None` if one is none.
    pub fn read<'a>(entries: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        entries.into_iter().map(Entry::read).collect::<Option<_>>().map(Self)
    }

    /// Whether the tenant may have it pulled, and if so, whether by plain HTTP.
    pub fn find(&self, location: &Location, tenant: &str) -> Result<bool, OciError> {
        let found = self.0.iter().find(|entry| entry.has(location, tenant));
        found.map(|entry| entry.plain).ok_or_else(|| {
            let (registry, repository) = (location.registry(), location.repository());
            OciError::NotAllowed(format!(
                "{registry}/{repository} is none of the repositories that this server pulls from \
                 for the tenant; an operator lists them in `policy.registry.allow`"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_strictly() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for good in [
            "oci://registry.example/policies/mine:1.0",
            "oci://localhost:5000/mine:latest",
            &format!("oci://registry.example/mine@{digest}"),
        ] {
            assert_eq!(good.parse::<Location>().unwrap().to_string(), *good);
        }
        let both = format!("oci://registry.example/mine:1.0@{digest}");
        assert_eq!(both.parse::<Location>().unwrap().digest(), Some(&*digest));
        for bad in [
            "",
            "mine",
            "oci://",
            "oci://mine:1.0",
            "oci://library/mine:1.0",
            "oci://registry.example/mine",
            "oci://registry.example/Mine:1.0",
            "oci://registry.example/../x:1.0",
            "oci://user:secret@registry.example/mine:1.0",
            "https://registry.example/mine:1.0",
            "oci://registry.example/mine@sha256:0a",
            "oci://registry.example/mine:1.0?x",
            "oci://registry.example:5000:1.0",
        ] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_listed_is_pulled_from() {
        let entries = ["registry.example/team", "http://localhost:5000", "own.example/{tenant}/x"];
        let allowed = Allowed::read(entries).unwrap();
        let find = |text: &str| allowed.find(&text.parse().unwrap(), "acme").ok();
        assert_eq!(find("oci://registry.example/team/mine:1"), Some(false));
        assert_eq!(find("oci://localhost:5000/mine:1"), Some(true));
        assert_eq!(find("oci://own.example/acme/x/mine:1"), Some(false));
        for other in [
            "oci://registry.example/teams/mine:1",
            "oci://registry.example/team:1",
            "oci://registry.example:8443/team/mine:1",
            "oci://localhost:5001/mine:1",
            "oci://own.example/other/x/mine:1",
            "oci://own.example/acme/mine:1",
            "oci://evil.registry.example/team/mine:1",
        ] {
            assert_eq!(find(other), None, "{other}");
        }
        assert!(Allowed::default().find(&"oci://a.b/c:1".parse().unwrap(), "acme").is_err());
        for bad in ["", "registry", "ftp://a.b/c", "u:p@a.b/c", "a.b/C", "a.b/c?d", "a.b/{user}"] {
            assert_eq!(Allowed::read([bad]), None, "{bad}");
        }
    }
}
