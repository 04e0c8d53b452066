//! `keyward dev`: a server to try things on, with a tenant, keys, a policy and tokens.

mod env_file;
mod examples;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use keyward_crypto::Algorithm;
use keyward_keyring::{KeyName, KeyringError, TenantName};
use keyward_policy_host::Caller;

use self::env_file::EnvFile;
use crate::app::{App, StartError};
use crate::config::Config;
use crate::errors::Code;
use crate::http::Problem;
use crate::net::Drained;
use crate::operator;
use crate::server::{self, Bound, ServeError};
use crate::startup::{self, Trouble};
use crate::tokens::{NewToken, Reach, TokenError};

const TENANT: &str = "demo";
/// The key for plain encrypt and decrypt.
const KEY: &str = "demo";
/// The keys, and what the `fields` policy needs.
const KEYS: &[(&str, Algorithm)] = &[
    (KEY, Algorithm::XAes256Gcm),
    ("fields", Algorithm::XAes256Gcm),
    ("fields-deterministic", Algorithm::Aes256Siv),
];
/// Who made the keys and activated the policy: a policy of the user's own is left alone.
const ACTIVATED_BY: &str = "keyward dev";
const POLICY_FILE: &str = "fields.wasm";

/// Why `keyward dev` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// It could not listen.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The application could not be built.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Tenant or keys could not be created.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A token could not be minted or checked.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is no policy to activate.
    #[error(
        "there is no policy at {}; build it with `cargo xtask policies`, or say where it is with \
         --policies DIR", path.display()
    )]
    NoPolicy {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The policy was not admitted.
    #[error("the policy {} cannot be used: {reason}", path.display())]
    BadPolicy {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Sets up what is missing, writes dev.env, prints the examples, serves. With a Vault it serves
/// first, and does the rest once Vault answers.
pub async fn run(mut config: Config, bound: Bound) -> Result<Drained, DevError> {
    // What is built a minute ago is tried, and nobody has signed it.
    config.policy.allow_unsigned.get_or_insert(true);
    let data_dir = config.data_dir.clone();
    let policies_dir = config.policies_dir.clone();
    let app = server::build(config).await?;
    let url = bound.url();
    let Some(vault) = app.backend.vault() else {
        prepare(&app, &data_dir, policies_dir, url).await?;
        return Ok(bound.serve(Arc::clone(&app), async {}).await?);
    };
    let starting = startup::run(&app, vault, async |app| {
        let prepared = prepare(app, &data_dir, policies_dir.clone(), url.clone()).await;
        prepared.map_err(|error| match error {
            DevError::Keyring(error) => error.into(),
            DevError::Token(TokenError::Store(error)) => error.into(),
            error => Trouble::Other(error.to_string()),
        })
    });
    Ok(Box::pin(bound.serve(Arc::clone(&app), starting)).await?)
}

/// Everything there is to try things with.
async fn prepare(
    app: &Arc<App>,
    data_dir: &Path,
    policies_dir: Option<PathBuf>,
    url: String,
) -> Result<(), DevError> {
    let tenant = set_up(app).await?;
    activate_policy(app, &tenant, policies_dir).await?;
    let env_path = data_dir.join("dev.env");
    let env = tokens(app, &tenant, &env_path, url).await?;
    let examples = examples::make(app, &env).await;
    println!("Keyward listens on {}", env.addr);
    println!("Address and tokens are in {}", absolute(&env_path).display());
    println!("\nPaste these into another shell:\n\n{examples}");
    Ok(())
}

/// Tenant and keys.
async fn set_up(app: &App) -> Result<TenantName, KeyringError> {
    let tenant = TenantName::from_str(TENANT)?;
    match app.keyring.create_tenant(&tenant).await {
        Ok(()) | Err(KeyringError::TenantExists { .. }) => {}
        Err(error) => return Err(error),
    }
    for (name, algorithm) in KEYS {
        let name = KeyName::from_str(name)?;
        match app
            .keyring
            .create_key(&tenant, &name, *algorithm, BTreeMap::new(), ACTIVATED_BY)
            .await
        {
            Ok(_) | Err(KeyringError::KeyExists { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tenant)
}

/// Activates the built policy, unless the tenant has one of the user's own.
async fn activate_policy(
    app: &App,
    tenant: &TenantName,
    dir: Option<PathBuf>,
) -> Result<(), DevError> {
    let current = app.policies.active(tenant);
    let keeps_own = match &current {
        Ok(active) => active.record.activated_by != ACTIVATED_BY,
        Err(problem) => problem.code == Code::PolicyUnusable,
    };
    let path = policies_dir(dir.as_deref()).join(POLICY_FILE);
    if keeps_own {
        return Ok(());
    }
    let wasm = match std::fs::read(&path) {
        Ok(wasm) => wasm,
        // It was built before; the one active then still is.
        Err(_) if current.is_ok() => return Ok(()),
        Err(_) => return Err(DevError::NoPolicy { path }),
    };
    let digest = format!("sha256:{}", hex::encode(keyward_crypto::sha256(&wasm)));
    if current.is_ok_and(|active| active.record.digest == digest) {
        return Ok(());
    }
    let wasm = bytes::Bytes::from(wasm);
    let put = || app.policies.put(tenant, wasm.clone(), Vec::new(), ACTIVATED_BY);
    let mut activated = put().await;
    if activated.as_ref().is_err_and(|problem| problem.code == Code::PoliciesTooMany) {
        activated = match make_room(app, tenant).await {
            Ok(()) => put().await,
            Err(problem) => Err(problem),
        };
    }
    let bad = |Problem { detail, .. }| DevError::BadPolicy { path, reason: detail.into_owned() };
    activated.map(drop).map_err(bad)
}

/// Deletes the oldest of the policies that were activated here and are not needed any more, for
/// each build of the examples makes another one.
async fn make_room(app: &App, tenant: &TenantName) -> Result<(), Problem> {
    let (mut kept, _) = app.policies.page_of_kept(tenant, None, usize::MAX).await?;
    let record = app.policies.record(tenant).await?;
    kept.retain(|kept| {
        let is_needed = record.as_ref().is_some_and(|record| record.needs(&kept.digest));
        kept.pushed_by == ACTIVATED_BY && !is_needed
    });
    let oldest = kept.iter().min_by_key(|kept| kept.pushed_at);
    if let Some(digest) = oldest.and_then(|kept| kept.digest.parse().ok()) {
        app.policies.delete(tenant, &digest).await?;
    }
    Ok(())
}

/// Where policies are found: where it is said, else beside the executable's directory.
pub(crate) fn policies_dir(said: Option<&Path>) -> PathBuf {
    said.map(Path::to_owned).or_else(beside_executable).unwrap_or_default()
}

/// `target/policies` for `target/debug/keyward`.
fn beside_executable() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    Some(executable.parent()?.parent()?.join("policies"))
}

/// The tokens of dev.env if they are still good, else new ones.
async fn tokens(
    app: &App,
    tenant: &TenantName,
    path: &Path,
    addr: String,
) -> Result<EnvFile, DevError> {
    let before = EnvFile::read(path);
    let kept = before.unwrap_or_default();
    let for_tenant = Reach::Tenant(tenant.clone());
    let application =
        Caller { subject: "dev".into(), roles: vec!["application".into()], claims: Vec::new() };
    let env = EnvFile {
        addr,
        token: keep_or_mint(app, kept.token, for_tenant, application).await?,
        operator_token: keep_or_mint(app, kept.operator_token, Reach::Operator, operator::caller())
            .await?,
    };
    env.write(path).map_err(|error| DevError::File { path: path.to_owned(), error })?;
    Ok(env)
}

async fn keep_or_mint(
    app: &App,
    kept: String,
    reach: Reach,
    caller: Caller,
) -> Result<String, TokenError> {
    match app.tokens.verify(&kept).await {
        Ok(Some(credential)) if credential.reach == reach => return Ok(kept),
        Ok(_) | Err(TokenError::Expired) => {}
        Err(error) => return Err(error),
    }
    let (token, _) = app.tokens.mint(NewToken::of(reach, caller)).await?;
    Ok(token.expose().to_owned())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
