//! From values to where audit entries are sent beside the files.

use zeroize::Zeroizing;

use super::build::Reader;
use super::settings as s;
use super::settings::Setting;
use super::{ConfigError, kind};
use crate::audit::{OtlpSettings, SinkSettings, WebhookSettings, headers};

impl Reader<'_> {
    /// Where entries are sent, of a log that is kept or not.
    pub(super) fn sinks(&self, is_kept: bool) -> Result<SinkSettings, ConfigError> {
        let stdout = self.parsed(&s::AUDIT_STDOUT, kind::switch)?;
        let given = |setting: &'static Setting| self.0.get(setting).map(str::to_owned);
        let needs = |setting: &'static Setting, detail| Err(self.wrong(setting, detail));
        if !is_kept {
            let alone = [&s::AUDIT_SYSLOG, &s::AUDIT_OTLP, &s::AUDIT_WEBHOOK];
            let alone = alone.into_iter().find(|setting| self.0.get(setting).is_some());
            return match alone.or(stdout.then_some(&s::AUDIT_STDOUT)) {
                Some(setting) => {
                    needs(setting, "needs `audit.enabled`: it is given the log's lines")
                }
                None => Ok(SinkSettings::default()),
            };
        }
        if self.0.get(&s::AUDIT_OTLP).is_none() && self.0.get(&s::AUDIT_OTLP_HEADERS).is_some() {
            return needs(&s::AUDIT_OTLP_HEADERS, "needs `audit.otlp` as well");
        }
        if self.0.get(&s::AUDIT_WEBHOOK).is_none() && self.0.get(&s::AUDIT_WEBHOOK_TOKEN).is_some()
        {
            return needs(&s::AUDIT_WEBHOOK_TOKEN, "needs `audit.webhook` as well");
        }
        let syslog = given(&s::AUDIT_SYSLOG).map(|text| {
            let detail = "must be `unix:` and a path, or `udp://` or `tcp://`, host, `:` and port";
            text.parse().map_err(|()| self.wrong(&s::AUDIT_SYSLOG, detail))
        });
        let otlp = given(&s::AUDIT_OTLP).map(|url| {
            let detail = "must be `name=value` of headers, separated by `;`";
            let text = self.0.get(&s::AUDIT_OTLP_HEADERS);
            let headers = text.map_or(Some(Vec::new()), headers);
            let headers = headers.ok_or_else(|| self.wrong(&s::AUDIT_OTLP_HEADERS, detail))?;
            Ok(OtlpSettings { url, headers })
        });
        let webhook = given(&s::AUDIT_WEBHOOK).map(|url| WebhookSettings {
            url,
            token: given(&s::AUDIT_WEBHOOK_TOKEN).map(Zeroizing::new),
        });
        Ok(SinkSettings {
            stdout,
            syslog: syslog.transpose()?,
            otlp: otlp.transpose()?,
            webhook,
            ca_cert: given(&s::AUDIT_CA_CERT).map(Into::into),
            block: self.0.get(&s::AUDIT_SINK_ON_STALL) == Some("block"),
            max_lag: self.parsed(&s::AUDIT_SINK_MAX_LAG, kind::count)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Values};
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<SinkSettings, String> {
        let mut values = Values::new();
        let get = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).map_err(|error| error.to_string())?;
        let config = Config::build(&values).map_err(|error| error.to_string())?;
        Ok(config.audit_sinks)
    }

    #[test]
    fn sinks_are_read() {
        let none = with(&[]).unwrap();
        assert!(!none.stdout && !none.block && none.syslog.is_none() && none.max_lag == 1_000_000);
        let all = with(&[
            ("KEYWARD_AUDIT_STDOUT", "true"),
            ("KEYWARD_AUDIT_SYSLOG", "tcp://logs:601"),
            ("KEYWARD_AUDIT_OTLP", "http://collector:4318/v1/logs"),
            ("KEYWARD_AUDIT_OTLP_HEADERS", "x-key=s"),
            ("KEYWARD_AUDIT_WEBHOOK", "https://hook.example/audit"),
            ("KEYWARD_AUDIT_WEBHOOK_TOKEN", "t"),
            ("KEYWARD_AUDIT_SINK_ON_STALL", "block"),
            ("KEYWARD_AUDIT_SINK_MAX_LAG", "10"),
        ]);
        let all = all.unwrap();
        assert!(all.stdout && all.block && all.max_lag == 10);
        assert_eq!(all.syslog, "tcp://logs:601".parse().ok());
        assert_eq!(all.otlp.unwrap().headers[0].0, "x-key");
        assert_eq!(all.webhook.unwrap().token.unwrap().as_str(), "t");
    }

    #[test]
    fn what_cannot_work_is_named_without_its_secret() {
        let off = ("KEYWARD_AUDIT_ENABLED", "false");
        let otlp = ("KEYWARD_AUDIT_OTLP", "http://collector:4318/v1/logs");
        for (environment, expected) in [
            (vec![("KEYWARD_AUDIT_SYSLOG", "logs:601")], "`audit.syslog` (environment variable"),
            (vec![("KEYWARD_AUDIT_WEBHOOK", "http://hook.example")], "`audit.webhook`"),
            (vec![("KEYWARD_AUDIT_WEBHOOK_TOKEN", "hush")], "needs `audit.webhook`"),
            (vec![("KEYWARD_AUDIT_OTLP_HEADERS", "a=hush")], "needs `audit.otlp`"),
            (vec![otlp, ("KEYWARD_AUDIT_OTLP_HEADERS", "hush")], "`audit.otlp_headers`"),
            (vec![off, ("KEYWARD_AUDIT_STDOUT", "true")], "`audit.stdout`"),
            (vec![off, otlp], "needs `audit.enabled`"),
        ] {
            let error = with(&environment).err().unwrap();
            assert!(error.contains(expected) && !error.contains("hush"), "{error}");
        }
    }
}
