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
    config.policy.pool_size = 4;
    config.policy.per_tenant = 4;
    config
}

/// An application without tenants, and its data directory.
pub async fn app() -> (Arc<App>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let app = App::build(config(dir.path())).await.unwrap();
    (app, dir)
}
