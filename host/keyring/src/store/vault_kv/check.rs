//! Whether the mount, the token's capabilities and the Transit key are as they must be, before the
//! first record is read. What is wrong is said together with the command that puts it right.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rustify::Endpoint;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::VaultStore;
use super::wire::{self, Answer, Request};
use crate::store::{Store, StoreError};
use crate::vault::{Call, Connection, Operation, VaultError};

/// A record that is never written, to ask for capabilities on its path.
const PROBE: &str = "tenants/keyward-check";

/// What a policy must allow on one path.
struct Need {
    /// The path asked about.
    probe: String,
    /// The path as a policy names it.
    policy: String,
    capabilities: &'static [&'static str],
}

impl Need {
    fn hcl(&self) -> String {
        let quoted: Vec<String> = self.capabilities.iter().map(|it| format!("{it:?}")).collect();
        format!("path {:?} {{ capabilities = [{}] }}", self.policy, quoted.join(", "))
    }
}

impl VaultStore {
    /// Whether the store can do all it has to: that the mount exists and is KV version 2, does not
    /// delete what is written by itself, that the token's policies allow every call, and that the
    /// Transit key, where one is configured, wraps and unwraps. It writes nothing.
    ///
    /// Where the token may not ask Vault about mounts and capabilities, reading and listing for
    /// real decides.
    ///
    /// Fails with [`StoreError::Vault`] ([`VaultError::MountMissing`],
    /// [`VaultError::MountNotKv2`], [`VaultError::PermissionDenied`] …), with
    /// [`StoreError::Setup`], which says what to run, or with [`StoreError::TransitRefused`].
    pub async fn check(&self) -> Result<(), StoreError> {
        // First, so that a token that has ended is replaced: the questions below do not see to it.
        let answers = self.ping().await;
        self.check_mount().await?;
        self.check_capabilities().await?;
        answers?;
        self.list("tenants").await?;
        self.check_expiry().await?;
        self.check_transit().await
    }

    /// The policy in HCL that the token needs for all that the store does.
    pub fn policy_hcl(&self) -> String {
        let mut lines: Vec<String> = self.needs().iter().map(Need::hcl).collect();
        lines.push(String::new());
        lines.join("\n")
    }

    fn needs(&self) -> Vec<Need> {
        let kv = |kind: &str, capabilities| Need {
            probe: self.kv_path(kind, PROBE),
            policy: self.kv_path(kind, "*"),
            capabilities,
        };
        let mut needs = vec![
            kv("data", &["create", "read", "update"]),
            kv("metadata", &["read", "list", "delete"]),
            kv("destroy", &["update"]),
        ];
        if let Some(key) = self.transit_key() {
            for operation in ["encrypt", "decrypt"] {
                let path = self.transit_path(operation, key);
                needs.push(Need { probe: path.clone(), policy: path, capabilities: &["update"] });
            }
        }
        needs
    }

    async fn check_mount(&self) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Mount {
            path: String,
            #[serde(rename = "type")]
            engine: String,
            options: Option<BTreeMap<String, String>>,
        }
        let location = &self.vault.config().secret_path;
        let place = format!("{}/{}", location.mount(), location.prefix());
        let request = Request::get(format!("sys/internal/ui/mounts/{place}"));
        let Some(body) = self.ask(&request).await? else { return Ok(()) };
        // Another form than that known is no ground for not trying.
        let Some(found) = wire::data::<Mount>(&body) else { return Ok(()) };
        let mount = found.path.trim_end_matches('/');
        if mount != location.mount() {
            let prefix = place.strip_prefix(mount).unwrap_or_default().trim_start_matches('/');
            return Err(StoreError::Setup(if prefix.is_empty() {
                format!(
                    "{place:?} is a mount of Vault as a whole; name a folder in it as the secret \
                     path, such as {mount}/data/e2ee"
                )
            } else {
                format!(
                    "{place:?} lies in the mount {mount:?} of Vault; write the secret path as \
                     {mount}/data/{prefix}"
                )
            }));
        }
        let version = found.options.and_then(|mut options| options.remove("version"));
        let found = match (found.engine.as_str(), version.as_deref()) {
            ("kv", Some("2")) => return Ok(()),
            ("kv" | "generic", _) => "KV version 1".to_owned(),
            (other, _) => other.chars().filter(|c| !c.is_control()).take(40).collect(),
        };
        Err(VaultError::MountNotKv2 { mount: mount.to_owned(), found }.into())
    }

    async fn check_capabilities(&self) -> Result<(), StoreError> {
        let needs = self.needs();
        let probes: Vec<&str> = needs.iter().map(|need| need.probe.as_str()).collect();
        let body = serde_json::json!({ "paths": probes }).to_string().into_bytes();
        let request = Request::post_json("sys/capabilities-self".to_owned(), Zeroizing::new(body));
        let Some(body) = self.ask(&request).await? else { return Ok(()) };
        let Some(granted) = wire::data::<BTreeMap<String, Vec<String>>>(&body) else {
            return Ok(());
        };
        let mut missing = String::new();
        for need in &needs {
            let granted = granted.get(&need.probe).map(Vec::as_slice).unwrap_or_default();
            let has = |capability: &str| granted.iter().any(|it| it == capability);
            let lacks: Vec<&str> =
                need.capabilities.iter().copied().filter(|it| !has("root") && !has(it)).collect();
            if !lacks.is_empty() {
                let lacks = lacks.join(", ");
                let _ = write!(missing, "\n{}  # lacks {lacks}", need.hcl());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(StoreError::Setup(format!(
            "the token's policies in Vault do not allow all that is needed; add to one of them \
             (`vault policy write`):{missing}"
        )))
    }

    async fn check_expiry(&self) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Config {
            delete_version_after: String,
        }
        let mount = self.vault.config().secret_path.mount();
        let request = Request::get(format!("{mount}/config"));
        let Some(body) = self.ask(&request).await? else { return Ok(()) };
        match wire::data::<Config>(&body) {
            Some(Config { delete_version_after: after }) if !never(&after) => {
                Err(StoreError::Setup(format!(
                    "Vault deletes what is written to the mount {mount:?} after {}, keys included; \
                     run `vault write {mount}/config delete_version_after=0s`, or choose another \
                     mount",
                    after.chars().filter(char::is_ascii_alphanumeric).take(40).collect::<String>()
                )))
            }
            _ => Ok(()),
        }
    }

    async fn check_transit(&self) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Key {
            #[serde(default)]
            derived: bool,
        }
        let Some(key) = self.transit_key() else { return Ok(()) };
        let path = self.transit_path("keys", key);
        let request = Request::get(path.clone());
        match self.question(&request).await? {
            Answer::NotFound(_) => {
                let mount = self.transit_mount();
                return Err(StoreError::Setup(format!(
                    "Vault Transit has no key {key:?}; run `vault write -f {path}`, or correct \
                     vault.transit_key and vault.transit_mount (now {mount:?})"
                )));
            }
            Answer::Ok(body) if wire::data::<Key>(&body).is_some_and(|key| key.derived) => {
                return Err(StoreError::Setup(format!(
                    "the Vault Transit key {key:?} is made for key derivation; make another one \
                     without `derived` and set vault.transit_key to it"
                )));
            }
            Answer::Ok(_) | Answer::Refused => {}
        }
        let wrapped = match self.wrap(PROBE, PROBE.as_bytes()).await {
            Err(StoreError::Vault(VaultError::MountMissing { mount })) => {
                return Err(StoreError::Setup(format!(
                    "Vault has no secrets engine at {mount:?}; run `vault secrets enable \
                     -path={mount} transit`, or correct vault.transit_mount"
                )));
            }
            wrapped => wrapped?,
        };
        match self.value(PROBE, wrapped).await? {
            value if value.as_slice() == PROBE.as_bytes() => Ok(()),
            _ => Err(self.transit_refused(PROBE, key)),
        }
    }

    /// What Vault answers about itself; `None` when it does not tell this token.
    async fn ask(&self, request: &Request) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.question(request).await? {
            Answer::Ok(body) => Ok(Some(body)),
            Answer::NotFound(_) | Answer::Refused => Ok(None),
        }
    }

    /// Asks what need not be answered, so that a denial does not count as a failed request.
    async fn question(&self, request: &Request) -> Result<Answer, StoreError> {
        let path = request.path();
        let call = Call { operation: Operation::System, path: &path };
        let attempt = |connection: Arc<Connection>| {
            let request = request.clone();
            async move { wire::ask(&connection, request).await }
        };
        Ok(self.vault.call(call, attempt).await?)
    }
}

/// Whether a `delete_version_after` as Vault tells it means never.
fn never(after: &str) -> bool {
    after.is_empty()
        || after.starts_with('-')
        || !after.bytes().any(|it| (b'1'..=b'9').contains(&it))
}

#[cfg(test)]
mod tests {
    use super::never;

    #[test]
    fn durations_that_mean_never() {
        assert!(["", "0s", "0", "-1s", "-1ns"].into_iter().all(never));
        assert!(["1s", "768h0m0s", "10ms"].into_iter().all(|after| !never(after)));
    }
}
