//! One request to any path of Vault's API, for what vaultrs has no function for, and for values
//! that must not pass through its types.

use std::marker::PhantomData;

use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::VaultError;

/// A request whose answer is read as `R`. Run it with the functions of `vaultrs::api`:
/// `exec_with_result` when `R` is what is inside `data`, `exec_with_no_result` when `R` is the
/// whole answer, `exec_with_empty` when nothing of the answer matters.
pub(crate) struct Raw<R> {
    method: RequestMethod,
    path: String,
    query: Option<String>,
    body: Option<Zeroizing<Vec<u8>>>,
    response: PhantomData<fn() -> R>,
}

impl<R> Raw<R> {
    /// `path` is relative to `/v1/` and has no slash at its beginning.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::GET, path.into())
    }

    /// As [`Raw::get`], with Vault's method `LIST`.
    pub(crate) fn list(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::LIST, path.into())
    }

    /// As [`Raw::get`], with the method `DELETE`.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::DELETE, path.into())
    }

    /// As [`Raw::get`], with the method `POST` and `body` as JSON.
    pub(crate) fn post(path: impl Into<String>, body: &impl Serialize) -> Result<Self, VaultError> {
        let path = path.into();
        let Ok(body) = serde_json::to_vec(body) else {
            return Err(VaultError::Malformed { path, reason: "it cannot be written as JSON" });
        };
        let mut request = Self::new(RequestMethod::POST, path);
        request.body = Some(Zeroizing::new(body));
        Ok(request)
    }

    /// As [`Raw::get`], with the method `POST` and a body that is JSON already.
    pub(crate) fn post_json(path: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { body: Some(body), ..Self::new(RequestMethod::POST, path.into()) }
    }

    /// The same with a query, already encoded.
    pub(crate) fn with_query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }

    fn new(method: RequestMethod, path: String) -> Self {
        Self { method, path, query: None, body: None, response: PhantomData }
    }
}

/// A call is tried again with the same request.
impl<R> Clone for Raw<R> {
    fn clone(&self) -> Self {
        Self {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            body: self.body.clone(),
            response: PhantomData,
        }
    }
}

impl<R: DeserializeOwned + Send + Sync> Endpoint for Raw<R> {
    type Response = R;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.to_vec()))
    }
}
