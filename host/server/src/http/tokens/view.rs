//! A token as it is shown: never itself, but for the one time.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock;
use crate::http::openapi::schema;
use crate::tokens::scope::Kind;
use crate::tokens::{Details, Reach, Scope, Token};

/// All but the token itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(super) struct TokenView {
    #[schemars(with = "schema::TokenId")]
    id: String,
    /// Absent: an operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TenantName>")]
    tenant: Option<String>,
    #[schemars(with = "schema::Subject")]
    subject: String,
    roles: Vec<String>,
    #[schemars(with = "schema::Claims")]
    claims: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TokenName>")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Description>")]
    description: Option<String>,
    scope: ScopeView,
    #[schemars(with = "schema::Timestamp")]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// Absent: it does not end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    expires_at: Option<String>,
    /// Whether it has ended.
    expired: bool,
    /// To the minute. Absent: never, as far as was written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    last_used_at: Option<String>,
    /// The token that a rotation put in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TokenId>")]
    replaced_by: Option<String>,
}

/// What it may be used for; what is absent is not limited.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenScope")]
struct ScopeView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::OperationPattern>>")]
    operations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::KeyPattern>>")]
    keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::TenantPattern>>")]
    tenants: Option<Vec<String>>,
}

impl ScopeView {
    fn of(scope: &Scope) -> Self {
        Self {
            operations: scope.patterns(Kind::Operations),
            keys: scope.patterns(Kind::Keys),
            tenants: scope.patterns(Kind::Tenants),
        }
    }
}

impl TokenView {
    pub(super) fn of(details: Details) -> Self {
        let now = clock::unix_ms();
        Self {
            tenant: match details.reach {
                Reach::Operator => None,
                Reach::Tenant(tenant) => Some(tenant.to_string()),
            },
            subject: details.caller.subject,
            roles: details.caller.roles,
            claims: details.caller.claims.into_iter().collect(),
            name: details.name,
            description: details.description,
            scope: ScopeView::of(&details.scope),
            created_at: clock::rfc3339(details.created_at),
            created_by: details.created_by,
            expires_at: details.expires_at.map(clock::rfc3339),
            expired: details.expires_at.is_some_and(|at| at <= now),
            last_used_at: details.last_used_at.map(clock::rfc3339),
            replaced_by: details.replaced_by,
            id: details.id,
        }
    }
}

/// A new token, shown this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MintedToken")]
pub(super) struct MintedView<'a> {
    token: &'a str,
    #[serde(flatten)]
    about: TokenView,
}

impl<'a> MintedView<'a> {
    pub(super) fn of(token: &'a Token, details: Details) -> Self {
        Self { token: token.expose(), about: TokenView::of(details) }
    }
}
