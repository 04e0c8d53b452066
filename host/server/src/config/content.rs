//! From values to where policies' components are kept, and pulled from.

use super::build::Reader;
use super::settings as s;
use super::{ConfigError, kind};
use crate::oci;
use crate::policies::BucketSettings;

impl Reader<'_> {
    /// The bucket of components; `None`: they are kept without one.
    pub(super) fn bucket(&self) -> Result<Option<BucketSettings>, ConfigError> {
        if self.0.get(&s::STORE_URL).is_none() {
            let alone = [&s::STORE_ENDPOINT, &s::STORE_REGION, &s::STORE_CA_CERT];
            let alone = alone.into_iter().find(|setting| self.0.get(setting).is_some());
            return alone.map_or(Ok(None), |setting| {
                Err(self.wrong(setting, "needs `policy.store.url` as well"))
            });
        }
        Ok(Some(BucketSettings {
            url: self.parsed(&s::STORE_URL, |text| text.parse().ok())?,
            endpoint: self.0.get(&s::STORE_ENDPOINT).map(str::to_owned),
            region: self.0.get(&s::STORE_REGION).map(str::to_owned),
            ca_cert: self.0.get(&s::STORE_CA_CERT).map(Into::into),
        }))
    }

    /// The registries that may be pulled from.
    pub(super) fn registries(&self) -> Result<oci::Settings, ConfigError> {
        let Some(text) = self.0.get(&s::REGISTRY_ALLOW) else {
            let alone = [&s::REGISTRY_AUTH_FILE, &s::REGISTRY_CA_CERT];
            let alone = alone.into_iter().find(|setting| self.0.get(setting).is_some());
            return alone.map_or(Ok(oci::Settings::default()), |setting| {
                Err(self.wrong(setting, "needs `policy.registry.allow` as well"))
            });
        };
        let allow = kind::list(text).and_then(oci::Allowed::read);
        let allow = allow.ok_or_else(|| {
            let detail = "an entry is a host, perhaps with a port, and what repositories begin \
                          with, such as `registry.example/policies/{tenant}`";
            self.wrong(&s::REGISTRY_ALLOW, detail)
        })?;
        let path = |setting| self.0.get(setting).map(Into::into);
        Ok(oci::Settings {
            allow,
            auth_file: path(&s::REGISTRY_AUTH_FILE),
            ca_cert: path(&s::REGISTRY_CA_CERT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Values};

    fn with(environment: &[(&str, &str)]) -> Result<Config, String> {
        let mut values = Values::new();
        let get = |name: &str| {
            let name = name.strip_prefix("KEYWARD_POLICY_")?;
            environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).map_err(|error| error.to_string())?;
        Config::build(&values).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bucket_is_read() {
        assert_eq!(with(&[]).unwrap().policy.store, None);
        let url = ("STORE_URL", "s3://bucket/prefix");
        let more = [url, ("STORE_ENDPOINT", "http://s3.here:9000"), ("STORE_CA_CERT", "ca.pem")];
        let config = with(&more).unwrap();
        let store = config.policy.store.unwrap();
        assert_eq!(store.url.to_string(), "s3://bucket/prefix");
        assert_eq!(store.endpoint.as_deref(), Some("http://s3.here:9000"));
        assert!(config.files.contains(&"ca.pem".into()));
        let error = with(&[("STORE_URL", "https://bucket")]).err().unwrap();
        assert!(error.contains("`s3://bucket/keyward`"), "{error}");
        let allow = ("REGISTRY_ALLOW", "registry.example/a/{tenant};http://localhost:5000");
        let config = with(&[allow, ("REGISTRY_AUTH_FILE", "auth.json")]).unwrap();
        assert!(config.files.contains(&"auth.json".into()));
        let error = with(&[("REGISTRY_ALLOW", "registry")]).err().unwrap();
        assert!(error.contains("`policy.registry.allow`"), "{error}");
        let error = with(&[("REGISTRY_AUTH_FILE", "auth.json")]).err().unwrap();
        assert!(error.contains("needs `policy.registry.allow`"), "{error}");
        let error = with(&more[1..]).err().unwrap();
        assert!(error.contains("`policy.store.endpoint`") && error.contains("policy.store.url"));
    }
}
