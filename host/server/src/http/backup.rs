//! `POST /api/v1/backup`: a backup of the store or of one tenant, as it is being read.
//!
//! The response is the age file. It ends with a report in a trailer for clients that want trailers
//! (`TE: trailers`); everybody else finds it in the log. When the backup fails on the way, the
//! response is broken off, and what came opens as no backup.

mod report;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, TRAILER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use keyward_keyring::backup::{self, BackupError, Recipients, Report, Scope};
use keyward_keyring::origin;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::task::JoinHandle;

pub use self::report::SummaryView;
use self::report::{REPORT, trailer};
use super::json::{self, Text};
use super::openapi::{Endpoint, Tag, Who, schema};
use super::routes::Routes;
use super::{Problem, auth, body, output};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::tokens::scope::Kind;

/// Most recipients of a backup.
const MAX_RECIPIENTS: usize = 32;
/// How much is ready for a caller that reads slowly, in bytes.
const READY: usize = 256 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackupRequest")]
struct Wanted<'a> {
    #[serde(borrow)]
    #[schemars(with = "Vec<schema::AgeRecipient>", length(min = 1, max = 32))]
    recipients: Vec<Text<'a>>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::TenantName>")]
    tenant: Option<Text<'a>>,
}

/// `POST /api/v1/backup`.
pub async fn make(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let credential = auth::authenticate(&app, request.headers()).await?;
    auth::for_operators(&credential)?;
    credential.scope.check(Kind::Keys, "*")?;
    let bytes = body::read_json(&app, request).await?;
    let Wanted { recipients, tenant } = json::parse(&bytes)?;
    let recipients = checked(&recipients)?;
    let scope = match tenant {
        None => {
            auth::for_all_tenants(&credential)?;
            Scope::All
        }
        Some(name) => {
            let existing = auth::existing(&app, &credential, name.as_str()).await;
            let blame = |problem| Problem { field: Some("/tenant".into()), ..problem };
            Scope::Tenant(existing.map_err(blame)?)
        }
    };
    audit::target(&scope.to_string());
    let (mut incoming, mut outgoing) = tokio::io::duplex(READY);
    let by = credential.caller.subject.clone();
    let work = tokio::spawn(origin::carried(async move {
        let store = app.policies.backed_up();
        let written = backup::write(&store, &scope, &recipients, &mut outgoing).await;
        log(&written, &scope, &by);
        written
    }));
    let Some(first) = next(&mut incoming).await.map_err(Problem::internal)? else {
        return Err(match work.await {
            Ok(Err(error)) => error.into(),
            _ => Problem::internal("a backup ended without an error, and empty"),
        });
    };
    Ok(respond(first, incoming, work))
}

fn checked(recipients: &[Text<'_>]) -> Result<Recipients, Problem> {
    if recipients.len() > MAX_RECIPIENTS {
        let detail = format!("at most {MAX_RECIPIENTS} recipients");
        return Err(Problem::field(Code::InvalidField, "/recipients", detail));
    }
    for (index, recipient) in recipients.iter().enumerate() {
        if let Err(error) = Recipients::keys([recipient.as_str()]) {
            let field = format!("/recipients/{index}");
            return Err(Problem::field(Code::from(&error), field, error.to_string()));
        }
    }
    Recipients::keys(recipients.iter().map(Text::as_str)).map_err(|error| {
        Problem::field(Code::from(&error), "/recipients", "give at least one recipient (age1…)")
    })
}

fn log(written: &Result<Report, BackupError>, scope: &Scope, by: &str) {
    match written {
        Ok(report) => {
            let summary = &report.summary;
            tracing::info!(
                by, %scope, keys = summary.keys, records = summary.records, bytes = report.bytes,
                origin = %summary.origin, digest = summary.digest, "backup written"
            );
            for path in &report.damaged {
                tracing::warn!(path, "a record is missing or damaged; the backup goes without it");
            }
        }
        Err(error) => {
            tracing::warn!(by, %scope, code = error.code(), %error, "a backup was broken off");
        }
    }
}

/// What has been written so far; `None` at the end.
async fn next(incoming: &mut DuplexStream) -> io::Result<Option<Bytes>> {
    let mut piece = BytesMut::with_capacity(64 << 10);
    let length = incoming.read_buf(&mut piece).await?;
    Ok((length > 0).then(|| piece.freeze()))
}

/// The work that fills a response, until it was waited for.
struct Sending {
    incoming: DuplexStream,
    work: Option<JoinHandle<Result<Report, BackupError>>>,
}

impl Sending {
    async fn frame(&mut self) -> io::Result<Option<Frame<Bytes>>> {
        if let Some(piece) = next(&mut self.incoming).await? {
            return Ok(Some(Frame::data(piece)));
        }
        let Some(work) = self.work.take() else { return Ok(None) };
        let report = work.await.map_err(io::Error::other)?;
        let report = report.map_err(|error| io::Error::other(error.code()))?;
        let mut trailers = HeaderMap::new();
        trailers.insert(REPORT, trailer(&report).map_err(io::Error::other)?);
        Ok(Some(Frame::trailers(trailers)))
    }
}

fn respond(
    first: Bytes,
    incoming: DuplexStream,
    work: JoinHandle<Result<Report, BackupError>>,
) -> Response<Body> {
    let sending = Sending { incoming, work: Some(work) };
    // Dropped before its end, its record says that it was broken off.
    let state = (Some(first), Some(sending), audit::ending());
    let frames = stream::unfold(state, |(first, sending, record)| async {
        if let Some(first) = first {
            return Some((Ok(Frame::data(first)), (None, sending, record)));
        }
        let mut sending = sending?;
        match sending.frame().await {
            Ok(Some(frame)) => Some((Ok(frame), (None, Some(sending), record))),
            Ok(None) => {
                audit::end(record, None);
                None
            }
            Err(error) => Some((Err(error), (None, None, None))),
        }
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(output::BYTES));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(TRAILER, HeaderValue::from(REPORT));
    response
}

/// Its route.
pub fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(Tag::Backup, Who::Operators, "backup", "Make a backup")
        .about(
            "Of all tenants, or of one. With `TE: trailers` it ends with the trailer \
             `X-Keyward-Backup-Report`, JSON. One that fails on the way is broken off.",
        )
        .json::<Wanted<'_>>(json!({
            "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
        }))
        .answers_with(200, "An age file, as it is made", output::BYTES, None)
        .fails(&[
            Code::BackupRecipientInvalid,
            Code::BackupKeyUnstable,
            Code::TenantNotFound,
            Code::InvalidName,
        ]);
    routes.post("/api/v1/backup", make, endpoint);
}
