//! `limits.…`: what is let in.

use std::num::NonZeroU32;

use super::build::Reader;
use super::settings as s;
use super::settings::Setting;
use super::{ConfigError, kind};
use crate::limits::{LimitsConfig, OperationRates, Rate, TenantLimits};

impl Reader<'_> {
    pub(super) fn limits(&self) -> Result<LimitsConfig, ConfigError> {
        Ok(LimitsConfig {
            token: self.rate(&s::LIMITS_TOKEN),
            tenant: TenantLimits {
                requests: self.rate(&s::LIMITS_TENANT),
                items: self.rate(&s::LIMITS_ITEMS),
                operations: self.operations()?,
                max_in_flight: None,
                weight: NonZeroU32::MIN,
            },
            max_in_flight: self.bytes_count(&s::MAX_IN_FLIGHT)?,
            max_wait: self.duration(&s::MAX_WAIT)?,
        })
    }

    fn rate(&self, setting: &'static Setting) -> Option<Rate> {
        self.0.get(setting).and_then(|text| text.parse().ok())
    }

    fn operations(&self) -> Result<OperationRates, ConfigError> {
        let setting = &s::LIMITS_OPERATIONS;
        let Some(text) = self.0.get(setting) else { return Ok(OperationRates::default()) };
        let wrong = |reason: &str| {
            let (name, origin) = (setting.name(), self.0.origin(setting));
            ConfigError::new(format!("`{name}` ({origin}): {reason}"))
        };
        let mut pairs = Vec::new();
        for each in kind::list(text).unwrap_or_default() {
            let pair = each.split_once('=');
            pairs.push(pair.ok_or_else(|| wrong("each must be such as `invoke=50/s`"))?);
        }
        let pairs = pairs.into_iter().map(|(kind, rate)| (kind.trim(), rate.trim()));
        OperationRates::read(pairs).map_err(|reason| wrong(&reason))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Values};
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<LimitsConfig, String> {
        let mut values = Values::new();
        let get = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).map_err(|error| error.to_string())?;
        Config::build(&values).map(|config| config.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_rated_by_default() {
        let limits = with(&[]).unwrap();
        assert_eq!((limits.token, limits.tenant), (None, TenantLimits::default()));
        assert_eq!(limits.max_in_flight, 2048);
    }

    #[test]
    fn kinds_have_rates() {
        let limits = with(&[
            ("KEYWARD_LIMITS_TOKEN", "10/s"),
            ("KEYWARD_LIMITS_OPERATIONS", "invoke=50/s burst 9; keys = 1/m"),
        ]);
        let limits = limits.unwrap();
        assert_eq!(limits.token, Some("10/s".parse().unwrap()));
        let rates: Vec<_> = limits.tenant.operations.iter().collect();
        let rates: Vec<_> =
            rates.iter().map(|(of, rate)| format!("{}={rate}", of.as_str())).collect();
        assert_eq!(rates, ["invoke=50/s burst 9", "keys=1/m"]);
    }

    #[test]
    fn what_is_no_rate_is_said() {
        for (name, text, said) in [
            ("KEYWARD_LIMITS_TOKEN", "fast", "`limits.token`"),
            ("KEYWARD_LIMITS_OPERATIONS", "invoke", "invoke=50/s"),
            ("KEYWARD_LIMITS_OPERATIONS", "invoked=1/s", "`invoked` is none of encrypt"),
            ("KEYWARD_LIMITS_OPERATIONS", "health=1/s", "none of"),
            ("KEYWARD_LIMITS_OPERATIONS", "keys=1/s;keys=2/s", "twice"),
            ("KEYWARD_LIMITS_OPERATIONS", "keys=1", "must be a rate"),
        ] {
            let error = with(&[(name, text)]).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
