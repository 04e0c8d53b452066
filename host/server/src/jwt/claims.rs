//! From the claims of a verified JWT to a credential.

use std::str::FromStr;

use keyward_keyring::TenantName;
use keyward_policy_host::Caller;
use serde_json::{Map, Value};

use super::{JwtConfig, JwtError};
use crate::operator;
use crate::tokens::{Credential, OPERATOR, Reach, Scope, TENANT_ADMIN};

/// Most statements that policies see, their longest name and value, and most bytes of all: every
/// request of a batch carries them into the policy.
const MAX_CLAIMS: usize = 64;
const MAX_CLAIM: usize = 1024;
const MAX_BYTES: usize = 8 << 10;
/// Longest subject and role.
const MAX_SUBJECT: usize = 256;
const MAX_ROLE: usize = 64;
/// Most roles.
const MAX_ROLES: usize = 128;
/// Longest `jti` that becomes part of an identifier.
const MAX_JTI: usize = 64;

type Claims = Map<String, Value>;

/// Whom claims speak for. `hash` is the token's.
pub(super) fn credential(
    config: &JwtConfig,
    claims: &Claims,
    hash: &[u8; 32],
) -> Result<Credential, JwtError> {
    let refused = |detail| Err(JwtError::Refused(detail));
    let Some(subject) = find(claims, &config.subject_claim).and_then(Value::as_str) else {
        return refused("the JWT has no subject (`jwt.subject_claim`)");
    };
    if !is_line(subject, MAX_SUBJECT) {
        return refused("the JWT's subject must have 1 to 256 bytes and no control characters");
    }
    let subject = subject.to_owned();
    let roles = roles_of(config, claims)?;
    let (expires_at, id) = (end(config, claims), identifier(claims, hash));
    if roles.is_operator {
        let caller = Caller { subject, ..operator::caller() };
        let (reach, scope) = (Reach::Operator, Scope::default());
        return Ok(Credential { id, reach, caller, scope, expires_at });
    }
    let tenant = find(claims, &config.tenant_claim).and_then(Value::as_str);
    let Some(tenant) = tenant.and_then(|name| TenantName::from_str(name).ok()) else {
        return refused("the JWT names no tenant (`jwt.tenant_claim`)");
    };
    let caller = Caller { subject, roles: roles.names, claims: statements(config, claims)? };
    let (reach, scope) = (Reach::Tenant(tenant), Scope::default());
    Ok(Credential { id, reach, caller, scope, expires_at })
}

/// The claim of this name; if there is none, where the name leads as a path with dots.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

#[derive(Default)]
struct Roles {
    names: Vec<String>,
    is_operator: bool,
}

fn roles_of(config: &JwtConfig, claims: &Claims) -> Result<Roles, JwtError> {
    let given: Vec<&str> = match find(claims, &config.roles_claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(_) => {
            return Err(JwtError::Refused("the JWT's roles (`jwt.roles_claim`) are no list"));
        }
    };
    if given.len() > MAX_ROLES {
        return Err(JwtError::Refused("the JWT has over 128 roles"));
    }
    let mut roles = Roles::default();
    for role in given {
        roles.is_operator |= config.operator_role.as_deref() == Some(role);
        let mut mapped = config.roles.iter().filter(|(theirs, _)| theirs == role).peekable();
        if mapped.peek().is_some() {
            mapped.for_each(|(_, ours)| add(&mut roles.names, ours));
        } else if !matches!(role, OPERATOR | TENANT_ADMIN) && is_line(role, MAX_ROLE) {
            // Those two come by the configuration alone: whoever names roles at the provider may
            // not know what they are here.
            add(&mut roles.names, role);
        }
    }
    Ok(roles)
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// What policies see: scalars, and lists of text item by item under the same name.
fn statements(config: &JwtConfig, claims: &Claims) -> Result<Vec<(String, String)>, JwtError> {
    let mut all: Vec<(String, String)> = Vec::new();
    let is_wanted =
        |name: &str| config.claims.as_ref().is_none_or(|wanted| wanted.iter().any(|it| it == name));
    for (name, value) in claims.iter().filter(|(name, _)| is_wanted(name)) {
        let mut push = |text: String| all.push((name.clone(), text));
        match value {
            Value::String(text) => push(text.clone()),
            Value::Number(number) => push(number.to_string()),
            Value::Bool(flag) => push(flag.to_string()),
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).for_each(|text| push(text.to_owned()));
            }
            Value::Null | Value::Object(_) => {}
        }
    }
    let bytes: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
    let fits =
        |(name, value): &(String, String)| name.len() <= MAX_CLAIM && value.len() <= MAX_CLAIM;
    // None is left out in silence: a policy may refuse by what is in it.
    if all.len() > MAX_CLAIMS || bytes > MAX_BYTES || !all.iter().all(fits) {
        return Err(JwtError::Refused(
            "the JWT's claims are too many or too long: policies are told at most 64 values of \
             1 KiB, 8 KiB in all; name those they need in `jwt.claims`",
        ));
    }
    Ok(all)
}

/// When the credential ends, in ms since 1970. That there is an `exp` was checked.
fn end(config: &JwtConfig, claims: &Claims) -> Option<u64> {
    let exp = claims.get("exp")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let seconds = exp.as_u64().or_else(|| exp.as_f64().map(|seconds| seconds as u64))?;
    Some(seconds.saturating_add(config.leeway.as_secs()).saturating_mul(1_000))
}

/// What the audit log calls the token: by its `jti`, as the provider's log does.
fn identifier(claims: &Claims, hash: &[u8; 32]) -> String {
    let jti = claims.get("jti").and_then(Value::as_str);
    let is_plain = |jti: &&str| {
        (1..=MAX_JTI).contains(&jti.len()) && jti.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match jti.filter(is_plain) {
        Some(jti) => format!("jwt:{jti}"),
        None => format!("jwt:sha256-{}", hex::encode(&hash[..16])),
    }
}

fn is_line(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::Source;
    use super::*;

    fn config() -> JwtConfig {
        JwtConfig {
            issuer: "https://idp".into(),
            audience: vec!["keyward".into()],
            source: Source::File("jwks.json".into()),
            algorithms: vec![],
            leeway: Duration::from_mins(1),
            subject_claim: "sub".into(),
            roles_claim: "realm.roles".into(),
            tenant_claim: "tenant".into(),
            roles: vec![
                ("kw-admin".into(), "tenant-admin".into()),
                ("kw-app".into(), "application".into()),
                ("kw-app".into(), "reader".into()),
            ],
            operator_role: Some("kw-ops".into()),
            claims: None,
            refresh: Duration::from_mins(1),
            max_stale: Duration::from_mins(1),
        }
    }

    fn read(config: &JwtConfig, claims: &Value) -> Result<Credential, JwtError> {
        credential(config, claims.as_object().unwrap(), &[7; 32])
    }

    fn with_roles(roles: &Value) -> Credential {
        let claims = json!({ "sub": "a", "tenant": "acme", "realm": { "roles": roles } });
        read(&config(), &claims).unwrap()
    }

    #[test]
    fn roles_are_mapped_and_the_reserved_come_by_the_map_alone() {
        let roles = |given: &Value| with_roles(given).caller.roles;
        assert_eq!(
            roles(&json!(["kw-app", "Billing.Read"])),
            ["application", "reader", "Billing.Read"]
        );
        assert_eq!(roles(&json!("kw-admin other other")), ["tenant-admin", "other"]);
        let nobody = with_roles(&json!(["operator", "tenant-admin", "a\nb", 7, ""]));
        assert_eq!(nobody.caller.roles, Vec::<String>::new());
        assert_eq!(nobody.reach, Reach::Tenant("acme".parse().unwrap()));
        let operator = with_roles(&json!(["kw-app", "kw-ops"]));
        assert_eq!(operator.reach, Reach::Operator);
        assert_eq!(operator.caller.roles, ["operator"]);
        let mut config = config();
        config.operator_role = None;
        let claims = json!({ "sub": "a", "tenant": "acme", "realm": { "roles": ["kw-ops"] } });
        assert!(matches!(read(&config, &claims).unwrap().reach, Reach::Tenant(_)));
    }

    #[test]
    fn a_claim_with_dots_in_its_name_is_found_by_it() {
        let mut config = config();
        config.roles_claim = "https://a.b/roles".into();
        let claims = json!({ "sub": "a", "tenant": "acme", "https://a.b/roles": ["x"] });
        assert_eq!(read(&config, &claims).unwrap().caller.roles, ["x"]);
    }

    #[test]
    fn policies_see_scalars_and_lists_of_text() {
        let claims = json!({
            "sub": "a", "tenant": "acme", "groups": ["x", "y", 1], "level": 3, "beta": true,
            "address": { "city": "z" }, "none": null,
        });
        let seen = read(&config(), &claims).unwrap().caller.claims;
        let seen: Vec<_> =
            seen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut expected = vec![
            ("sub", "a"),
            ("tenant", "acme"),
            ("groups", "x"),
            ("groups", "y"),
            ("level", "3"),
            ("beta", "true"),
        ];
        expected.sort_unstable();
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        let mut config = config();
        config.claims = Some(vec!["level".into()]);
        assert_eq!(read(&config, &claims).unwrap().caller.claims, [("level".into(), "3".into())]);
    }

    #[test]
    fn too_much_is_refused_and_never_cut_short() {
        for more in [
            json!({ "groups": vec!["x"; 65] }),
            json!({ "note": "x".repeat(1025) }),
            json!({ "a": vec!["x".repeat(1000); 9] }),
        ] {
            let mut claims = json!({ "sub": "a", "tenant": "acme" });
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert!(read(&config(), &claims).is_err(), "{more}");
        }
    }

    #[test]
    fn without_subject_or_tenant_there_is_no_credential() {
        for bad in [
            json!({ "tenant": "acme" }),
            json!({ "sub": "", "tenant": "acme" }),
            json!({ "sub": "a\r\nb", "tenant": "acme" }),
            json!({ "sub": 7, "tenant": "acme" }),
            json!({ "sub": "a" }),
            json!({ "sub": "a", "tenant": "../other" }),
            json!({ "sub": "a", "tenant": ["acme"] }),
            json!({ "sub": "a", "tenant": "acme", "realm": { "roles": { "x": true } } }),
        ] {
            assert!(read(&config(), &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_identifier_is_the_providers_if_it_is_fit_to_be_shown() {
        let with = |jti: Value| {
            let claims = json!({ "sub": "a", "tenant": "acme", "jti": jti });
            read(&config(), &claims).unwrap().id
        };
        assert_eq!(with(json!("8a-1")), "jwt:8a-1");
        for unfit in [json!("a\nb"), json!(""), json!("x".repeat(65)), json!(7)] {
            assert_eq!(with(unfit), format!("jwt:sha256-{}", "07".repeat(16)));
        }
    }
}
