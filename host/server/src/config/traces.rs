//! `traces.…`: which requests are traced, and where their traces go.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::build::Reader;
use super::settings as s;
use super::{ConfigError, TracesConfig, kind};

impl Reader<'_> {
    /// What is traced; `None`: nothing.
    pub(super) fn traces(&self) -> Result<Option<TracesConfig>, ConfigError> {
        let Some(endpoint) = self.0.get(&s::TRACES_OTLP) else {
            return Ok(None);
        };
        let headers = match self.0.get(&s::TRACES_HEADERS) {
            None => HeaderMap::new(),
            // The value is not shown: it is a secret.
            Some(text) => headers(text).ok_or_else(|| {
                let origin = self.0.origin(&s::TRACES_HEADERS);
                ConfigError::new(format!(
                    "`traces.headers` ({origin}): must be `name=value`, several separated by `;`"
                ))
            })?,
        };
        Ok(Some(TracesConfig {
            endpoint: endpoint.to_owned(),
            headers,
            sample: self.parsed(&s::TRACES_SAMPLE, kind::ratio)?,
            service_name: self.required(&s::TRACES_SERVICE_NAME)?.to_owned(),
        }))
    }
}

fn headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for part in text.split(kind::SEPARATOR) {
        let (name, value) = part.split_once('=')?;
        let name: HeaderName = name.trim().parse().ok()?;
        let mut value: HeaderValue = value.trim().parse().ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Values};

    fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut values = Values::new();
        let base = [("KEYWARD_DATA_DIR", "data")];
        let get = |name: &str| {
            let found = settings.iter().chain(&base).find(|(key, _)| *key == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).unwrap();
        Config::build(&values)
    }

    #[test]
    fn nothing_is_traced_without_a_receiver() {
        assert!(config(&[("KEYWARD_TRACES_SAMPLE", "1")]).unwrap().traces.is_none());
        let traces = config(&[("KEYWARD_TRACES_OTLP", "http://c:4318/v1/traces")]).unwrap().traces;
        let traces = traces.unwrap();
        assert_eq!((traces.sample, traces.service_name.as_str()), (0.01, "keyward"));
        assert!(traces.headers.is_empty());
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let with = |headers: &str| {
            let receiver = ("KEYWARD_TRACES_OTLP", "http://c:4318/v1/traces");
            config(&[receiver, ("KEYWARD_TRACES_HEADERS", headers)])
        };
        let headers =
            with("authorization=Bearer a=b; x-tenant = one").unwrap().traces.unwrap().headers;
        assert_eq!(headers["authorization"], "Bearer a=b");
        assert_eq!(headers["x-tenant"], "one");
        assert!(!format!("{headers:?}").contains("Bearer"));
        for bad in ["secret", "=secret", "a b=secret", "a=secret;", "a=sec\u{7f}ret"] {
            let error = with(bad).err().unwrap().to_string();
            assert!(error.contains("traces.headers") && !error.contains("sec"), "{error}");
        }
    }
}
