//! The routes of a tenant's keys, and what they say of themselves.

use serde_json::json;

use super::change::{Rotated, Trim, TrimmedView};
use super::delete::{Confirmation, DestructionView};
use super::list::KeyList;
use super::public::PublicView;
use super::read::HistoryView;
use super::usage::UsageView;
use super::view::KeyView;
use super::{ReasonBody, create, export, import, patch, rotation};
use crate::errors::Code;
use crate::http::openapi::problems::{KEY, KEY_CHANGE, KEY_NEW};
use crate::http::openapi::{Endpoint, Tag, Who, schema};
use crate::http::routes::Routes;

/// To see keys.
fn seeing(id: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Tag::Keys, Who::Readers, id, summary).fails(KEY)
}

/// To change a key.
fn changing(id: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Tag::Keys, Who::Managers, id, summary).fails(KEY).fails(KEY_CHANGE)
}

/// The same with nothing to say but why.
fn because(id: &'static str, summary: &'static str) -> Endpoint {
    changing(id, summary).optional_json::<ReasonBody<'_>>(json!({ "reason": "ticket 4711" }))
}

/// Where wrapped material comes or goes.
const WRAPPED: &[Code] = &[
    Code::WrappedKeyInvalid,
    Code::InvalidBase64,
    Code::KeyNotFound,
    Code::KeyDisabled,
    Code::KeyUnsuitable,
    Code::KeyVersionNotFound,
    Code::KeyVersionDestroyed,
    Code::KeyVersionBelowMinDecrypt,
];

/// Adds them.
pub fn routes(routes: &mut Routes) {
    seen(routes);
    made(routes);
    changed(routes);
    ended(routes);
}

fn seen(routes: &mut Routes) {
    let endpoint = seeing("listKeys", "List keys, page by page")
        .about("In byte order of their names. Go on with `after` until `next` is missing.")
        .query::<schema::OnlyDeleted>("state", "Lists the deleted keys instead of the others.")
        .query::<schema::KeyNamePrefix>("prefix", "What names begin with.")
        .query::<schema::KeyName>("after", "The `next` of the page before.")
        .query::<schema::PageLimit>("limit", "How many keys a page has.")
        .answers::<KeyList<'_>>(200, "A page");
    routes.get("/api/v1/tenants/{tenant}/keys", super::list, endpoint);
    let endpoint = seeing("getKey", "Show a key").answers::<KeyView<'_>>(200, "The key");
    routes.get("/api/v1/tenants/{tenant}/keys/{name}", super::show, endpoint);
    let endpoint = seeing("getKeyHistory", "What was done to a key")
        .answers::<HistoryView<'_>>(200, "The newest changes, oldest first");
    routes.get("/api/v1/tenants/{tenant}/keys/{name}/history", super::history, endpoint);
    let endpoint = seeing("getKeyUsage", "How much each version was used, and when")
        .answers::<UsageView<'_>>(200, "The counts of all hosts that are flushed");
    routes.get("/api/v1/tenants/{tenant}/keys/{name}/usage", super::usage, endpoint);
    let endpoint = seeing("getPublicKey", "The public half of a version")
        .query::<schema::Version>("version", "The current one, unless said otherwise.")
        .answers::<PublicView<'_>>(200, "The public half")
        .fails(&[
            Code::KeyUnsuitable,
            Code::KeyDisabled,
            Code::KeyDeleted,
            Code::KeyDestroyed,
            Code::KeyVersionNotFound,
            Code::KeyVersionDestroyed,
            Code::KeyVersionBelowMinDecrypt,
        ]);
    routes.get("/api/v1/tenants/{tenant}/keys/{name}/public", super::public, endpoint);
}

fn made(routes: &mut Routes) {
    let endpoint = Endpoint::new(Tag::Keys, Who::Managers, "createKey", "Create a key")
        .json::<create::Fields<'_>>(json!({
            "name": "orders",
            "algorithm": "xaes-256-gcm",
            "labels": { "team": "shop" },
            "rotation": { "every": "30d" },
        }))
        .answers::<KeyView<'_>>(201, "The key")
        .with_header("Location", "Where it is.")
        .fails(KEY_NEW);
    routes.post("/api/v1/tenants/{tenant}/keys", super::create, endpoint);
    let endpoint = Endpoint::new(Tag::Keys, Who::Managers, "importKey", "Create a key by import")
        .about("The material is wrapped to a key of the tenant (docs/ciphertext.md).")
        .json::<import::Fields<'_>>(json!({
            "algorithm": "aes-256-gcm",
            "wrapping_key": "transport",
            "wrapped_key": "AAAA",
        }))
        .answers::<KeyView<'_>>(201, "The key")
        .with_header("Location", "Where it is.")
        .fails(KEY_NEW)
        .fails(WRAPPED);
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/import", super::import, endpoint);
    let endpoint = changing("importKeyVersion", "Import a version of an imported key")
        .json::<import::VersionFields<'_>>(json!({
            "wrapping_key": "transport",
            "wrapped_key": "AAAA",
        }))
        .answers::<import::VersionView>(200, "The version, which is current")
        .fails(WRAPPED)
        .fails(&[Code::KeyNotImported]);
    let path = "/api/v1/tenants/{tenant}/keys/{name}/import-version";
    routes.post(path, super::import_version, endpoint);
    let endpoint = changing("exportKey", "Give out a version, wrapped")
        .json::<export::Fields<'_>>(json!({ "recipient": "transport" }))
        .answers::<export::ExportView<'_>>(200, "The wrapped material")
        .fails(WRAPPED)
        .fails(&[Code::KeyNotExportable]);
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/export", super::export, endpoint);
}

fn changed(routes: &mut Routes) {
    let example = json!({ "owner": "shop@example.org", "labels": { "stage": null } });
    let schema = crate::http::openapi::schema_of::<patch::Patch<'_>>;
    let endpoint = changing("patchKey", "Change a key's settings")
        .about(
            "A JSON merge patch (RFC 7396): what is absent stays, `null` removes. 1 ≤ \
             `min_decrypt_version` ≤ `min_encrypt_version` ≤ `current_version`.",
        )
        .json::<patch::Patch<'_>>(example.clone())
        .body(true, "application/merge-patch+json", Some(schema), Some(example))
        .answers::<KeyView<'_>>(200, "The key")
        .fails(&[Code::KeyNotExportable]);
    routes.patch("/api/v1/tenants/{tenant}/keys/{name}", super::patch, endpoint);
    let endpoint = because("rotateKey", "Add a version and make it current")
        .answers::<Rotated>(200, "The new version");
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/rotate", super::rotate, endpoint);
    let endpoint = changing("setKeyRotation", "Say when a key is rotated by itself")
        .about("`every`, `max_messages` and `max_bytes`: one at least.")
        .json::<rotation::Put<'_>>(json!({ "every": "30d", "max_messages": 1_000_000 }))
        .answers::<KeyView<'_>>(200, "The key");
    let path = "/api/v1/tenants/{tenant}/keys/{name}/rotation";
    routes.put(path, super::put_rotation, endpoint);
    let endpoint = because("deleteKeyRotation", "Rotate a key by call only")
        .answers::<KeyView<'_>>(200, "The key");
    routes.delete(path, super::delete_rotation, endpoint);
    let endpoint = because("disableKey", "Let a key neither encrypt nor decrypt")
        .answers::<KeyView<'_>>(200, "The key");
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/disable", super::disable, endpoint);
    let endpoint =
        because("enableKey", "Let a key be used again").answers::<KeyView<'_>>(200, "The key");
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/enable", super::enable, endpoint);
}

fn ended(routes: &mut Routes) {
    let endpoint = changing("trimKey", "Destroy every version below one, for good")
        .json::<Trim<'_>>(json!({ "min_available_version": 1, "unused_seconds": 2_592_000 }))
        .answers::<TrimmedView<'_>>(200, "The key, and receipts of what was destroyed")
        .fails(&[Code::KeyTrimTooHigh, Code::KeyVersionInUse]);
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/trim", super::trim, endpoint);
    let endpoint = because("deleteKey", "Delete a key; it can be restored for a while")
        .query::<schema::RestoreWindow>("window_seconds", "For how long; 7 days by default.")
        .answers::<KeyView<'_>>(200, "The key");
    routes.delete("/api/v1/tenants/{tenant}/keys/{name}", super::delete, endpoint);
    let endpoint = because("restoreKey", "Restore a deleted key")
        .answers::<KeyView<'_>>(200, "The key")
        .fails(&[Code::KeyNotDeleted, Code::KeyRestoreWindowOver]);
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/restore", super::restore, endpoint);
    let endpoint = changing("destroyKey", "Destroy a key for good")
        .about("`confirm` is the key's name once more.")
        .json::<Confirmation<'_>>(json!({ "confirm": "demo", "reason": "contract ended" }))
        .answers::<DestructionView<'_>>(200, "What was destroyed");
    routes.post("/api/v1/tenants/{tenant}/keys/{name}/destroy", super::destroy, endpoint);
}
