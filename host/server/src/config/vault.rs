//! From values to the access to Vault: which login, which files, what does not go together.

use std::path::PathBuf;

use keyward_keyring::vault::{Auth, Tls, VaultConfig};
use zeroize::Zeroizing;

use super::build::Reader;
use super::settings as s;
use super::settings::Setting;
use super::{ConfigError, Origin, VaultSettings, kind};

/// The logins, the one that wins first.
static LOGINS: &[&Setting] =
    &[&s::VAULT_TOKEN, &s::VAULT_TOKEN_FILE, &s::VAULT_ROLE_ID, &s::VAULT_K8S_ROLE];

impl Reader<'_> {
    /// The access to Vault; `None` without an address.
    pub(super) fn vault(&self) -> Result<Option<VaultSettings>, ConfigError> {
        let Some(address) = self.0.get(&s::VAULT_ADDR) else {
            return Ok(None);
        };
        let access = VaultConfig {
            namespace: self.text(&s::VAULT_NAMESPACE),
            timeout: self.duration(&s::VAULT_TIMEOUT)?,
            max_retries: self.count(&s::VAULT_MAX_RETRIES)?,
            tls: self.vault_tls()?,
            health_period: self.duration(&s::VAULT_HEALTH_PERIOD)?,
            expiry_warning: self.duration(&s::VAULT_EXPIRY_WARNING)?,
            renew_increment: self.duration(&s::VAULT_RENEW_INCREMENT)?,
            max_concurrent: self.bytes_count(&s::VAULT_MAX_CONCURRENT)?,
            transit_key: self.text(&s::VAULT_TRANSIT_KEY),
            transit_mount: self.required(&s::VAULT_TRANSIT_MOUNT)?.to_owned(),
            ..VaultConfig::new(
                address.trim_end_matches('/'),
                self.login()?,
                self.parsed(&s::VAULT_SECRET_PATH, |text| text.parse().ok())?,
            )
        };
        if self.0.get(&s::ROOT_PASSPHRASE).is_some() {
            return Err(ConfigError(format!(
                "`{}` ({}): a passphrase opens the embedded store alone; with `vault.addr` use \
                 `root_key.file`, or leave it out",
                s::ROOT_PASSPHRASE.name(),
                self.0.origin(&s::ROOT_PASSPHRASE)
            )));
        }
        Ok(Some(VaultSettings { access, poll: self.duration(&s::VAULT_POLL)? }))
    }

    /// What is likely not meant so.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let given = |setting: &&&'static Setting| self.0.get(setting).is_some();
        let Some(address) = self.0.get(&s::VAULT_ADDR) else {
            if let Some(login) = LOGINS.iter().find(given) {
                let (name, origin) = (login.name(), self.0.origin(login));
                warnings.push(format!(
                    "`{name}` ({origin}) has no effect without `vault.addr`: keys are kept in the \
                     embedded store"
                ));
            }
            return warnings;
        };
        let mut logins = LOGINS.iter().filter(given);
        if let (Some(used), Some(ignored)) = (logins.next(), logins.next()) {
            let (used, name, origin) = (used.name(), ignored.name(), self.0.origin(ignored));
            warnings.push(format!("`{used}` wins over `{name}` ({origin}), which has no effect"));
        }
        if self.0.get(&s::VAULT_TLS_SKIP_VERIFY) == Some("true") {
            warnings.push(
                "`vault.tls_skip_verify`: Vault's certificate is not checked, so whoever sits \
                 between can read every key"
                    .into(),
            );
        }
        if address.starts_with("http://") && !is_loopback(address) {
            warnings.push(format!(
                "`vault.addr` ({}): plain HTTP shows every key to the network; use https",
                self.0.origin(&s::VAULT_ADDR)
            ));
        }
        warnings
    }

    fn login(&self) -> Result<Auth, ConfigError> {
        let secret = |setting| self.0.get(setting).map(|text| Zeroizing::new(text.to_owned()));
        if let Some(token) = secret(&s::VAULT_TOKEN) {
            return Ok(Auth::Token(token));
        }
        if let Some(path) = self.0.get(&s::VAULT_TOKEN_FILE) {
            return Ok(Auth::TokenFile(path.into()));
        }
        match (self.text(&s::VAULT_ROLE_ID), secret(&s::VAULT_SECRET_ID)) {
            (Some(role_id), Some(secret_id)) => {
                let mount = self.required(&s::VAULT_APPROLE_MOUNT)?.to_owned();
                return Ok(Auth::AppRole { role_id, secret_id, mount });
            }
            (Some(_), None) => return Err(self.needs(&s::VAULT_ROLE_ID, &s::VAULT_SECRET_ID)),
            (None, Some(_)) => return Err(self.needs(&s::VAULT_SECRET_ID, &s::VAULT_ROLE_ID)),
            (None, None) => {}
        }
        if let Some(role) = self.text(&s::VAULT_K8S_ROLE) {
            let jwt_file = self.required(&s::VAULT_K8S_JWT_FILE)?.into();
            let mount = self.required(&s::VAULT_K8S_MOUNT)?.to_owned();
            return Ok(Auth::Kubernetes { role, jwt_file, mount });
        }
        Err(ConfigError(format!(
            "`vault.addr` ({}): needs a login as well: `vault.token`, `vault.token_file`, \
             `vault.role_id` with `vault.secret_id`, or `vault.k8s_role`",
            self.0.origin(&s::VAULT_ADDR)
        )))
    }

    fn vault_tls(&self) -> Result<Tls, ConfigError> {
        let (cert, key) = (&s::VAULT_CLIENT_CERT, &s::VAULT_CLIENT_KEY);
        match (self.0.get(cert), self.0.get(key)) {
            (Some(_), None) => return Err(self.needs(cert, key)),
            (None, Some(_)) => return Err(self.needs(key, cert)),
            _ => {}
        }
        Ok(Tls {
            skip_verify: self.parsed(&s::VAULT_TLS_SKIP_VERIFY, kind::switch)?,
            ca_cert: self.pem_file(&s::VAULT_CA_CERT)?,
            client_cert: self.pem_file(cert)?,
            client_key: self.pem_file(key)?,
        })
    }

    /// A file that can be read and has PEM in it.
    fn pem_file(&self, setting: &'static Setting) -> Result<Option<PathBuf>, ConfigError> {
        let Some(path) = self.0.get(setting).map(PathBuf::from) else {
            return Ok(None);
        };
        let (name, origin) = (setting.name(), self.0.origin(setting));
        let shown = path.display();
        let bytes = std::fs::read(&path).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| {
            ConfigError(format!("`{name}` ({origin}): cannot read {shown}: {error}"))
        })?;
        if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            return Err(ConfigError(format!("`{name}` ({origin}): {shown} is not a PEM file")));
        }
        Ok(Some(path))
    }

    fn text(&self, setting: &'static Setting) -> Option<String> {
        self.0.get(setting).map(str::to_owned)
    }

    fn needs(&self, given: &'static Setting, missing: &'static Setting) -> ConfigError {
        let (name, origin): (_, Origin) = (given.name(), self.0.origin(given));
        ConfigError(format!("`{name}` ({origin}): needs `{}` as well", missing.name()))
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.parse::<axum::http::Uri>().ok();
    let host = host.as_ref().and_then(axum::http::Uri::host).unwrap_or_default();
    let bare = host.trim_matches(|c| c == '[' || c == ']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keyward_keyring::Outage;

    use super::super::{Config, Values};
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<Config, String> {
        let mut values = Values::new();
        let get = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).map_err(|error| error.to_string())?;
        Config::build(&values).map_err(|error| error.to_string())
    }

    const ADDR: (&str, &str) = ("E2EE_VAULT_ADDR", "http://127.0.0.1:8200");
    const TOKEN: (&str, &str) = ("E2EE_VAULT_TOKEN", "hvs.secret");

    #[test]
    fn without_an_address_keys_are_embedded_and_a_lone_token_is_warned_of() {
        assert!(with(&[]).unwrap().vault.is_none());
        let config = with(&[TOKEN]).unwrap();
        assert!(config.vault.is_none());
        let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
        assert!(warning.contains("vault.token") && !warning.contains("hvs."), "{warning}");
    }

    #[test]
    fn every_variable_arrives() {
        let vault = |extra: &[(&str, &str)]| {
            let config = with(&[&[ADDR, TOKEN], extra].concat()).unwrap();
            config.vault.unwrap()
        };
        let plain = vault(&[]).access;
        assert_eq!(plain.timeout, Duration::from_secs(30));
        assert_eq!((plain.max_retries, plain.max_concurrent), (3, 64));
        assert_eq!(plain.health_period, Duration::from_secs(30));
        assert_eq!(plain.expiry_warning, Duration::from_hours(1));
        assert_eq!(plain.renew_increment, Duration::from_hours(1));
        assert!(plain.namespace.is_none() && plain.transit_key.is_none());
        assert_eq!(vault(&[]).poll, Duration::from_secs(1));
        assert_eq!(vault(&[("E2EE_VAULT_POLL", "50ms")]).poll, Duration::from_millis(50));
        let set = |name, text| vault(&[(name, text)]).access;
        assert_eq!(set("E2EE_VAULT_TIMEOUT", "2s").timeout, Duration::from_secs(2));
        assert_eq!(set("E2EE_VAULT_MAX_RETRIES", "0").max_retries, 0);
        assert_eq!(set("E2EE_VAULT_MAX_CONCURRENT", "7").max_concurrent, 7);
        assert_eq!(set("E2EE_VAULT_NAMESPACE", "team/a").namespace.as_deref(), Some("team/a"));
        assert!(set("E2EE_VAULT_TLS_SKIP_VERIFY", "true").tls.skip_verify);
        assert_eq!(set("E2EE_VAULT_HEALTH_PERIOD", "1s").health_period, Duration::from_secs(1));
        assert_eq!(set("E2EE_VAULT_EXPIRY_WARNING", "2m").expiry_warning, Duration::from_mins(2));
        assert_eq!(set("E2EE_VAULT_RENEW_INCREMENT", "5m").renew_increment, Duration::from_mins(5));
        assert_eq!(set("E2EE_VAULT_TRANSIT_KEY", "kw").transit_key.as_deref(), Some("kw"));
        assert_eq!(set("E2EE_VAULT_TRANSIT_MOUNT", "wrap").transit_mount, "wrap");
        let [with_data, without] =
            ["kv/data/team", "kv/team"].map(|path| set("E2EE_VAULT_SECRET_PATH", path).secret_path);
        assert_eq!(with_data, without);
        assert_eq!((without.mount(), without.prefix()), ("kv", "team"));
    }

    #[test]
    fn one_login_wins() {
        let login = |extra: &[(&str, &str)]| with(&[&[ADDR], extra].concat());
        let role = [("E2EE_VAULT_ROLE_ID", "r"), ("E2EE_VAULT_SECRET_ID", "s")];
        let both = login(&[&[TOKEN], &role[..]].concat()).unwrap();
        assert!(matches!(both.vault.unwrap().access.auth, Auth::Token(_)));
        assert!(both.warnings[0].contains("`vault.token` wins over `vault.role_id`"));
        let role = login(&role).unwrap().vault.unwrap().access.auth;
        assert!(matches!(role, Auth::AppRole { mount, .. } if mount == "approle"));
        let file = login(&[("E2EE_VAULT_TOKEN_FILE", "/run/token")]).unwrap();
        assert!(matches!(file.vault.unwrap().access.auth, Auth::TokenFile(_)));
        let k8s = login(&[("E2EE_VAULT_K8S_ROLE", "kw")]).unwrap().vault.unwrap().access.auth;
        assert!(matches!(k8s, Auth::Kubernetes { jwt_file, .. }
            if jwt_file.starts_with("/var/run/secrets")));
        for (extra, expected) in [
            (&[][..], "needs a login"),
            (&[("E2EE_VAULT_ROLE_ID", "r")], "`vault.role_id` (environment variable"),
            (&[("E2EE_VAULT_SECRET_ID", "sec")], "needs `vault.role_id` as well"),
        ] {
            let error = login(extra).err().unwrap();
            assert!(error.contains(expected) && !error.contains("sec)"), "{error}");
        }
    }

    #[test]
    fn wrong_values_stop_the_start_and_name_the_setting() {
        for (name, text) in [
            ("E2EE_VAULT_ADDR", "localhost:8200"),
            ("E2EE_VAULT_TOKEN", "two\nlines"),
            ("E2EE_VAULT_SECRET_PATH", "secret"),
            ("E2EE_VAULT_TIMEOUT", "30"),
            ("E2EE_VAULT_CA_CERT", "/nowhere/ca.pem"),
            ("E2EE_VAULT_CLIENT_KEY", "/nowhere/key.pem"),
        ] {
            let given = [&[(name, text)][..], &[ADDR, TOKEN]].concat();
            let error = with(&given).err().unwrap();
            let key = name.replace("E2EE_VAULT_", "vault.").to_lowercase();
            assert!(error.contains(&key), "{name}: {error}");
            assert!(!error.contains("two"), "{error}");
        }
        let not_pem = tempfile::NamedTempFile::new().unwrap();
        let given = [ADDR, TOKEN, ("E2EE_VAULT_CA_CERT", not_pem.path().to_str().unwrap())];
        assert!(with(&given).err().unwrap().contains("not a PEM file"));
    }

    #[test]
    fn risky_settings_are_warned_of() {
        let far = ("E2EE_VAULT_ADDR", "http://vault.example:8200");
        assert!(with(&[far, TOKEN]).unwrap().warnings[0].contains("plain HTTP"));
        let skip = ("E2EE_VAULT_TLS_SKIP_VERIFY", "true");
        assert!(with(&[ADDR, TOKEN, skip]).unwrap().warnings[0].contains("not checked"));
        assert!(with(&[ADDR, TOKEN]).unwrap().warnings.is_empty());
    }

    #[test]
    fn the_cache_is_configured() {
        let cache = |name, text| with(&[(name, text)]).unwrap().cache;
        assert_eq!(cache("KEYWARD_CACHE_TTL", "2s").ttl, Duration::from_secs(2));
        assert_eq!(cache("KEYWARD_CACHE_SWEEP", "1s").sweep, Duration::from_secs(1));
        assert_eq!(cache("KEYWARD_CACHE_MAX_BYTES", "1MiB").max_bytes, 1 << 20);
        let stale = cache("KEYWARD_CACHE_OUTAGE", "serve-stale=1h").default_outage;
        assert_eq!(stale, Outage::ServeStale(Duration::from_hours(1)));
        assert!(with(&[("KEYWARD_CACHE_OUTAGE", "maybe")]).is_err());
    }
}
