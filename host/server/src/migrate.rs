//! `keyward vault migrate`: brings all stored key material into one form.

use std::process::ExitCode;

use clap::ValueEnum;
use keyward_keyring::store::{StoreError, VaultStore, Wrap};
use keyward_keyring::vault::{Vault, VaultError};

use crate::config::Config;

/// The form to bring key material into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Wrapped by the Transit key `vault.transit_key` names.
    Transit,
    /// As Vault's KV engine alone protects it.
    Plain,
}

/// Why nothing, or not all, was migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// There is no Vault.
    #[error("`vault.addr` is not set, so the keys are in the embedded store: nothing to migrate")]
    NoVault,
    /// The Transit key is not known.
    #[error("`vault.transit_key` is not set; both directions need it")]
    NoTransitKey,
    /// The access to Vault cannot be set up.
    #[error("`vault.…`: {0}")]
    Setup(VaultError),
    /// Vault does not answer, or does not let this process in.
    #[error("Vault cannot be used: {0}; nothing was changed")]
    NotReady(String),
    /// Vault failed in between.
    #[error("{0}; what was rewritten stays so: run the same command again for the rest")]
    Store(#[from] StoreError),
    /// Some records could not be rewritten.
    #[error("{0} records were left as they are; see above, and run the same command again")]
    Incomplete(usize),
}

/// Rewrites all key material; prints what it did.
pub async fn run(config: Config, form: Form) -> Result<ExitCode, MigrateError> {
    let settings = config.vault.ok_or(MigrateError::NoVault)?;
    if settings.access.transit_key.is_none() {
        return Err(MigrateError::NoTransitKey);
    }
    let timeout = settings.access.timeout;
    let vault = Vault::start(settings.access).map_err(MigrateError::Setup)?;
    let migrated = async {
        if tokio::time::timeout(timeout, vault.wait_ready()).await.is_err() {
            let error = vault.status().last_error;
            let reason = error.map_or("it does not answer".into(), |error| error.message);
            return Err(MigrateError::NotReady(reason));
        }
        let wrap = match form {
            Form::Transit => Wrap::Transit,
            Form::Plain => Wrap::Plain,
        };
        let store = VaultStore::new(vault.clone());
        store.check().await.map_err(|error| MigrateError::NotReady(error.to_string()))?;
        Ok(store.migrate(wrap).await?)
    };
    let migrated = migrated.await;
    vault.shutdown().await;
    let migration = migrated?;
    println!("{migration}");
    for (path, error) in &migration.failed {
        eprintln!("keyward: {path}: {error}");
    }
    match migration.failed.len() {
        0 => Ok(ExitCode::SUCCESS),
        left => Err(MigrateError::Incomplete(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test(flavor = "multi_thread")]
    async fn stored_material_is_wrapped_and_unwrapped() {
        let server = keyward_test_vault::Vault::start(keyward_test_vault::Options::default());
        let root = server.root();
        root.mount_kv2("secret");
        root.post("sys/mounts/transit", &serde_json::json!({ "type": "transit" })).ok();
        root.post("transit/keys/keyward", &serde_json::json!({})).ok();
        let dir = tempfile::tempdir().unwrap();
        let config =
            |more| testing::vault_config(dir.path(), &server.address, &server.root_token, more);
        let app = testing::start(config(&[])).await;
        testing::eventually("a start", async || app.readiness.waiting().is_none().then_some(()))
            .await;
        let (tenant, key) = ("acme".parse().unwrap(), "orders".parse().unwrap());
        app.keyring.create_tenant(&tenant).await.unwrap();
        let algorithm = keyward_crypto::Algorithm::default();
        let attributes = std::collections::BTreeMap::new();
        app.keyring.create_key(&tenant, &key, algorithm, attributes, "test").await.unwrap();
        let wrapped = || {
            let secret = root.get("secret/data/e2ee/tenants/acme/keys/orders/versions/1").ok();
            secret["data"]["data"].get("transit").is_some()
        };
        let error = run(config(&[]), Form::Transit).await.unwrap_err();
        assert!(matches!(error, MigrateError::NoTransitKey) && !wrapped());
        let with_key = [("E2EE_VAULT_TRANSIT_KEY", "keyward")];
        run(config(&with_key), Form::Transit).await.unwrap();
        assert!(wrapped());
        run(config(&with_key), Form::Plain).await.unwrap();
        assert!(!wrapped());
    }

    #[tokio::test]
    async fn without_a_vault_there_is_nothing_to_migrate() {
        let dir = tempfile::tempdir().unwrap();
        let error = run(testing::config(dir.path()), Form::Transit).await.unwrap_err();
        assert!(matches!(error, MigrateError::NoVault));
    }
}
