//! What the credential of a request is held against beside its headers: what is asked for, and the
//! certificate of the connection.
//!
//! It travels with the task that handles the request, not in arguments, as the audit entry does:
//! whatever asks for a credential has it checked against the same.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use axum::http::{Method, Request, Uri};

use crate::audit::Operation;
use crate::mtls::ClientCertificate;

tokio::task_local! {
    static INCOMING: Incoming;
}

/// What came with a request.
pub struct Incoming {
    method: Method,
    uri: Uri,
    certificate: Option<Arc<ClientCertificate>>,
}

impl Incoming {
    /// Of a request that has just arrived.
    pub fn of<B>(request: &Request<B>) -> Self {
        let certificate = request.extensions().get::<Arc<ClientCertificate>>().cloned();
        Self { method: request.method().clone(), uri: request.uri().clone(), certificate }
    }

    /// Runs `work`, which finds it by the functions of this module.
    pub fn within<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        INCOMING.scope(self, work)
    }
}

/// The operation asked for, by the name that the audit log has for it; `unknown` where there is
/// no request, so that nothing is in scope by accident.
pub fn operation() -> Cow<'static, str> {
    let name = |it: &Incoming| Operation::of(&it.method, it.uri.path()).name;
    INCOMING.try_with(name).unwrap_or(Cow::Borrowed(crate::audit::UNKNOWN))
}

/// The certificate of the connection, if the client showed one.
pub fn certificate() -> Option<Arc<ClientCertificate>> {
    INCOMING.try_with(|it| it.certificate.clone()).ok().flatten()
}
