//! The first operator token of a new server.

use std::path::{Path, PathBuf};

use keyward_policy_host::Caller;

use crate::app::App;
use crate::files;
use crate::tokens::{NewToken, OPERATOR, Reach, Token, TokenError};

/// Why there is no operator token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// It could not be stored.
    #[error("the first operator token cannot be stored: {0}")]
    Token(#[from] TokenError),
    /// Its file could not be written.
    #[error("cannot write the operator token to {}: {error}", path.display())]
    File {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// What a policy or a log sees of an operator.
pub fn caller() -> Caller {
    Caller { subject: OPERATOR.into(), roles: vec![OPERATOR.into()], claims: Vec::new() }
}

/// Mints the first operator token into `operator.token` of the data directory, mode 0600; gives
/// the file's path. `None` if there was an operator token before.
pub async fn ensure(app: &App, data_dir: &Path) -> Result<Option<PathBuf>, OperatorError> {
    if app.tokens.has_operator().await? {
        return Ok(None);
    }
    let token = Token::generate().map_err(|_| TokenError::Random)?;
    let path = data_dir.join("operator.token");
    // The file first: a crash in between leaves a token that is not valid, and the next start
    // replaces it. The other way round a valid token would be lost.
    files::write_atomic(&path, format!("{}\n", token.expose()).as_bytes(), 0o600)
        .map_err(|error| OperatorError::File { path: path.clone(), error })?;
    app.tokens.enrol(&token, NewToken::of(Reach::Operator, caller())).await?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn the_first_start_mints_one_token_and_later_ones_none() {
        let (app, dir) = testing::app().await;
        let path = ensure(&app, dir.path()).await.unwrap().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = std::fs::read_to_string(&path).unwrap();
        let credential = app.tokens.verify(token.trim()).await.unwrap().unwrap();
        assert_eq!(credential.reach, Reach::Operator);
        assert_eq!(ensure(&app, dir.path()).await.unwrap(), None);
    }
}
