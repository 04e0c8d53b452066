//! State, figures, and what an operator may do about them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::vault::State as VaultState;
use schemars::JsonSchema;
use serde::Serialize;

use super::operator;
use super::views::{
    CacheView, HealthView, MetricsView, MonitoringView, TokenView, setting, unix_seconds,
};
use crate::app::App;
use crate::errors::Code;
use crate::http::openapi::schema;
use crate::http::{Problem, output};

const FEATURES: [&str; 4] =
    ["key_management", "health_monitoring", "performance_caching", "metrics_collection"];
/// What a Vault adds.
const TOKEN_RENEWAL: &str = "token_renewal";

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedHealth")]
pub(super) struct Health {
    vault_health: HealthView,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `GET /api/v1/vault/health`: 503 when sealed or unhealthy, with the same body.
pub async fn health(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    operator(&app, request.headers()).await?;
    let seen = app.health.check(&app.backend, &app.keyring).await;
    let status = match seen.state {
        VaultState::Unhealthy | VaultState::Sealed => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    output::json(status, &Health { vault_health: HealthView::of(&seen), timestamp: unix_seconds() })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedMetrics")]
pub(super) struct Figures {
    vault_metrics: MetricsView,
    cache_metrics: CacheView,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `GET /api/v1/vault/metrics`.
pub async fn metrics(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    operator(&app, request.headers()).await?;
    let seen = app.health.last(&app.backend, &app.keyring).await;
    let view = Figures {
        vault_metrics: MetricsView::of(&seen),
        cache_metrics: CacheView::of(&app.keyring.cache_statistics()),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedStatus")]
pub(super) struct Status {
    integration: &'static str,
    version: &'static str,
    features: Vec<&'static str>,
    health: HealthView,
    cache: Cache,
    monitoring: MonitoringView,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CacheStatus")]
struct Cache {
    enabled: bool,
    ttl: String,
    stats: CacheView,
}

/// `GET /api/v1/vault/status`.
pub async fn status(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    operator(&app, request.headers()).await?;
    let seen = app.health.last(&app.backend, &app.keyring).await;
    let statistics = app.keyring.cache_statistics();
    let with_vault = app.backend.vault().map(|_| TOKEN_RENEWAL);
    let view = Status {
        integration: if with_vault.is_some() { "hashicorp_vault" } else { "embedded" },
        version: env!("CARGO_PKG_VERSION"),
        features: FEATURES.into_iter().chain(with_vault).collect(),
        health: HealthView::of(&seen),
        cache: Cache {
            enabled: true,
            ttl: setting(statistics.ttl),
            stats: CacheView::of(&statistics),
        },
        monitoring: MonitoringView::of(&seen),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CacheCleared")]
pub(super) struct Emptied {
    message: &'static str,
    cleared_stats: CacheView,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `POST /api/v1/vault/cache/clear`: every cached key and token leaves memory.
pub async fn clear_cache(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let credential = operator(&app, request.headers()).await?;
    let cleared = app.keyring.clear_cache().await;
    app.tokens.forget_all();
    let (by, entries) = (&credential.caller.subject, cleared.entries);
    tracing::info!(by, entries, "cache cleared");
    let view = Emptied {
        message: "Cache cleared successfully",
        cleared_stats: CacheView::of(&cleared),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenRenewed")]
pub(super) struct Renewed {
    message: &'static str,
    token_info: TokenView,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `POST /api/v1/vault/token/renew`.
pub async fn renew_token(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let credential = operator(&app, request.headers()).await?;
    let Some(backend) = app.backend.vault() else {
        return Err(Problem::new(Code::VaultNotUsed, Code::VaultNotUsed.about()));
    };
    backend.vault.renew_now(None).await.map_err(|error| Problem::vault(&error))?;
    tracing::info!(by = credential.caller.subject, "Vault token renewed on demand");
    let seen = app.health.last(&app.backend, &app.keyring).await;
    let view = Renewed {
        message: "Token renewed successfully",
        token_info: TokenView::of(&seen),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}
