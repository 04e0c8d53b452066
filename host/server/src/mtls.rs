//! Client certificates: rustls has verified them when they come here, and what is left is whom one
//! speaks for, by the names in it.

use std::str::FromStr;

use keyward_keyring::TenantName;
use keyward_policy_host::Caller;
use std::sync::Arc;
use wildmatch::WildMatchPattern;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock;
use crate::operator;
use crate::tokens::{Credential, OPERATOR, Reach, Scope};

/// A pattern whose one wildcard is `*`. (No name has the other character.)
type Pattern = WildMatchPattern<'*', '\0'>;

/// Longest subject.
const MAX_SUBJECT: usize = 256;

/// Whom certificates speak for: the first rule that fits one of a certificate's names.
#[derive(Clone, Debug, Default)]
pub struct Mapping(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    reach: Reach,
    roles: Vec<String>,
    /// None: the name that fits.
    subject: Option<String>,
}

/// Why a rule cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(&'static str);

impl Mapping {
    /// Reads rules such as `spiffe://x/app=tenant:demo,role:application,subject:app` and
    /// `dns:*.ops.example=operator`.
    pub fn read<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        rules.into_iter().map(Rule::read).collect::<Result<_, _>>().map(Self)
    }

    /// What a verified certificate (DER) is.
    pub fn identify(&self, der: &[u8]) -> ClientCertificate {
        let digest = keyward_crypto::sha256(der);
        let id = format!("cert:sha256-{}", hex::encode(&digest[..16]));
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return ClientCertificate { id, credential: None };
        };
        let ends = certificate.validity().not_after.timestamp();
        let ends = u64::try_from(ends).unwrap_or(0).saturating_mul(1_000);
        let names = names(&certificate);
        let credential = self.0.iter().find_map(|rule| {
            let name = names.iter().find(|name| rule.pattern.matches(name))?;
            Some(Arc::new(rule.credential(id.clone(), name, ends)))
        });
        ClientCertificate { id, credential }
    }
}

/// The names a certificate has: URIs as they are, the others with what they are.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let all = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        GeneralName::DNSName(name) => Some(format!("dns:{}", name.to_ascii_lowercase())),
        GeneralName::RFC822Name(address) => Some(format!("email:{address}")),
        _ => None,
    });
    all.filter(|name| !name.chars().any(char::is_control)).collect()
}

impl Rule {
    fn read(text: &str) -> Result<Self, RuleError> {
        let Some((pattern, meaning)) = text.rsplit_once('=') else {
            return Err(RuleError("a rule is a name, `=`, and whom it speaks for"));
        };
        let pattern = pattern.trim();
        let is_known = pattern.contains("://")
            || ["dns:", "email:", "urn:"].iter().any(|kind| pattern.starts_with(kind));
        if !is_known || pattern.starts_with('*') {
            return Err(RuleError("a name begins as `spiffe://`, another URI, `dns:` or `email:`"));
        }
        let (mut tenant, mut is_operator, mut roles, mut subject) = (None, false, vec![], None);
        for part in meaning.split(',').map(str::trim) {
            match part.split_once(':') {
                None if part == OPERATOR => is_operator = true,
                Some(("tenant", name)) if tenant.is_none() => {
                    let name = TenantName::from_str(name);
                    tenant = Some(name.map_err(|_| RuleError("`tenant:` names none that can be"))?);
                }
                Some(("role", OPERATOR)) => {
                    return Err(RuleError(
                        "`operator` is no role; write it in place of `tenant:…`",
                    ));
                }
                Some(("role", role)) if is_role(role) => roles.push(role.to_owned()),
                Some(("subject", text)) if subject.is_none() && is_line(text) => {
                    subject = Some(text.to_owned());
                }
                _ => {
                    return Err(RuleError(
                        "behind `=` stand, with commas, `tenant:NAME` or `operator`, `role:ROLE` \
                         (1 to 64 of a-z, 0-9 and -) as often as need be, and `subject:TEXT`",
                    ));
                }
            }
        }
        let reach = match (tenant, is_operator) {
            (Some(tenant), false) => Reach::Tenant(tenant),
            (None, true) if roles.is_empty() => Reach::Operator,
            (None, true) => return Err(RuleError("an operator has no other roles")),
            _ => return Err(RuleError("a rule has one of `tenant:NAME` and `operator`")),
        };
        Ok(Self { pattern: Pattern::new(pattern), reach, roles, subject })
    }

    fn credential(&self, id: String, name: &str, ends: u64) -> Credential {
        let subject = self
            .subject
            .clone()
            .unwrap_or_else(|| name[..name.floor_char_boundary(MAX_SUBJECT)].to_owned());
        let caller = match self.reach {
            Reach::Operator => Caller { subject, ..operator::caller() },
            Reach::Tenant(_) => Caller {
                subject,
                roles: self.roles.clone(),
                claims: vec![("certificate_name".into(), name.to_owned())],
            },
        };
        let (reach, scope) = (self.reach.clone(), Scope::default());
        Credential { id, reach, caller, scope, expires_at: Some(ends) }
    }
}

fn is_role(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_line(text: &str) -> bool {
    (1..=MAX_SUBJECT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The certificate of a connection, among the extensions of its requests.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// Names it in the audit log.
    pub id: String,
    credential: Option<Arc<Credential>>,
}

/// Why a certificate is not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No rule has one of its names.
    #[error("no rule of `mtls.map` is for the client certificate, and there is no bearer token")]
    Unknown,
    /// It ended while the connection stood.
    #[error("the client certificate has expired; connect with another one")]
    Expired,
}

impl ClientCertificate {
    /// Whom it speaks for.
    pub fn credential(&self) -> Result<Arc<Credential>, CertificateError> {
        let credential = self.credential.as_ref().ok_or(CertificateError::Unknown)?;
        if credential.has_ended(clock::unix_ms()) {
            return Err(CertificateError::Expired);
        }
        Ok(Arc::clone(credential))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn certificate(names: Vec<SanType>, year: i32) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn the_first_rule_that_fits_says_whom_a_certificate_speaks_for() {
        let mapping = Mapping::read([
            "spiffe://x/app=tenant:demo,role:application,role:billing,subject:app",
            "spiffe://x/*=tenant:other",
            "dns:*.ops.example = operator, subject:ops",
        ])
        .unwrap();
        let of = |names| mapping.identify(&certificate(names, 2099)).credential();
        let app = of(vec![dns("elsewhere"), uri("spiffe://x/app")]).unwrap();
        assert_eq!(app.reach, Reach::Tenant("demo".parse().unwrap()));
        assert_eq!((app.caller.subject.as_str(), app.caller.roles.len()), ("app", 2));
        assert!(app.id.starts_with("cert:sha256-"));
        let other = of(vec![uri("spiffe://x/apps")]).unwrap();
        assert_eq!(
            (other.caller.subject.as_str(), &other.caller.roles[..]),
            ("spiffe://x/apps", &[][..])
        );
        let ops = of(vec![dns("A.Ops.Example")]).unwrap();
        assert_eq!((&ops.reach, ops.caller.roles[0].as_str()), (&Reach::Operator, "operator"));
        for nobody in [
            vec![],
            vec![uri("spiffe://xx/app")],
            vec![uri("spiffe://X/app")],
            vec![dns("ops.example"), dns("spiffe")],
            // A name of one kind is none of another.
            vec![uri("http://dns:a.ops.example")],
            vec![SanType::Rfc822Name("a.ops.example".try_into().unwrap())],
        ] {
            assert_eq!(of(nobody.clone()).unwrap_err(), CertificateError::Unknown, "{nobody:?}");
        }
        let ended = mapping.identify(&certificate(vec![uri("spiffe://x/app")], 2020));
        assert_eq!(ended.credential().unwrap_err(), CertificateError::Expired);
        assert_eq!(
            mapping.identify(b"no DER").credential().unwrap_err(),
            CertificateError::Unknown
        );
    }

    #[test]
    fn rules_that_say_too_little_or_too_much_are_refused() {
        for bad in [
            "",
            "spiffe://x/app",
            "spiffe://x/app=",
            "=tenant:demo",
            "*=tenant:demo",
            "x=tenant:demo",
            "*://x=operator",
            "spiffe://x=role:application",
            "spiffe://x=tenant:Demo",
            "spiffe://x=tenant:a,tenant:b",
            "spiffe://x=tenant:a,operator",
            "spiffe://x=operator,role:application",
            "spiffe://x=tenant:a,role:operator",
            "spiffe://x=tenant:a,role:A B",
            "spiffe://x=tenant:a,subject:",
            "spiffe://x=tenant:a,scope:b",
        ] {
            assert!(Mapping::read([bad]).is_err(), "{bad}");
        }
        assert!(Mapping::read(["https://x/?a=b=tenant:demo,role:tenant-admin"]).is_ok());
    }
}
