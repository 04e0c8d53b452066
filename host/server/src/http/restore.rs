//! `POST /api/v1/restore`: a backup into this server's store.
//!
//! The body is received whole, still encrypted, checked to its end, compared with the store, and
//! only then applied. The backup is encrypted to this server's restore recipient, not to the
//! identity that it was made for: that one stays with whoever restores.

use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::backup::{Conflict, Difference, Origin, Restore};
use keyward_keyring::origin;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::backup::SummaryView;
use super::openapi::{Endpoint, Tag, Who, problems, schema};
use super::routes::Routes;
use super::{Problem, auth, body, output};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::tokens::scope::Kind;

/// The largest backup that is received, in bytes.
const MAX_BACKUP: u64 = 64 << 30;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RestoreRecipient")]
struct RecipientView<'a> {
    recipient: &'a str,
}

/// `GET /api/v1/restore/recipient`: to whom to encrypt a backup that this server is to restore.
pub async fn recipient(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let credential = auth::authenticate(&app, request.headers()).await?;
    auth::for_operators(&credential)?;
    output::json(StatusCode::OK, &RecipientView { recipient: app.restores.recipient() })
}

/// What is asked for in the query.
#[derive(Debug, PartialEq)]
struct Asked {
    dry_run: bool,
    conflict: Conflict,
    origin: Option<Origin>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Restored")]
struct RestoreView<'a> {
    dry_run: bool,
    /// Whether the backup was made from this very store.
    from_this_store: bool,
    backup: SummaryView<'a>,
    #[schemars(with = "DifferenceForm")]
    difference: &'a Difference,
    /// Records written; nothing is with a dry run.
    written: u64,
}

/// `POST /api/v1/restore?dry_run=…&conflict=…&origin=…`.
pub async fn run(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    let credential = auth::authenticate(&app, request.headers()).await?;
    auth::for_all_tenants(&credential)?;
    credential.scope.check(Kind::Keys, "*")?;
    let asked = read_query(request.uri().query().unwrap_or_default())?;
    if asked.dry_run {
        audit::target("dry run");
    }
    let file = receive(&app, request.into_body()).await?;
    let by = credential.caller.subject.clone();
    // On its own, so that it comes to its end when the caller goes away.
    let restoring = async move { restore(&app, file, asked, &by).await };
    let work = tokio::spawn(origin::carried(restoring));
    work.await.map_err(Problem::internal)?
}

fn read_query(query: &str) -> Result<Asked, Problem> {
    let bad = |detail: String| Problem::new(Code::InvalidRequest, detail);
    let (mut dry_run, mut conflict, mut origin) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = match name.as_ref() {
            "dry_run" => &mut dry_run,
            "conflict" => &mut conflict,
            "origin" => &mut origin,
            _ => return Err(bad("a query parameter is none of dry_run, conflict, origin".into())),
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(bad(format!("query parameter `{name}` is given twice")));
        }
    }
    let dry_run = match dry_run.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(bad("query parameter `dry_run` is true or false".into())),
    };
    let conflict = match conflict.as_deref() {
        None | Some("refuse") => Conflict::Refuse,
        Some("keep") => Conflict::KeepExisting,
        Some("replace") => Conflict::Replace,
        Some(_) => return Err(bad("query parameter `conflict` is refuse, keep or replace".into())),
    };
    let origin = origin.map(|text| text.parse::<Origin>()).transpose()?;
    Ok(Asked { dry_run, conflict, origin })
}

/// Receives the body in a file, as it is.
async fn receive(app: &Arc<App>, mut body: Body) -> Result<File, Problem> {
    let receiving = Arc::clone(app);
    let file = tokio::task::spawn_blocking(move || receiving.restores.file());
    let file = file.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut total = 0;
    while let Some(piece) = body::next(&mut body, app.http.body_timeout).await? {
        total += piece.len() as u64;
        if total > MAX_BACKUP {
            let detail = format!("a backup may have at most {MAX_BACKUP} bytes");
            return Err(Problem::new(Code::PayloadTooLarge, detail));
        }
        file.write_all(&piece).await.map_err(Problem::internal)?;
    }
    file.flush().await.map_err(Problem::internal)?;
    Ok(file.into_std().await)
}

async fn restore(app: &App, file: File, asked: Asked, by: &str) -> Result<Response<Body>, Problem> {
    let Asked { dry_run, conflict, origin } = asked;
    let store = app.keyring.store().as_ref();
    let restore = Restore::open(file, app.restores.identities(), origin).await?;
    let from_this_store = restore.is_from(store).await?;
    let (difference, written) = if dry_run {
        (restore.plan(store).await?, 0)
    } else {
        let applied = restore.apply(store, conflict).await;
        // What failed half-way has changed something as well.
        let refreshed = app.refresh().await;
        let applied = applied?;
        let (written, summary) = (applied.written, restore.summary());
        tracing::info!(
            by, written, scope = %summary.scope, origin = %summary.origin,
            digest = summary.digest, "backup restored"
        );
        refreshed?;
        (applied.difference, written)
    };
    let view = RestoreView {
        dry_run,
        from_this_store,
        backup: SummaryView::of(restore.summary()),
        difference: &difference,
        written,
    };
    output::json(StatusCode::OK, &view)
}

/// How a store differs from a backup ([`Difference`]).
struct DifferenceForm;

impl JsonSchema for DifferenceForm {
    fn schema_name() -> Cow<'static, str> {
        "BackupDifference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let count = json!({ "type": "integer", "minimum": 0 });
        let paths = json!({ "type": "array", "items": { "type": "string" } });
        let versions = json!({ "type": "array", "items": { "type": "integer", "minimum": 1 } });
        let object = |properties: Value| {
            let names: Vec<&String> =
                properties.as_object().into_iter().flat_map(|it| it.keys()).collect();
            json!({ "type": "object", "required": names, "properties": properties })
        };
        let extend = object(json!({ "added": versions, "repaired": versions }));
        let reason = json!({ "type": "string", "enum": ["other_key", "leftover", "id_taken"] });
        let key = object(json!({
            "name": { "type": "string" },
            "path": { "type": "string" },
            "versions": count,
            "action": { "oneOf": [
                { "const": "create" },
                object(json!({ "extend": extend })),
                object(json!({ "conflict": reason })),
            ] },
            "clashes": versions,
        }));
        let records = object(json!({ "create": paths, "equal": count, "conflict": paths }));
        let tenant = object(json!({
            "keys": { "type": "array", "items": key }, "equal_keys": count, "records": records,
        }));
        let tenants = json!({ "type": "object", "additionalProperties": tenant });
        Schema::try_from(object(json!({ "tenants": tenants, "other": records })))
            .unwrap_or_default()
    }
}

/// Its routes.
pub fn routes(routes: &mut Routes) {
    let of = |id, summary| Endpoint::new(Tag::Backup, Who::Operators, id, summary);
    let endpoint = of("getRestoreRecipient", "To whom to encrypt a backup to be restored here")
        .answers::<RecipientView<'_>>(200, "It changes with each start");
    routes.get("/api/v1/restore/recipient", recipient, endpoint);
    let endpoint = of("restore", "Restore a backup")
        .about(
            "The backup is encrypted to the restore recipient. Nothing is written before all \
                of it was checked. Any Content-Type is taken.",
        )
        .query::<schema::Switch>("dry_run", "Whether only to say what would be done.")
        .query::<schema::OnConflict>("conflict", "What becomes of what is in both and differs.")
        .query::<schema::Origin>("origin", "What the backup must come from.")
        .body(true, output::BYTES, None, None)
        .answers::<RestoreView<'_>>(200, "What differed, and how much was written")
        .fails(problems::RESTORE);
    routes.post("/api/v1/restore", run, endpoint);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters() {
        let origin = format!("ed25519:{}", "0a".repeat(32));
        let asked = read_query(&format!("dry_run=true&conflict=keep&origin={origin}")).unwrap();
        let origin = origin.parse().ok();
        assert_eq!(asked, Asked { dry_run: true, conflict: Conflict::KeepExisting, origin });
        let asked = read_query("").unwrap();
        assert_eq!(asked, Asked { dry_run: false, conflict: Conflict::Refuse, origin: None });
        for bad in ["dry_run=1", "conflict=all", "identity=x", "dry_run=true&dry_run=false"] {
            assert_eq!(read_query(bad).unwrap_err().code, Code::InvalidRequest, "{bad}");
        }
        assert_eq!(read_query("origin=x").unwrap_err().code, Code::BackupOriginInvalid);
    }
}
