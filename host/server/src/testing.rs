//! What the unit tests share.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::app::App;
use crate::config::{Config, DATA_DIR, Values};

/// A configuration with its data in `dir` and a small pool.
pub fn config(dir: &Path) -> Config {
    let mut values = Values::new();
    values.set_flag(&DATA_DIR, "--data", dir.to_str().unwrap().to_owned()).unwrap();
    let mut config = Config::build(&values).unwrap();
    config.policy.allow_unsigned = Some(true);
    config.policy.pool_size = 4;
    config.policy.per_tenant = 4;
    config
}

/// The same with the keys in this Vault, checked often, and these variables besides.
pub fn vault_config(dir: &Path, address: &str, token: &str, more: &[(&str, &str)]) -> Config {
    let mut values = Values::new();
    values.set_flag(&DATA_DIR, "--data", dir.to_str().unwrap().to_owned()).unwrap();
    let base = [
        ("E2EE_VAULT_ADDR", address),
        ("E2EE_VAULT_TOKEN", token),
        ("E2EE_VAULT_HEALTH_PERIOD", "300ms"),
        ("E2EE_VAULT_TIMEOUT", "3s"),
        ("E2EE_VAULT_POLL", "50ms"),
    ];
    let get = |name: &str| {
        let found = more.iter().chain(&base).find(|(key, _)| *key == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    values.read_environment(get).unwrap();
    let mut config = Config::build(&values).unwrap();
    config.policy.allow_unsigned = Some(true);
    config.policy.pool_size = 4;
    config.policy.per_tenant = 4;
    config
}

/// Builds the application and gets it ready beside the caller.
pub async fn start(config: Config) -> Arc<App> {
    let app = App::build(config).await.unwrap();
    let starting = Arc::clone(&app);
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let vault = starting.backend.vault().unwrap();
            crate::startup::run(&starting, vault, async |_| Ok(())).await;
        });
    });
    app
}

/// Waits until `found` gives something; fails after ten seconds.
pub async fn eventually<T>(what: &str, found: impl AsyncFn() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{what}: not in time");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// An application without tenants, and its data directory.
pub async fn app() -> (Arc<App>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let app = App::build(config(dir.path())).await.unwrap();
    (app, dir)
}
