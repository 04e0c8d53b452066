//! The address, TLS, the clock, the Vault and the identity provider.

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use keyward_keyring::store::VaultStore;
use keyward_keyring::vault::Vault;

use super::Findings;
use crate::config::{Config, VaultSettings};
use crate::jwt::Jwt;
use crate::net::Tls;
use crate::policies::{Bucket, BucketSettings};

/// A certificate that ends sooner is worth a word.
const SOON: u64 = 30 * 86_400;
/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clocks further apart than this make tokens end early or late.
const APART: Duration = Duration::from_secs(5);

pub(super) async fn look(config: &Config, findings: &mut Findings) {
    address(config, findings);
    tls(config, findings);
    clock(config, findings).await;
    if let Some(settings) = &config.vault {
        vault(settings, findings).await;
    }
    if let Some(settings) = &config.policy.store {
        bucket(settings, findings).await;
    }
    if let Some(jwt) = &config.jwt {
        match tokio::time::timeout(PATIENCE, Jwt::try_source(jwt)).await {
            Ok(Ok(keys)) => {
                findings.ok("identity provider", format!("it has {keys} keys to verify with"));
            }
            Ok(Err(error)) => findings.failed(
                "identity provider",
                error,
                "`jwt.jwks_url` or `jwt.jwks_file` must lead to a JWKS that this machine can read",
            ),
            Err(_) => findings.failed(
                "identity provider",
                "it does not answer within 10 s",
                "check `jwt.jwks_url`, and what is between",
            ),
        }
    }
}

async fn bucket(settings: &BucketSettings, findings: &mut Findings) {
    let (check, url) = ("bucket", &settings.url);
    let asked = match Bucket::open(settings) {
        Ok(bucket) => tokio::time::timeout(PATIENCE, bucket.check()).await,
        Err(error) => Ok(Err(error)),
    };
    let fix = "check `policy.store.…`, the credentials (AWS_…), and that they allow s3:GetObject, \
               s3:PutObject, s3:DeleteObject and s3:ListBucket: docs/policies.md";
    match asked {
        Ok(Ok(())) => findings.ok(check, format!("{url} lets this server in")),
        Ok(Err(error)) => findings.failed(check, error, fix),
        Err(_) => findings.failed(check, format!("{url} does not answer within 10 s"), fix),
    }
}

fn address(config: &Config, findings: &mut Findings) {
    let (check, address) = ("address", config.listen);
    match TcpListener::bind(address) {
        Ok(_) => findings.ok(check, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            findings.warning(
                check,
                format!("something listens on {address}"),
                "nothing, if it is this server; else stop it, or set `listen`",
            );
        }
        Err(error) => findings.failed(
            check,
            format!("{address}: {error}"),
            "set `listen` to an address of this machine",
        ),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn tls(config: &Config, findings: &mut Findings) {
    let check = "TLS";
    let Some(files) = &config.tls else {
        return if config.listen.ip().is_loopback() {
            findings.ok(check, "none, and none is needed: only this machine can connect");
        } else {
            findings.warning(
                check,
                "none: `insecure_http` is set",
                "make sure that a proxy before it ends TLS, and that nobody else reaches it",
            );
        };
    };
    let key = files.key.display().to_string();
    if std::fs::metadata(&files.key).is_ok_and(|about| {
        std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o007 != 0
    }) {
        findings.warning(check, format!("everybody may read {key}"), format!("chmod 600 {key}"));
    }
    match Tls::load(files.clone()) {
        Err(error) => findings.failed(
            check,
            error.to_string(),
            "give `tls.cert`, `tls.key` and `tls.client_ca` PEM files that belong together",
        ),
        Ok(tls) => {
            let left = tls.statistics().expires.saturating_sub(now());
            let days = left / 86_400;
            let fix = "renew it and replace the files: they are read again by themselves";
            match left {
                0 => findings.failed(check, "the certificate has ended", fix),
                _ if left < SOON => {
                    findings.warning(check, format!("the certificate ends in {days} days"), fix);
                }
                _ => findings
                    .ok(check, format!("the certificate and its key fit, and end in {days} days")),
            }
        }
    }
}

/// Beside Vault's clock, else beside that of the hardware.
async fn clock(config: &Config, findings: &mut Findings) {
    let check = "clock";
    let other = match &config.vault {
        Some(settings) => {
            vaults_clock(&settings.access.address).await.map(|time| (time, "Vault's"))
        }
        None => None,
    };
    let Some((other, whose)) = other.or_else(|| Some((hardware_clock()?, "the hardware's"))) else {
        return findings.skipped(check, "there is none to compare it with");
    };
    let here = SystemTime::now();
    let apart = here.duration_since(other).or_else(|_| other.duration_since(here));
    let apart = apart.unwrap_or_default();
    if apart > APART {
        findings.warning(
            check,
            format!("it is {} s apart from {whose}", apart.as_secs()),
            "run an NTP client: `timedatectl set-ntp true`, or chronyd",
        );
    } else {
        findings.ok(check, format!("it goes with {whose}"));
    }
}

/// What a Vault says the time is. Nothing is believed of it but that, and nothing told.
async fn vaults_clock(address: &str) -> Option<SystemTime> {
    let client = reqwest::Client::builder()
        .tls_backend_rustls()
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(3))
        .build();
    let answer = client.ok()?.get(format!("{address}/v1/sys/health")).send().await.ok()?;
    httpdate::parse_http_date(answer.headers().get("date")?.to_str().ok()?).ok()
}

fn hardware_clock() -> Option<SystemTime> {
    let text = std::fs::read_to_string("/sys/class/rtc/rtc0/since_epoch").ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(text.trim().parse().ok()?))
}

async fn vault(settings: &VaultSettings, findings: &mut Findings) {
    let check = "Vault";
    let access = settings.access.clone();
    let vault = match Vault::start(access) {
        Ok(vault) => vault,
        Err(error) => {
            return findings.failed(
                check,
                error.to_string(),
                "set `vault.…` to what can be used: docs/operations.md",
            );
        }
    };
    if tokio::time::timeout(PATIENCE, vault.wait_ready()).await.is_err() {
        let status = vault.status();
        let why = status
            .last_error
            .map_or("it does not answer within 10 s".into(), |error| error.message);
        findings.failed(
            check,
            format!("{}: {why}", settings.access.address),
            "start or unseal it, and check `vault.addr` and the login: docs/operations.md, Setting Vault up",
        );
    } else {
        findings.ok(check, format!("{} lets this server in", settings.access.address));
        let store = VaultStore::new(vault.clone());
        match tokio::time::timeout(PATIENCE, store.check()).await {
            Ok(Ok(())) => findings
                .ok("Vault policy", "the mount is there, and everything that is needed is allowed"),
            // It says what to run.
            Ok(Err(error)) => findings.failed(
                "Vault policy",
                error.to_string(),
                format!("the policy that is needed:\n{}", store.policy_hcl()),
            ),
            Err(_) => findings.failed(
                "Vault policy",
                "no answer within 10 s",
                "check what Vault is busy with",
            ),
        }
    }
    vault.shutdown().await;
}
