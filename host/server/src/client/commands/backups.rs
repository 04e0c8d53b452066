//! `keyward backup` and `keyward restore`.

use std::path::PathBuf;

use bytes::Bytes;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use http_body_util::BodyExt;
use keyward_keyring::backup::{self, BackupError, Difference, Identities, Recipients};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Body, Method, Response};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::api::{self, Api};
use super::super::call::{Call, Place};
use super::super::connection::{Connection, Who};
use super::super::failure::{Failure, note};
use super::super::files::{InputArgs, Output};
use super::super::show::Printer;
use super::super::{progress, upload};

/// Where a backup says what it holds.
const REPORT: &str = "x-keyward-backup-report";

/// `keyward backup`
#[derive(Args)]
#[group(skip)]
pub struct Backup {
    /// The file to write; it must not exist, and is there once it is whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Who can open it: what `age-keygen` prints as public key; may be given again
    #[arg(long, value_name = "age1…", required = true)]
    recipient: Vec<String>,
}

/// What a backup or a restore says of a backup.
#[derive(Deserialize)]
struct Summary {
    created_at: String,
    tenant: Option<String>,
    origin: String,
    digest: String,
    records: u64,
    keys: u64,
    versions: u64,
}

#[derive(Deserialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    bytes: u64,
    damaged: Vec<String>,
    damaged_total: usize,
}

impl Summary {
    fn text(&self) -> String {
        let Self { created_at, tenant, origin, digest, records, keys, versions } = self;
        let scope = tenant.as_ref().map_or("all tenants".into(), |name| format!("tenant {name}"));
        format!(
            "{scope}: {keys} keys with {versions} versions, {records} records, as of {created_at}\n\
             origin {origin}\ndigest {digest}\n"
        )
    }
}

impl Backup {
    /// Runs it.
    pub async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let Self { out, recipient } = self;
        if out.try_exists().map_err(|error| Failure::file("write", &out, &error))? {
            return Err(BackupError::FileExists(out.display().to_string()).into());
        }
        let api = Api::new(connection)?;
        let mut output = Output::file(&out)?;
        let path = ["backup".to_owned()];
        let request = api.request(Method::POST, Place::Root, &path, &[], Who::Operator)?;
        let mut wanted = serde_json::json!({ "recipients": recipient });
        if let Some(tenant) = connection.given_tenant() {
            wanted["tenant"] = tenant.into();
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(wanted.to_string());
        let answer = api.send(request).await?;
        let bar = progress::bar(None, connection.json());
        let trailers = receive(&api, answer, |piece| {
            bar.inc(piece.len() as u64);
            output.write(piece)
        })
        .await?;
        bar.finish_and_clear();
        output.finish_new()?;
        let Some(report) = trailers.as_ref().and_then(|trailers| trailers.get(REPORT)) else {
            note("no report came with the backup; the server's log has it");
            return Ok(());
        };
        if connection.json() {
            return Printer::text(&format!("{}\n", String::from_utf8_lossy(report.as_bytes())));
        }
        let Ok(report) = serde_json::from_slice::<Report>(report.as_bytes()) else {
            note("the backup's report cannot be read; the server's log has it");
            return Ok(());
        };
        for path in &report.damaged {
            note(&format!("{path} is missing or damaged in the store; the backup lacks it"));
        }
        if report.damaged_total > report.damaged.len() {
            let total = report.damaged_total;
            note(&format!("{total} records in all are so; the server's log names them"));
        }
        let (out, bytes) = (out.display(), report.bytes);
        Printer::text(&format!("{out}: {bytes} bytes\n{}", report.summary.text()))
    }
}

/// Hands the body on, piece by piece; gives its trailers.
async fn receive(
    api: &Api<'_>,
    answer: Response,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Option<HeaderMap>, Failure> {
    let mut body = api::body(answer);
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| api.broken(&error))?;
        match frame.into_data() {
            Ok(piece) => each(&piece)?,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(trailers)
}

/// What to do where the store has something else.
#[derive(Clone, Copy, ValueEnum)]
enum OnConflict {
    /// Change nothing at all
    Refuse,
    /// Keep what the store has, and restore the rest
    Keep,
    /// Take what the backup has; a key of the same name and another id is destroyed for that
    Replace,
}

/// `keyward restore`
#[derive(Args)]
#[group(skip)]
pub struct Restore {
    #[command(flatten)]
    input: InputArgs,
    /// The file that `age-keygen` wrote for the backup's recipient; it stays on this machine. Without
    /// it the backup must be encrypted to the server's own restore recipient already
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// What to do where the store has something else
    #[arg(long, value_enum, default_value = "refuse")]
    conflict: OnConflict,
    /// Refuse a backup of another store: the origin that `keyward backup` printed
    #[arg(long, value_name = "ed25519:…")]
    origin: Option<String>,
}

#[derive(Deserialize)]
struct Recipient {
    recipient: String,
}

#[derive(Deserialize)]
struct Restored {
    dry_run: bool,
    from_this_store: bool,
    backup: Summary,
    difference: Difference,
    written: u64,
}

impl Restore {
    /// Runs it.
    pub async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let api = Api::new(connection)?;
        let identities = self.identity.as_ref().map(|path| {
            let text = std::fs::read_to_string(path).map(Zeroizing::new);
            let text = text.map_err(|error| Failure::file("read", path, &error))?;
            Ok::<_, Failure>(Identities::keys(&text)?)
        });
        let identities = identities.transpose()?;
        let input = self.input.open()?;
        let conflict = self.conflict.to_possible_value();
        let call = Call::post(&["restore"])
            .query("dry_run", Some(self.dry_run))
            .query("conflict", conflict.as_ref().map(PossibleValue::get_name))
            .query("origin", self.origin);
        let path = ["restore".to_owned()];
        let request = api.request(Method::POST, Place::Root, &path, &call.query, Who::Operator)?;
        let recipients = match &identities {
            None => None,
            Some(_) => Some(recipients(&api).await?),
        };
        let bar = progress::bar(input.length, connection.json());
        let (writer, body) = upload::pipe();
        let source = bar.wrap_read(input.source);
        let sending = tokio::task::spawn_blocking(move || match (identities, recipients) {
            (Some(identities), Some(recipients)) => {
                send_readdressed(source, &identities, &recipients, writer)
            }
            _ => send_as_it_is(source, writer),
        });
        let answer = api.send(request.body(Body::wrap(body))).await;
        let answer = match answer {
            Ok(answer) => answer.bytes().await.map_err(|error| api.broken(&error))?,
            Err(failure @ Failure::Problem(_)) => return Err(failure),
            // What cannot be opened here is not sent to its end.
            Err(failure) => {
                return Err(match sending.await {
                    Ok(Err(error))
                        if !matches!(error, BackupError::Io { action: "writing", .. }) =>
                    {
                        error.into()
                    }
                    _ => failure,
                });
            }
        };
        bar.finish_and_clear();
        show(connection, &answer)
    }
}

async fn recipients(api: &Api<'_>) -> Result<Recipients, Failure> {
    let call = Call::get(&["restore", "recipient"]).at(Place::Root).who(Who::Operator);
    let strange = || Failure::Connection("the server names no recipient for restores".into());
    let answer = api.call(call).await?;
    let Recipient { recipient } = serde_json::from_slice(&answer).map_err(|_| strange())?;
    Recipients::keys([recipient]).map_err(|_| strange())
}

/// Opens the backup and encrypts it to the server, so that the identity stays here. Blocks.
fn send_readdressed(
    source: impl std::io::Read,
    identities: &Identities,
    recipients: &Recipients,
    mut writer: upload::Writer,
) -> Result<(), BackupError> {
    backup::readdress(source, identities, recipients, &mut writer)?;
    writer.finish();
    Ok(())
}

/// Blocks.
fn send_as_it_is(source: impl std::io::Read, writer: upload::Writer) -> Result<(), BackupError> {
    let hidden = indicatif::ProgressBar::hidden();
    upload::copy(source, writer, &hidden)
        .map_err(|error| BackupError::Io { action: "reading", reason: error.to_string() })
}

fn show(connection: &Connection, answer: &Bytes) -> Result<(), Failure> {
    if connection.json() {
        return Printer::text(&format!("{}\n", String::from_utf8_lossy(answer)));
    }
    let restored: Restored = serde_json::from_slice(answer)
        .map_err(|_| Failure::Connection("the server's answer cannot be understood".into()))?;
    let Restored { dry_run, from_this_store, backup, difference, written } = restored;
    let mut text = backup.text();
    if from_this_store {
        text.push_str("made from this very store\n");
    }
    let done = if dry_run {
        "dry run: nothing was changed".to_owned()
    } else {
        format!("restored: {written} records written")
    };
    Printer::text(&format!("{text}{difference}\n{done}\n"))
}
