//! The routes of the management API, and what they say of themselves.

use serde_json::json;

use super::status::{Emptied, Figures, Health, Renewed, Status};
use super::versions::{
    Created, Destroy, Destroyed, History, NewVersion, Rollback, RolledBack, VersionList,
};
use crate::errors::Code;
use crate::http::openapi::problems::{KEY, KEY_CHANGE, TENANT};
use crate::http::openapi::{Endpoint, Tag, Who, schema, schema_of};
use crate::http::routes::Routes;

fn managing(id: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Tag::Management, Who::Operators, id, summary)
}

/// About a key, whose tenant is named beside the path.
fn of_key(id: &'static str, summary: &'static str) -> Endpoint {
    managing(id, summary)
        .query::<schema::TenantName>("tenant", "The key's tenant; `tenant.default` if not named.")
        .header::<schema::TenantName>("X-Keyward-Tenant", "The same, unless the query says it.")
        .fails(TENANT)
        .fails(KEY)
}

/// Adds them.
pub fn routes(routes: &mut Routes) {
    state(routes);
    versions(routes);
}

fn state(routes: &mut Routes) {
    let endpoint = managing("getStoreHealth", "The key store's health")
        .answers::<Health>(200, "It can be used")
        .answers_with(
            503,
            "It is sealed or unhealthy",
            "application/json",
            Some(schema_of::<Health>),
        );
    routes.get("/api/v1/vault/health", super::health, endpoint);
    let endpoint = managing("getStoreMetrics", "Figures of key store and cache")
        .answers::<Figures>(200, "The figures");
    routes.get("/api/v1/vault/metrics", super::metrics, endpoint);
    let endpoint = managing("getStoreStatus", "All of it").answers::<Status>(200, "The status");
    routes.get("/api/v1/vault/status", super::status, endpoint);
    let endpoint = managing("clearCache", "Forget every cached key and token")
        .answers::<Emptied>(200, "What was in the cache before");
    routes.post("/api/v1/vault/cache/clear", super::clear_cache, endpoint);
    let endpoint = managing("renewVaultToken", "Renew the server's token of Vault's")
        .answers::<Renewed>(200, "The renewed token's figures")
        .fails(&[Code::VaultNotUsed, Code::VaultTokenNotRenewable]);
    routes.post("/api/v1/vault/token/renew", super::renew_token, endpoint);
}

fn versions(routes: &mut Routes) {
    let path = "/api/v1/vault/keys/{key}/versions";
    let endpoint = of_key("listManagedVersions", "A key's versions")
        .answers::<VersionList<'_>>(200, "The versions");
    routes.get(path, super::list_versions, endpoint);
    let endpoint = of_key("createManagedVersion", "Add a version and make it current")
        .optional_json::<NewVersion>(json!({ "description": "yearly" }))
        .answers::<Created<'_>>(201, "The version")
        .with_header("Location", "Where it is.")
        .fails(KEY_CHANGE);
    routes.post(path, super::create_version, endpoint);
    let endpoint = of_key("destroyManagedVersion", "Destroy a version for good")
        .optional_json::<Destroy>(json!({ "reason": "leaked" }))
        .answers::<Destroyed<'_>>(200, "It is destroyed")
        .fails(KEY_CHANGE)
        .fails(&[Code::KeyVersionNotFound, Code::KeyVersionIsCurrent, Code::KeyVersionDestroyed]);
    let path = "/api/v1/vault/keys/{key}/versions/{version}";
    routes.delete(path, super::destroy_version, endpoint);
    let endpoint = of_key("rollBackKey", "Make an older version the current one")
        .json::<Rollback>(json!({ "target_version": 1 }))
        .answers::<RolledBack<'_>>(200, "It is current")
        .fails(KEY_CHANGE)
        .fails(&[
            Code::KeyVersionNotFound,
            Code::KeyVersionDestroyed,
            Code::KeyVersionBelowMinEncrypt,
        ]);
    routes.post("/api/v1/vault/keys/{key}/rollback", super::rollback, endpoint);
    let endpoint = of_key("getManagedHistory", "A key as the store has it now")
        .answers::<History<'_>>(200, "The key");
    routes.get("/api/v1/vault/keys/{key}/history", super::history, endpoint);
}
