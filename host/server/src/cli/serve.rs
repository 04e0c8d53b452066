//! `keyward serve`: listen, get ready, serve.

use std::path::Path;
use std::sync::Arc;

use crate::app::{App, StartError};
use crate::config::Config;
use crate::net::Drained;
use crate::operator;
use crate::operator::OperatorError;
use crate::server::{self, Bound, ServeError};
use crate::startup::{self, Trouble};
use crate::tokens::TokenError;

/// Why `keyward serve` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not listen.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The application could not be built.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no operator token.
    #[error(transparent)]
    Operator(#[from] OperatorError),
}

/// Serves until a signal ends it.
pub async fn serve(config: Config, bound: Bound) -> Result<Drained, RunError> {
    let data_dir = config.data_dir.clone();
    let app = server::build(config).await?;
    let Some(vault) = app.backend.vault() else {
        first_operator(&app, &data_dir).await?;
        return Ok(bound.serve(Arc::clone(&app), async {}).await?);
    };
    let starting = startup::run(&app, vault, async |app| {
        let ensured = first_operator(app, &data_dir).await;
        ensured.map_err(|error| match error {
            OperatorError::Token(TokenError::Store(error)) => error.into(),
            error => Trouble::Other(error.to_string()),
        })
    });
    Ok(bound.serve(Arc::clone(&app), starting).await?)
}

async fn first_operator(app: &App, data_dir: &Path) -> Result<(), OperatorError> {
    if let Some(path) = operator::ensure(app, data_dir).await? {
        eprintln!(
            "keyward: first start: the operator's token is in {}; keep it safe",
            path.display()
        );
    }
    Ok(())
}
