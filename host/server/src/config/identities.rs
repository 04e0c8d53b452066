//! From values to who is believed: certificates, and the identity provider with what its roles mean.

use super::build::Reader;
use super::settings as s;
use super::settings::Setting;
use super::{ClientAuth, ConfigError, TlsFiles, kind};
use crate::jwt::{JwtConfig, Source, algorithm};
use crate::mtls::Mapping;
use crate::tokens::OPERATOR;

impl Reader<'_> {
    /// The files of TLS; `None`: plain HTTP.
    pub(super) fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let client_auth = match self.0.get(&s::TLS_CLIENT_AUTH) {
            Some("optional") => ClientAuth::Optional,
            Some("required") => ClientAuth::Required,
            _ => ClientAuth::Off,
        };
        let client_ca = self.0.get(&s::TLS_CLIENT_CA);
        match (self.0.get(&s::TLS_CERT), self.0.get(&s::TLS_KEY)) {
            (Some(_), None) => Err(self.lacks(&s::TLS_CERT, "tls.key")),
            (None, Some(_)) => Err(self.lacks(&s::TLS_KEY, "tls.cert")),
            (None, None) if client_auth != ClientAuth::Off => {
                Err(self.lacks(&s::TLS_CLIENT_AUTH, "tls.cert"))
            }
            (None, None) if client_ca.is_some() => Err(self.lacks(&s::TLS_CLIENT_CA, "tls.cert")),
            (None, None) => Ok(None),
            (Some(_), Some(_)) if client_auth != ClientAuth::Off && client_ca.is_none() => {
                Err(self.lacks(&s::TLS_CLIENT_AUTH, "tls.client_ca"))
            }
            (Some(_), Some(_)) if client_auth == ClientAuth::Off && client_ca.is_some() => {
                let detail = "has no effect without `tls.client_auth` optional or required";
                Err(self.wrong(&s::TLS_CLIENT_CA, detail))
            }
            (Some(cert), Some(key)) => Ok(Some(TlsFiles {
                cert: cert.into(),
                key: key.into(),
                client_ca: client_ca.map(Into::into),
                client_auth,
                only_tls13: self.0.get(&s::TLS_MIN_VERSION) == Some("1.3"),
                reload: self.duration(&s::TLS_RELOAD)?,
            })),
        }
    }

    /// Whom client certificates speak for.
    pub(super) fn mtls(&self) -> Result<Mapping, ConfigError> {
        let Some(rules) = self.list(&s::MTLS_MAP) else {
            return Ok(Mapping::default());
        };
        if self.0.get(&s::TLS_CLIENT_AUTH) == Some("off") {
            return Err(self.wrong(&s::MTLS_MAP, "needs `tls.client_auth` optional or required"));
        }
        Mapping::read(rules.iter().map(String::as_str))
            .map_err(|error| self.wrong(&s::MTLS_MAP, &error.to_string()))
    }

    /// What is expected of JWTs; `None` without an issuer.
    pub(super) fn jwt(&self) -> Result<Option<JwtConfig>, ConfigError> {
        let Some(issuer) = self.0.get(&s::JWT_ISSUER) else {
            let alone = [&s::JWT_AUDIENCE, &s::JWT_JWKS_URL, &s::JWT_JWKS_FILE, &s::JWT_ROLES];
            return match alone.iter().find(|setting| self.0.get(setting).is_some()) {
                Some(given) => Err(self.lacks(given, "jwt.issuer")),
                None => Ok(None),
            };
        };
        let Some(audience) = self.list(&s::JWT_AUDIENCE) else {
            return Err(self.lacks(&s::JWT_ISSUER, "jwt.audience"));
        };
        let (refresh, max_stale) =
            (self.duration(&s::JWT_REFRESH)?, self.duration(&s::JWT_MAX_STALE)?);
        if max_stale < refresh {
            return Err(self.wrong(&s::JWT_MAX_STALE, "must not be shorter than `jwt.refresh`"));
        }
        let leeway = self.duration(&s::JWT_LEEWAY)?;
        if leeway.subsec_nanos() != 0 {
            return Err(self.wrong(&s::JWT_LEEWAY, "must be whole seconds"));
        }
        let named = |setting| self.required(setting).map(str::to_owned);
        Ok(Some(JwtConfig {
            issuer: issuer.to_owned(),
            audience,
            source: self.jwks()?,
            algorithms: self.parsed(&s::JWT_ALGORITHMS, |text| {
                kind::list(text)?.into_iter().map(algorithm).collect()
            })?,
            leeway,
            subject_claim: named(&s::JWT_SUBJECT_CLAIM)?,
            roles_claim: named(&s::JWT_ROLES_CLAIM)?,
            tenant_claim: named(&s::JWT_TENANT_CLAIM)?,
            roles: self.roles()?,
            operator_role: self.0.get(&s::JWT_OPERATOR_ROLE).map(str::to_owned),
            claims: self.list(&s::JWT_CLAIMS),
            refresh,
            max_stale,
        }))
    }

    fn jwks(&self) -> Result<Source, ConfigError> {
        let ca_cert = self.0.get(&s::JWT_CA_CERT).map(Into::into);
        match (self.0.get(&s::JWT_JWKS_URL), self.0.get(&s::JWT_JWKS_FILE)) {
            (Some(url), None) => Ok(Source::Url { url: url.to_owned(), ca_cert }),
            (None, Some(path)) => Ok(Source::File(path.into())),
            (Some(_), Some(_)) => {
                Err(self.wrong(&s::JWT_JWKS_FILE, "stands beside `jwt.jwks_url`; keep one"))
            }
            (None, None) => Err(self.lacks(&s::JWT_ISSUER, "jwt.jwks_url` or `jwt.jwks_file")),
        }
    }

    /// `theirs=ours`, in the order given.
    fn roles(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let mut roles = Vec::new();
        for entry in self.list(&s::JWT_ROLES).unwrap_or_default() {
            let Some((theirs, ours)) = entry.rsplit_once('=') else {
                return Err(self.wrong(&s::JWT_ROLES, "an entry is a role, `=` and a role"));
            };
            let (theirs, ours) = (theirs.trim(), ours.trim());
            if ours == OPERATOR {
                let detail = "no role becomes `operator` by this; set `jwt.operator_role`";
                return Err(self.wrong(&s::JWT_ROLES, detail));
            }
            if theirs.is_empty() || !is_role(ours) {
                let detail = "behind `=` an entry has 1 to 64 of a-z, 0-9 and -, and a role before";
                return Err(self.wrong(&s::JWT_ROLES, detail));
            }
            roles.push((theirs.to_owned(), ours.to_owned()));
        }
        Ok(roles)
    }

    pub(super) fn list(&self, setting: &'static Setting) -> Option<Vec<String>> {
        let items = kind::list(self.0.get(setting)?)?;
        Some(items.into_iter().map(str::to_owned).collect())
    }

    fn lacks(&self, given: &'static Setting, missing: &str) -> ConfigError {
        self.wrong(given, &format!("needs `{missing}` as well"))
    }

    pub(super) fn wrong(&self, setting: &'static Setting, detail: &str) -> ConfigError {
        ConfigError(format!("`{}` ({}): {detail}", setting.name(), self.0.origin(setting)))
    }
}

pub(super) fn is_role(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonwebtoken::Algorithm;

    use super::super::{Config, Values};
    use super::*;

    fn built(prefix: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let mut values = Values::new();
        let get = |name: &str| {
            let name = name.strip_prefix(prefix)?;
            environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        values.read_environment(get).map_err(|error| error.to_string())?;
        Config::build(&values).map_err(|error| error.to_string())
    }

    fn with(environment: &[(&str, &str)]) -> Result<Option<JwtConfig>, String> {
        built("KEYWARD_JWT_", environment).map(|config| config.jwt)
    }

    #[test]
    fn certificates_of_clients_take_tls_and_authorities() {
        const PAIR: [(&str, &str); 2] = [("TLS_CERT", "c"), ("TLS_KEY", "k")];
        const CA: (&str, &str) = ("TLS_CLIENT_CA", "ca");
        const ASKED: (&str, &str) = ("TLS_CLIENT_AUTH", "optional");
        let rule = ("MTLS_MAP", "spiffe://x=tenant:a;dns:b=operator");
        let with = |given: &[(&str, &str)]| built("KEYWARD_", given);
        let tls = with(&[PAIR[0], PAIR[1], CA, ASKED, rule]).unwrap().tls.unwrap();
        assert_eq!((tls.client_auth, tls.only_tls13), (ClientAuth::Optional, false));
        for (given, expected) in [
            (&[ASKED][..], "needs `tls.cert`"),
            (&[CA], "needs `tls.cert`"),
            (&[PAIR[0], PAIR[1], ASKED], "needs `tls.client_ca`"),
            (&[PAIR[0], PAIR[1], CA], "no effect"),
            (&[PAIR[0], PAIR[1], rule], "`mtls.map`"),
            (&[PAIR[0], PAIR[1], CA, ASKED, ("MTLS_MAP", "x=tenant:a")], "`mtls.map`"),
        ] {
            let error = with(given).err().unwrap_or_default();
            assert!(error.contains(expected), "{given:?}: {error}");
        }
    }

    const BASE: [(&str, &str); 3] =
        [("ISSUER", "https://idp"), ("AUDIENCE", "a;b"), ("JWKS_URL", "https://idp/keys")];

    #[test]
    fn what_is_given_arrives() {
        assert!(with(&[]).unwrap().is_none());
        let jwt = with(&BASE).unwrap().unwrap();
        assert_eq!(jwt.audience, ["a", "b"]);
        assert_eq!((jwt.leeway, jwt.refresh), (Duration::from_mins(1), Duration::from_mins(10)));
        assert!(jwt.algorithms.contains(&Algorithm::RS256) && jwt.operator_role.is_none());
        let more =
            [("ALGORITHMS", "ES256"), ("ROLES", "a=application;x=y=tenant-admin"), ("CLAIMS", "g")];
        let jwt = with(&[&BASE[..], &more].concat()).unwrap().unwrap();
        assert_eq!(jwt.algorithms, [Algorithm::ES256]);
        let roles = [("a", "application"), ("x=y", "tenant-admin")];
        assert_eq!(jwt.roles, roles.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(jwt.claims.unwrap(), ["g"]);
    }

    #[test]
    fn what_does_not_go_together_stops_the_start() {
        for (given, expected) in [
            (&[("ISSUER", "i")][..], "needs `jwt.audience`"),
            (&[("AUDIENCE", "a")], "needs `jwt.issuer`"),
            (&BASE[..2], "needs `jwt.jwks_url` or `jwt.jwks_file`"),
            (&[BASE[0], BASE[1], BASE[2], ("JWKS_FILE", "f")], "keep one"),
            (&[BASE[0], BASE[1], ("JWKS_URL", "http://idp/keys")], "must be an `https://` URL"),
            (&[BASE[0], BASE[1], BASE[2], ("ROLES", "a=operator")], "`jwt.operator_role`"),
            (&[BASE[0], BASE[1], BASE[2], ("ROLES", "a")], "`jwt.roles`"),
            (&[BASE[0], BASE[1], BASE[2], ("ROLES", "a=B c")], "`jwt.roles`"),
            (&[BASE[0], BASE[1], BASE[2], ("LEEWAY", "500ms")], "whole seconds"),
            (&[BASE[0], BASE[1], BASE[2], ("MAX_STALE", "1m")], "`jwt.refresh`"),
            (&[("ALGORITHMS", "HS256")], "must be a list"),
            (&[("ALGORITHMS", "none")], "must be a list"),
        ] {
            let error = with(given).err().unwrap_or_default();
            assert!(error.contains(expected), "{given:?}: {error}");
        }
    }
}
