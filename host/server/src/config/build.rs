//! From values to a [`Config`]: meaning, and the rules between settings.

use std::path::PathBuf;
use std::time::Duration;

use keyward_audit::{OnStall, Settings as AuditSettings};
use keyward_keyring::CacheConfig;
use keyward_keyring::backup::Recipients;
use keyward_keyring::embedded::RootKeySource;
use keyward_policy_host::{Compiler, ImageConfig, Limits};
use zeroize::Zeroizing;

use super::settings as s;
use super::settings::Setting;
use super::{
    Config, ConfigError, Hardening, HttpConfig, Kind, LogConfig, PolicyConfig, RotationConfig,
    Values, kind,
};

impl Config {
    /// Builds the configuration; an error names the settings that do not go together.
    pub fn build(values: &Values) -> Result<Self, ConfigError> {
        let read = Reader(values);
        let data_dir: PathBuf = read.required(&s::DATA_DIR)?.into();
        let listen = read.parsed(&s::LISTEN, |text| text.parse::<std::net::SocketAddr>().ok())?;
        let tls = read.tls()?;
        let insecure = read.parsed(&s::INSECURE_HTTP, kind::switch)?;
        if tls.is_none() && !insecure && !listen.ip().is_loopback() {
            return Err(ConfigError(format!(
                "`listen` ({}): plain HTTP on {listen} would show tokens and plaintexts to the \
                 network; set `tls.cert` and `tls.key`, or `insecure_http = true` behind a proxy \
                 that ends TLS",
                values.origin(&s::LISTEN)
            )));
        }
        let policy = read.policy()?;
        let max_invoke = read.bytes(&s::MAX_INVOKE)?;
        if max_invoke > policy.limits.host_call_bytes {
            return Err(ConfigError(format!(
                "`http.max_invoke` ({}): must not exceed `policy.host_call_bytes`",
                values.origin(&s::MAX_INVOKE)
            )));
        }
        let audit = read.audit(&data_dir)?;
        Ok(Self {
            listen,
            audit_recipients: read.audit_recipients(audit.is_some())?,
            audit_sinks: read.sinks(audit.is_some())?,
            audit,
            root_key: read.root_key(&data_dir)?,
            data_dir,
            tls,
            http: HttpConfig {
                max_body: read.bytes(&s::MAX_BODY)?,
                max_items: read.bytes_count(&s::MAX_ITEMS)?,
                max_invoke,
                header_timeout: read.duration(&s::HEADER_TIMEOUT)?,
                body_timeout: read.duration(&s::BODY_TIMEOUT)?,
                request_timeout: read.duration(&s::REQUEST_TIMEOUT)?,
                drain_timeout: read.duration(&s::DRAIN_TIMEOUT)?,
                max_connections: read.bytes_count(&s::MAX_CONNECTIONS)?,
            },
            limits: read.limits()?,
            policy,
            vault: read.vault()?,
            cache: read.cache()?,
            default_tenant: read.parsed(&s::DEFAULT_TENANT, |text| text.parse().ok())?,
            rotation: RotationConfig {
                flush: read.duration(&s::USAGE_FLUSH)?,
                check: read.duration(&s::ROTATION_CHECK)?,
                min_every: read.duration(&s::ROTATION_MIN_EVERY)?,
            },
            mtls: read.mtls()?,
            jwt: read.jwt()?,
            token_uses: read.duration(&s::TOKEN_USES)?,
            log: LogConfig {
                json: values.get(&s::LOG_FORMAT) == Some("json"),
                filter: read.required(&s::LOG_LEVEL)?.to_owned(),
            },
            traces: read.traces()?,
            policies_dir: values.get(&s::POLICIES_DIR).map(PathBuf::from),
            hardening: match values.get(&s::HARDENING) {
                Some("required") => Hardening::Required,
                Some("off") => Hardening::Off,
                _ => Hardening::On,
            },
            files: read.files(),
            compiler: Compiler::InProcess,
            warnings: values.warnings().iter().cloned().chain(read.warnings()).collect(),
            source: None,
        })
    }
}

/// Reads typed values; what [`Kind`](super::Kind) accepted always parses.
pub(super) struct Reader<'a>(pub(super) &'a Values);

impl<'a> Reader<'a> {
    pub(super) fn required(&self, setting: &'static Setting) -> Result<&'a str, ConfigError> {
        let missing = || ConfigError(format!("`{}` must be set", setting.name()));
        self.0.get(setting).ok_or_else(missing)
    }

    pub(super) fn parsed<T>(
        &self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        parse(self.required(setting)?).ok_or_else(|| {
            let (name, origin) = (setting.name(), self.0.origin(setting));
            ConfigError(format!("`{name}` ({origin}): must be {}", setting.kind.expects()))
        })
    }

    pub(super) fn bytes(&self, setting: &'static Setting) -> Result<usize, ConfigError> {
        self.parsed(setting, |text| usize::try_from(kind::bytes(text)?).ok())
    }

    pub(super) fn bytes_count(&self, setting: &'static Setting) -> Result<usize, ConfigError> {
        self.parsed(setting, |text| usize::try_from(kind::count(text)?).ok())
    }

    pub(super) fn count(&self, setting: &'static Setting) -> Result<u32, ConfigError> {
        self.parsed(setting, |text| u32::try_from(kind::count(text)?).ok())
    }

    pub(super) fn duration(&self, setting: &'static Setting) -> Result<Duration, ConfigError> {
        self.parsed(setting, kind::duration)
    }

    fn root_key(&self, data_dir: &std::path::Path) -> Result<RootKeySource, ConfigError> {
        let sources = [&s::ROOT_KEY_FILE, &s::ROOT_KEY, &s::ROOT_PASSPHRASE];
        let given: Vec<_> = sources.iter().filter(|s| self.0.get(s).is_some()).collect();
        if let [first, second, ..] = given.as_slice() {
            return Err(ConfigError(format!(
                "the root key has two sources, `{}` ({}) and `{}` ({}); keep one",
                first.name(),
                self.0.origin(first),
                second.name(),
                self.0.origin(second)
            )));
        }
        let secret = |setting| self.0.get(setting).map(|text| Zeroizing::new(text.to_owned()));
        Ok(if let Some(key) = secret(&s::ROOT_KEY) {
            RootKeySource::Value(key)
        } else if let Some(passphrase) = secret(&s::ROOT_PASSPHRASE) {
            RootKeySource::Passphrase(passphrase)
        } else {
            let file = self.0.get(&s::ROOT_KEY_FILE).map(PathBuf::from);
            RootKeySource::File(file.unwrap_or_else(|| data_dir.join("root.key")))
        })
    }

    /// Files that are read: all paths but those of directories that are the server's own.
    fn files(&self) -> Vec<PathBuf> {
        let own = [&s::DATA_DIR, &s::AUDIT_DIR, &s::POLICIES_DIR];
        let is_read = |setting: &&&'static Setting| {
            setting.kind == Kind::Path && own.iter().all(|own| own.env != setting.env)
        };
        let paths = s::ALL.iter().filter(is_read).filter_map(|setting| self.0.get(setting));
        paths.map(PathBuf::from).collect()
    }

    fn audit(&self, data_dir: &std::path::Path) -> Result<Option<AuditSettings>, ConfigError> {
        let seconds = |setting| Ok(Duration::from_secs(self.count(setting)?.into()));
        let (strict, shed) = (
            self.parsed(&s::AUDIT_STRICT, kind::switch)?,
            self.0.get(&s::AUDIT_ON_STALL) == Some("shed"),
        );
        if strict && shed {
            return Err(ConfigError(format!(
                "`audit.strict` ({}): has every entry written, and `audit.on_stall = \"shed\"` ({}) \
                 gives entries up; keep one",
                self.0.origin(&s::AUDIT_STRICT),
                self.0.origin(&s::AUDIT_ON_STALL)
            )));
        }
        let settings = AuditSettings {
            dir: self.0.get(&s::AUDIT_DIR).map_or_else(|| data_dir.join("audit"), Into::into),
            rotate_bytes: self.parsed(&s::AUDIT_ROTATE_BYTES, kind::bytes)?,
            rotate_after: seconds(&s::AUDIT_ROTATE_SECONDS)?,
            checkpoint_every: seconds(&s::AUDIT_CHECKPOINT_SECONDS)?,
            checkpoint_entries: self.parsed(&s::AUDIT_CHECKPOINT_ENTRIES, kind::count)?,
            on_stall: if shed { OnStall::Shed } else { OnStall::Block },
            stall_timeout: self.duration(&s::AUDIT_STALL_TIMEOUT)?,
            strict,
            queue: self.bytes_count(&s::AUDIT_QUEUE)?,
        };
        Ok(self.parsed(&s::AUDIT_ENABLED, kind::switch)?.then_some(settings))
    }

    fn audit_recipients(&self, is_kept: bool) -> Result<Option<Recipients>, ConfigError> {
        let Some(text) = self.0.get(&s::AUDIT_ENCRYPT_TO) else {
            return Ok(None);
        };
        let wrong = |detail: &str| self.wrong(&s::AUDIT_ENCRYPT_TO, detail);
        if !is_kept {
            return Err(wrong("needs `audit.enabled`: it seals the log's entries"));
        }
        let recipients = Recipients::keys(kind::list(text).unwrap_or_default());
        recipients.map(Some).map_err(|error| wrong(&format!("names somebody: {error}")))
    }

    fn cache(&self) -> Result<CacheConfig, ConfigError> {
        Ok(CacheConfig {
            ttl: self.duration(&s::CACHE_TTL)?,
            sweep: self.duration(&s::CACHE_SWEEP)?,
            max_bytes: self.parsed(&s::CACHE_MAX_BYTES, kind::bytes)?,
            default_outage: self.parsed(&s::CACHE_OUTAGE, |text| text.parse().ok())?,
            ..CacheConfig::default()
        })
    }

    fn policy(&self) -> Result<PolicyConfig, ConfigError> {
        let (pool_size, per_tenant) = self.pool(&s::POOL_SIZE, &s::PER_TENANT)?;
        Ok(PolicyConfig {
            pool_size,
            per_tenant,
            limits: Limits {
                memory_bytes: self.bytes(&s::MEMORY)?,
                cpu: self.duration(&s::CPU)?,
                ..self.shared_limits(Limits::default())?
            },
            max_component: self.bytes(&s::MAX_COMPONENT)?,
            state_bytes: self.bytes(&s::STATE_BYTES)?,
            image: self.image()?,
            compile_timeout: self.duration(&s::COMPILE_TIMEOUT)?,
            allow_unsigned: self.0.get(&s::ALLOW_UNSIGNED).and_then(kind::switch),
            record: self.parsed(&s::RECORD, kind::switch)?,
            max_kept: self.bytes_count(&s::MAX_KEPT)?,
            store: self.bucket()?,
            registries: self.registries()?,
        })
    }

    /// The engine for policies with an interpreter; none where its pool has no size.
    fn image(&self) -> Result<Option<ImageConfig>, ConfigError> {
        if self.count(&s::IMAGE_POOL_SIZE)? == 0 {
            return Ok(None);
        }
        let (pool_size, per_tenant) = self.pool(&s::IMAGE_POOL_SIZE, &s::IMAGE_PER_TENANT)?;
        Ok(Some(ImageConfig {
            pool_size,
            per_tenant,
            limits: Limits {
                memory_bytes: self.bytes(&s::IMAGE_MEMORY)?,
                cpu: self.duration(&s::IMAGE_CPU)?,
                ..self.shared_limits(Limits::for_image())?
            },
            max_component_bytes: self.bytes(&s::IMAGE_MAX_COMPONENT)?,
        }))
    }

    /// The bounds that hold in both engines, beside those of the engine's own.
    fn shared_limits(&self, own: Limits) -> Result<Limits, ConfigError> {
        Ok(Limits {
            wall: self.duration(&s::WALL)?,
            host_calls: self.count(&s::HOST_CALLS)?,
            state_calls: self.count(&s::STATE_CALLS)?,
            host_call_bytes: self.bytes(&s::HOST_CALL_BYTES)?,
            log_bytes: self.bytes(&s::LOG_BYTES)?,
            ..own
        })
    }

    /// A pool's size, and what one tenant may have of it.
    fn pool(
        &self,
        size: &'static Setting,
        share: &'static Setting,
    ) -> Result<(u32, u32), ConfigError> {
        let pool_size = self.count(size)?;
        let per_tenant = self.count(share)?;
        if per_tenant <= pool_size {
            return Ok((pool_size, per_tenant));
        }
        if self.0.origin(share) == super::Origin::Default {
            return Ok((pool_size, pool_size));
        }
        let name = |setting: &Setting| setting.key.unwrap_or(setting.env);
        Err(ConfigError(format!(
            "`{}` ({}): must not exceed `{}`, {pool_size}",
            name(share),
            self.0.origin(share),
            name(size)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<Config, String> {
        let mut values = Values::new();
        let get = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).map_err(|error| error.to_string())?;
        Config::build(&values).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_build() {
        let config = with(&[]).unwrap();
        assert_eq!(config.http.max_body, 8 << 20);
        assert_eq!(config.policy.limits, Limits::default());
        assert!(matches!(config.root_key, RootKeySource::File(path)
            if path.as_os_str() == "keyward-data/root.key"));
    }

    #[test]
    fn plain_http_stays_on_loopback() {
        let error = with(&[("KEYWARD_LISTEN", "0.0.0.0:80")]).err().unwrap();
        assert!(error.contains("insecure_http") && error.contains("KEYWARD_LISTEN"), "{error}");
        let behind_proxy = [("KEYWARD_LISTEN", "0.0.0.0:80"), ("KEYWARD_INSECURE_HTTP", "true")];
        assert!(with(&behind_proxy).is_ok());
    }

    #[test]
    fn the_audit_log_cannot_be_strict_and_give_entries_up() {
        let both = [("KEYWARD_AUDIT_STRICT", "true"), ("KEYWARD_AUDIT_ON_STALL", "shed")];
        let error = with(&both).err().unwrap();
        assert!(error.contains("`audit.strict`") && error.contains("ON_STALL"), "{error}");
        assert!(with(&both[..1]).unwrap().audit.unwrap().strict);
        assert!(with(&[("KEYWARD_AUDIT_ENABLED", "false")]).unwrap().audit.is_none());
        let dir = with(&[]).unwrap().audit.unwrap().dir;
        assert_eq!(dir, PathBuf::from("keyward-data/audit"));
    }

    #[test]
    fn half_of_tls_is_an_error() {
        let error = with(&[("KEYWARD_TLS_CERT", "cert.pem")]).err().unwrap();
        assert!(error.contains("needs `tls.key`"), "{error}");
    }

    #[test]
    fn two_root_keys_are_an_error_that_shows_neither() {
        let both = [("KEYWARD_ROOT_KEY", "c2VjcmV0"), ("KEYWARD_ROOT_PASSPHRASE", "open sesame")];
        let error = with(&both).err().unwrap();
        assert!(error.contains("KEYWARD_ROOT_KEY") && error.contains("KEYWARD_ROOT_PASSPHRASE"));
        assert!(!error.contains("c2VjcmV0") && !error.contains("sesame"), "{error}");
    }
}
