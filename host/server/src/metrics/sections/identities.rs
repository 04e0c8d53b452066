//! Figures of certificates and of the identity provider's keys.

use super::super::page::Page;
use super::{label, number};
use crate::jwt::Statistics;
use crate::net::TlsStatistics;

pub(in super::super) fn jwt(page: &mut Page, jwt: &Statistics) {
    page.gauge(
        "keyward_jwt_keys",
        "Keys of the identity provider in use; 0: no JWT is taken",
        Some(number(jwt.keys as u64)),
    );
    page.gauge(
        "keyward_jwt_keys_age_seconds",
        "Time since they were last fetched",
        jwt.age.map(|age| age.as_secs_f64()),
    );
    let fetches = [("ok", jwt.fetched), ("failed", jwt.failed)];
    page.counters(
        "keyward_jwt_keys_fetches",
        "Fetches of the identity provider's keys, by result",
        fetches.map(|(result, count)| (label("result", result), count)),
    );
}

pub(in super::super) fn tls(page: &mut Page, tls: &TlsStatistics) {
    page.gauge(
        "keyward_tls_certificate_expires_seconds",
        "When the certificate that is served ends, in seconds since 1970",
        Some(number(tls.expires)),
    );
    let reloads = [("ok", tls.reloaded), ("failed", tls.failed)];
    page.counters(
        "keyward_tls_reloads",
        "Times that certificate, key and authorities were read anew, by result",
        reloads.map(|(result, count)| (label("result", result), count)),
    );
}
