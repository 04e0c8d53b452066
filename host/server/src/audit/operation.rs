//! What a request asks for, by its method and path alone: known before anybody looked at its
//! credential, and whether there is such a tenant or not.

use std::borrow::Cow;
use std::str::FromStr;

use axum::http::Method;
use keyward_keyring::{KeyName, TenantName};

/// Longest name of a policy's operation taken over.
const MAX_INVOKED: usize = 128;
/// What no route is for.
pub const UNKNOWN: &str = "unknown";

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Such as `key.rotate`; `unknown` where there is no route.
    pub name: Cow<'static, str>,
    /// The tenant in the path.
    pub tenant: Option<&'a str>,
    /// The key in the path.
    pub key: Option<&'a str>,
}

impl<'a> Operation<'a> {
    /// What `method` on `path` is.
    pub fn of(method: &Method, path: &'a str) -> Self {
        let mut segments = path.strip_prefix("/api/v1/").unwrap_or_default().split('/');
        let mut all = [""; 6];
        for (slot, segment) in all.iter_mut().zip(&mut segments) {
            *slot = segment;
        }
        let is_longer = segments.next().is_some();
        let method = method.as_str();
        let (name, tenant, key): (Cow<'static, str>, _, _) = match all {
            _ if is_longer => (UNKNOWN.into(), "", ""),
            ["tenants", tenant, "invoke", name, "", ""] if method == "POST" && !name.is_empty() => {
                let name = &name[..name.floor_char_boundary(MAX_INVOKED)];
                (format!("invoke/{name}").into(), tenant, "")
            }
            ["tenants", "", ..] => (of_tenants(method, &all).into(), "", ""),
            ["tenants", tenant, "keys", "", "", ""] => (of_keys(method).into(), tenant, ""),
            ["tenants", tenant, "keys", key, action, ""] => {
                (of_key(method, action).into(), tenant, key)
            }
            ["tenants", tenant, "tokens", id, action, ""] => {
                (of_token(method, id, action).into(), tenant, "")
            }
            ["tokens", id, action, "", "", ""] => (of_token(method, id, action).into(), "", ""),
            ["tenants", tenant, what, more, "", ""] => {
                (of_tenant(method, what, more).into(), tenant, "")
            }
            ["tenants", tenant, ..] => (UNKNOWN.into(), tenant, ""),
            ["vault", "keys", key, action, version, ""] => {
                (of_versions(method, action, !version.is_empty()).into(), "", key)
            }
            [a, b, c, "", "", ""] => (of_server(method, a, b, c).into(), "", ""),
            _ => (UNKNOWN.into(), "", ""),
        };
        let tenant = Some(tenant).filter(|name| TenantName::from_str(name).is_ok());
        let key = Some(key).filter(|name| KeyName::from_str(name).is_ok());
        Self { name, tenant, key }
    }
}

fn of_tenants(method: &str, all: &[&str; 6]) -> &'static str {
    match (method, all[1..].iter().all(|segment| segment.is_empty())) {
        ("GET", true) => "tenant.list",
        ("POST", true) => "tenant.create",
        _ => UNKNOWN,
    }
}

fn of_tenant(method: &str, what: &str, more: &str) -> &'static str {
    match (method, what, more) {
        ("POST", "encrypt", "") => "encrypt",
        ("POST", "decrypt", "") => "decrypt",
        ("POST", "rewrap", "") => "rewrap",
        ("POST", "datakey", "") => "datakey",
        ("POST", "sign", "") => "sign",
        ("POST", "verify", "") => "verify",
        ("POST", "mac", "") => "mac",
        ("POST", "mac", "verify") => "verify-mac",
        ("POST", "derive", "") => "derive",
        ("POST", "random", "") => "random",
        ("POST", "hash", "") => "hash",
        ("POST", "stream", "encrypt") => "stream.encrypt",
        ("POST", "stream", "decrypt") => "stream.decrypt",
        ("GET", "quotas", "") => "quotas.show",
        ("PUT", "quotas", "") => "quotas.set",
        ("DELETE", "quotas", "") => "quotas.remove",
        ("GET", "outage", "") => "outage.show",
        ("PUT", "outage", "") => "outage.set",
        ("GET", "policy", "") => "policy.show",
        ("PUT", "policy", "") | ("POST", "policy", "activate") => "policy.activate",
        ("POST", "policy", "rollback") => "policy.rollback",
        ("GET", "policy", "rollout") => "policy.rollout",
        ("PUT", "policy", "canary") => "policy.canary.start",
        ("DELETE", "policy", "canary") => "policy.canary.end",
        ("PUT", "policy", "shadow") => "policy.shadow.start",
        ("DELETE", "policy", "shadow") => "policy.shadow.end",
        ("PUT", "policy", "safeguard") => "policy.safeguard.set",
        ("DELETE", "policy", "safeguard") => "policy.safeguard.remove",
        ("POST", "policy", "explain") => "policy.explain",
        ("POST", "policy", "record") => "policy.record",
        ("GET", "policy", "history") => "policy.history",
        ("GET", "policy", "diff") => "policy.diff",
        ("GET", "policy", "trust") => "policy.trust.show",
        ("PUT", "policy", "trust") => "policy.trust.set",
        ("GET", "policy", "ceiling") => "policy.ceiling.show",
        ("PUT", "policy", "ceiling") => "policy.ceiling.set",
        ("GET", "policies", "") => "policy.list",
        ("POST", "policies", "") => "policy.push",
        ("POST", "policies", "pull") => "policy.pull",
        ("GET", "policies", _) => "policy.kept.show",
        ("DELETE", "policies", _) => "policy.delete",
        ("GET", "audit", "") => "audit.query",
        ("GET", "receipt-keys", "") => "receipt-key.list",
        _ => UNKNOWN,
    }
}

fn of_token(method: &str, id: &str, action: &str) -> &'static str {
    match (method, id, action) {
        ("GET", "", "") => "token.list",
        ("POST", "", "") => "token.mint",
        (_, "", _) => UNKNOWN,
        ("GET", _, "") => "token.show",
        ("DELETE", _, "") => "token.revoke",
        ("POST", _, "rotate") => "token.rotate",
        _ => UNKNOWN,
    }
}

fn of_keys(method: &str) -> &'static str {
    match method {
        "GET" => "key.list",
        "POST" => "key.create",
        _ => UNKNOWN,
    }
}

fn of_key(method: &str, action: &str) -> &'static str {
    match (method, action) {
        ("GET", "") => "key.show",
        ("PATCH", "") => "key.change",
        ("DELETE", "") => "key.delete",
        ("GET", "history") => "key.history",
        ("GET", "usage") => "key.usage",
        ("GET", "receipts") => "receipt.list",
        ("GET", "public") => "key.public",
        ("POST", "trim") => "key.trim",
        ("POST", "restore") => "key.restore",
        ("POST", "destroy") => "key.destroy",
        ("POST", "rotate") => "key.rotate",
        ("PUT", "rotation") => "key.rotation.set",
        ("DELETE", "rotation") => "key.rotation.remove",
        ("POST", "import") => "key.import",
        ("POST", "import-version") => "key.version.import",
        ("POST", "export") => "key.export",
        ("POST", "disable") => "key.disable",
        ("POST", "enable") => "key.enable",
        _ => UNKNOWN,
    }
}

fn of_versions(method: &str, action: &str, has_version: bool) -> &'static str {
    match (method, action, has_version) {
        ("GET", "versions", false) => "key.version.list",
        ("POST", "versions", false) => "key.version.create",
        ("DELETE", "versions", true) => "key.version.destroy",
        ("POST", "rollback", false) => "key.rollback",
        ("GET", "history", false) => "key.history",
        _ => UNKNOWN,
    }
}

fn of_server(method: &str, a: &str, b: &str, c: &str) -> &'static str {
    match (method, a, b, c) {
        ("GET", "vault", "health", "") => "vault.health",
        ("GET", "vault", "metrics", "") => "vault.metrics",
        ("GET", "vault", "status", "") => "vault.status",
        ("POST", "vault", "cache", "clear") => "cache.clear",
        ("POST", "vault", "token", "renew") => "vault.token.renew",
        ("POST", "backup", "", "") => "backup.make",
        ("POST", "restore", "", "") => "restore.run",
        ("GET", "restore", "recipient", "") => "restore.recipient",
        ("GET", "audit", "", "") => "audit.query",
        ("GET", "receipts", "public-key", "") => "receipt-key.show",
        ("GET", "log", "", "") => "log.level.show",
        ("PUT", "log", "", "") => "log.level.set",
        ("DELETE", "log", "", "") => "log.level.reset",
        ("GET", "policy", "baseline", "") => "policy.baseline.show",
        ("PUT", "policy", "baseline", "") => "policy.baseline.set",
        ("DELETE", "policy", "baseline", "") => "policy.baseline.remove",
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_apart() {
        for (method, path, name, tenant, key) in [
            ("POST", "/api/v1/tenants/acme/encrypt", "encrypt", Some("acme"), None),
            ("POST", "/api/v1/tenants/acme/mac/verify", "verify-mac", Some("acme"), None),
            ("POST", "/api/v1/tenants/acme/invoke/protect", "invoke/protect", Some("acme"), None),
            ("POST", "/api/v1/tenants/acme/keys/a/rotate", "key.rotate", Some("acme"), Some("a")),
            ("GET", "/api/v1/tenants/acme/keys/a/rotate", UNKNOWN, Some("acme"), Some("a")),
            ("DELETE", "/api/v1/vault/keys/a/versions/2", "key.version.destroy", None, Some("a")),
            ("GET", "/api/v1/tenants", "tenant.list", None, None),
            ("POST", "/api/v1/tenants/acme/tokens", "token.mint", Some("acme"), None),
            ("DELETE", "/api/v1/tenants/acme/tokens/0a", "token.revoke", Some("acme"), None),
            ("POST", "/api/v1/tenants/acme/tokens/0a/rotate", "token.rotate", Some("acme"), None),
            ("GET", "/api/v1/tokens", "token.list", None, None),
            ("POST", "/api/v1/tokens/0a/rotate", "token.rotate", None, None),
            ("POST", "/api/v1/tokens//rotate", UNKNOWN, None, None),
            ("GET", "/api/v1/tenants/ac%0Ame/keys", "key.list", None, None),
            ("GET", "/api/v1/tenants/acme/keys/a/b/c/d/e", UNKNOWN, None, None),
            ("GET", "/elsewhere", UNKNOWN, None, None),
        ] {
            let operation = Operation::of(&method.parse().unwrap(), path);
            assert_eq!(operation, Operation { name: name.into(), tenant, key }, "{method} {path}");
        }
    }
}
