//! Who is calling, and whether for this tenant.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::RawPathParams;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use keyward_keyring::TenantName;

use super::{Params, Problem, incoming, param, params};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::jwt::JwtError;
use crate::mtls::CertificateError;
use crate::tokens::scope::{Kind, Missing};
use crate::tokens::{Credential, PREFIX, Reach, TENANT_ADMIN, TokenError};

/// The credential of a request, if what the request asks for is in its scope.
pub async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Arc<Credential>, Problem> {
    let credential = presented(app, headers).await?;
    audit::by(&credential);
    app.limits.admit(&credential)?;
    if credential.scope.bounds(Kind::Operations) {
        credential.scope.check(Kind::Operations, &incoming::operation())?;
    }
    Ok(credential)
}

async fn presented(app: &App, headers: &HeaderMap) -> Result<Arc<Credential>, Problem> {
    let unauthenticated = |detail| Problem::new(Code::Unauthenticated, detail);
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        if let Some(certificate) = incoming::certificate() {
            return certificate.credential().map_err(|error| {
                let code = match error {
                    CertificateError::Unknown => Code::Unauthenticated,
                    CertificateError::Expired => Code::TokenExpired,
                };
                Problem::new(code, error.to_string())
            });
        }
        return Err(unauthenticated("send `Authorization: Bearer` and a Keyward token (kw_…)"));
    };
    let token = value.to_str().ok().and_then(bearer);
    let (Some(token), None) = (token, given.next()) else {
        return Err(unauthenticated("the Authorization header is not one `Bearer` and a token"));
    };
    if !token.starts_with(PREFIX)
        && let Some(jwt) = &app.jwt
    {
        return jwt.verify(token).await.map_err(|error| {
            let code = match error {
                JwtError::Unavailable => Code::IdentityUnavailable,
                JwtError::Expired => Code::TokenExpired,
                JwtError::Refused(_) => Code::Unauthenticated,
            };
            Problem::new(code, error.to_string())
        });
    }
    match app.tokens.verify(token).await {
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err(unauthenticated("the token is malformed or not known here")),
        Err(TokenError::Expired) => Err(Problem::new(
            Code::TokenExpired,
            "the token has expired; a tenant-admin or operator makes another one",
        )),
        Err(TokenError::Store(error)) => Err(Problem::store(&error)),
        Err(error) => Err(Problem::internal(error)),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// A request that passed: the path's parameters, who asks, and of which tenant.
pub struct Access {
    /// The path's parameters.
    pub path: RawPathParams,
    /// Who asks.
    pub credential: Arc<Credential>,
    /// The tenant in the path.
    pub tenant: TenantName,
}

impl Access {
    /// To read what a tenant has; see [`for_reading`].
    pub async fn reading(app: &App, path: Params, headers: &HeaderMap) -> Result<Self, Problem> {
        let path = params(path)?;
        let credential = authenticate(app, headers).await?;
        let tenant = for_reading(app, &credential, param(&path, "tenant")?).await?;
        Ok(Self { path, credential, tenant })
    }

    /// To change what a tenant has; see [`for_managing`].
    pub async fn managing(app: &App, path: Params, headers: &HeaderMap) -> Result<Self, Problem> {
        let path = params(path)?;
        let credential = authenticate(app, headers).await?;
        let tenant = for_managing(app, &credential, param(&path, "tenant")?).await?;
        Ok(Self { path, credential, tenant })
    }

    /// To encrypt, decrypt and invoke; see [`for_data`].
    pub async fn data(app: &App, path: Params, headers: &HeaderMap) -> Result<Self, Problem> {
        let path = params(path)?;
        let credential = authenticate(app, headers).await?;
        let tenant = for_data(&credential, param(&path, "tenant")?)?;
        app.limits.turn().await?;
        Ok(Self { path, credential, tenant })
    }
}

/// For encrypt, decrypt and invoke: the tenant's own credentials, never an operator's.
fn for_data(credential: &Credential, tenant: &str) -> Result<TenantName, Problem> {
    note(tenant);
    match &credential.reach {
        Reach::Operator => Err(Problem::new(
            Code::Forbidden,
            "operators manage and never encrypt or decrypt; use a token of the tenant",
        )),
        Reach::Tenant(own) => own_tenant(own, tenant),
    }
}

/// For reading what a tenant has: any credential of the tenant, or an operator's.
async fn for_reading(
    app: &App,
    credential: &Credential,
    tenant: &str,
) -> Result<TenantName, Problem> {
    note(tenant);
    match &credential.reach {
        Reach::Operator => existing(app, credential, tenant).await,
        Reach::Tenant(own) => own_tenant(own, tenant),
    }
}

/// For changing what a tenant has: its tenant-admins and operators.
async fn for_managing(
    app: &App,
    credential: &Credential,
    tenant: &str,
) -> Result<TenantName, Problem> {
    let name = for_reading(app, credential, tenant).await?;
    if credential.reach == Reach::Operator {
        return Ok(name);
    }
    if !credential.has_role(TENANT_ADMIN) {
        let detail = "this takes the role tenant-admin, or an operator";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    // A JWT or a certificate may speak for a tenant that is not there, or not yet: nothing is to be
    // left below its name for whoever gets it.
    known(app, name).await
}

/// For what concerns all tenants: operators.
pub fn for_operators(credential: &Credential) -> Result<(), Problem> {
    match credential.reach {
        Reach::Operator => Ok(()),
        Reach::Tenant(_) => Err(Problem::new(Code::Forbidden, "this takes an operator's token")),
    }
}

/// For what concerns all tenants at once: operators who are not limited to some.
pub fn for_all_tenants(credential: &Credential) -> Result<(), Problem> {
    for_operators(credential)?;
    if credential.scope.bounds(Kind::Tenants) {
        return Err(Missing { kind: Kind::Tenants, wanted: "*".into() }.into());
    }
    Ok(())
}

/// Who asks, for what concerns all tenants at once.
pub async fn operating(app: &App, headers: &HeaderMap) -> Result<Arc<Credential>, Problem> {
    let credential = authenticate(app, headers).await?;
    for_all_tenants(&credential)?;
    Ok(credential)
}

/// What a tenant may be called is noted in the request's entry, however the path writes it.
fn note(tenant: &str) {
    if TenantName::from_str(tenant).is_ok() {
        audit::about(tenant);
    }
}

/// The same answer whether the other tenant exists or not.
fn own_tenant(own: &TenantName, asked: &str) -> Result<TenantName, Problem> {
    if own.as_str() == asked {
        return Ok(own.clone());
    }
    Err(Problem::new(Code::Forbidden, "the token is not for this tenant"))
}

/// The tenant of this name, if there is one and the operator is not limited to others.
pub async fn existing(
    app: &App,
    operator: &Credential,
    tenant: &str,
) -> Result<TenantName, Problem> {
    let name = TenantName::from_str(tenant)?;
    audit::about(name.as_str());
    operator.scope.check(Kind::Tenants, name.as_str())?;
    known(app, name).await
}

async fn known(app: &App, name: TenantName) -> Result<TenantName, Problem> {
    if app.keyring.tenant_exists(&name).await? {
        return Ok(name);
    }
    let detail = format!("there is no tenant {name}; an operator creates it: POST /api/v1/tenants");
    Err(Problem::new(Code::TenantNotFound, detail))
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn the_scheme_ignores_case() {
        assert_eq!(bearer("Bearer kw_x"), Some("kw_x"));
        assert_eq!(bearer("bearer  kw_x "), Some("kw_x"));
        assert_eq!(bearer("Basic kw_x"), None);
        assert_eq!(bearer("kw_x"), None);
    }
}
