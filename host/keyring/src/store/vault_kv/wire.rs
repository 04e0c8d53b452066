//! One request to Vault and its answer, as bytes in memory that is wiped.
//!
//! The requests go through the client's pool and middleware like every other. Answers are not
//! parsed here: a parser that fails would put what it read, which may be a secret, into its error.

use rustify::Endpoint;
use rustify::enums::RequestMethod;
use rustify::errors::ClientError as RestError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use vaultrs::client::Client;
use vaultrs::error::ClientError;
use zeroize::Zeroizing;

use crate::vault::{Connection, Raw};

/// A request whose answer is taken as it comes.
pub(super) type Request = Raw<()>;

/// What Vault answered.
pub(super) enum Answer {
    /// Status 2xx.
    Ok(Zeroizing<Vec<u8>>),
    /// Status 404 from an engine: there is nothing, or the body says what became of it.
    NotFound(Zeroizing<Vec<u8>>),
    /// Status 400 to a `POST`: Vault understood the request and does not do it.
    Refused,
}

/// Sends the request. Every other outcome is an error, among them status 404 for a path that no
/// engine serves, and one that does not come from Vault.
pub(super) async fn send(connection: &Connection, request: Request) -> Result<Answer, ClientError> {
    let posts = matches!(request.method(), RequestMethod::POST);
    match request.with_middleware(connection.middle()).exec(connection.http()).await {
        Ok(result) => Ok(Answer::Ok(Zeroizing::new(result.response.into_body()))),
        Err(RestError::ServerResponseError { code, content: Some(content) }) => {
            match (code, said(&content)) {
                (404, Some(errors)) if errors.is_empty() => {
                    Ok(Answer::NotFound(Zeroizing::new(content.into_bytes())))
                }
                (400, Some(_)) if posts => Ok(Answer::Refused),
                _ => Err(RestError::ServerResponseError { code, content: Some(content) }.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Sends a question whose answer is of use but not needed. That Vault does not tell this token, or
/// that no engine serves the path, is an answer as well: [`Answer::Refused`].
pub(super) async fn ask(connection: &Connection, request: Request) -> Result<Answer, ClientError> {
    match send(connection, request).await {
        Err(ClientError::RestClientError {
            source: RestError::ServerResponseError { code: 400 | 403..=405, content: Some(content) },
        }) if said(&content).is_some() => Ok(Answer::Refused),
        answer => answer,
    }
}

/// What Vault says went wrong, which is nothing when there is just nothing to be found; `None` when
/// the body is not one that Vault sends.
fn said(body: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Said {
        errors: Option<Vec<String>>,
        data: Option<IgnoredAny>,
    }
    let said: Said = serde_json::from_str(body).ok()?;
    said.errors.or_else(|| said.data.map(|_| Vec::new()))
}

/// The `data` of an answer; `None` when it is not what is expected. What was found instead is not
/// told: it may be a secret.
pub(super) fn data<'a, D: Deserialize<'a>>(body: &'a [u8]) -> Option<D> {
    #[derive(Deserialize)]
    struct Outer<D> {
        data: D,
    }
    serde_json::from_slice(body).ok().map(|outer: Outer<D>| outer.data)
}
