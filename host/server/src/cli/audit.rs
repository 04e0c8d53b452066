//! `keyward audit`: reads an audit log where it is, without a server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyward_audit::{KEY_FILE, Options, Outcome, Query, Report, Sight, Verifier};
use keyward_keyring::backup::Identities;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{USAGE, fail, print};

#[derive(Subcommand)]
pub enum Command {
    /// Verify that nothing was edited, removed, put in, moved or cut off, and say where if something was
    ///
    /// Exit code 0: it is as it was written. What was cut off after the last checkpoint is found by a
    /// checkpoint or a size that is kept elsewhere.
    Verify {
        #[command(flatten)]
        place: Place,
        /// The log's public key, as `keyward audit key` printed it; else the one beside the log is
        /// believed
        #[arg(long, value_name = "VKEY")]
        key: Option<Verifier>,
        /// A checkpoint kept elsewhere; may be given several times
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// How many entries there have to be at least
        #[arg(long, value_name = "ENTRIES")]
        expect_size: Option<u64>,
    },
    /// Print the log's public key: keep it where the log is not
    Key {
        #[command(flatten)]
        place: Place,
    },
    /// Show entries, oldest first
    Query {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        filter: Filter,
        /// The file that `age-keygen` wrote for an auditor, to read entries sealed to them
        /// (`audit.encrypt_to`)
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
}

/// Where the log is.
#[derive(Args)]
pub struct Place {
    /// Data directory of the server
    #[arg(long, value_name = "DIR", default_value = "keyward-data", env = "KEYWARD_DATA_DIR")]
    data: PathBuf,
    /// Directory of the log [default: `audit` in the data directory]
    #[arg(long, value_name = "DIR", env = "KEYWARD_AUDIT_DIR")]
    dir: Option<PathBuf>,
}

impl Place {
    fn dir(self) -> PathBuf {
        self.dir.unwrap_or_else(|| self.data.join("audit"))
    }
}

/// Which entries.
#[derive(Args)]
pub struct Filter {
    /// About this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// By this subject
    #[arg(long)]
    subject: Option<String>,
    /// With the credential of this public identifier
    #[arg(long)]
    credential: Option<String>,
    /// This operation, such as `key.rotate`; `key.` stands for all that begin so
    #[arg(long)]
    operation: Option<String>,
    /// In which this key took part
    #[arg(long)]
    key: Option<String>,
    /// That ended so: `ok`, `failed`, a status, or an error's code
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Of this request
    #[arg(long)]
    request_id: Option<String>,
    /// Not before: `2026-02-28T12:00:00Z`, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<u64>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<u64>,
    /// With a higher sequence number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// The lines as they are in the log
    #[arg(long)]
    json: bool,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::read(text).ok_or_else(|| "it is `ok`, `failed`, a status, or an error's code".into())
}

fn time(text: &str) -> Result<u64, String> {
    keyward_audit::parse_time(text).ok_or_else(|| {
        "it is a time such as 2026-02-28T12:00:00Z, or milliseconds since 1970".into()
    })
}

/// Runs it.
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Verify { place, key, checkpoint, expect_size } => {
            let mut checkpoints = Vec::new();
            for path in checkpoint {
                match std::fs::read_to_string(&path) {
                    Ok(note) => checkpoints.push(note),
                    Err(error) => {
                        return fail(USAGE, &format!("cannot read {}: {error}", path.display()));
                    }
                }
            }
            verify(&place.dir(), &Options { key, checkpoints, expect_size })
        }
        Command::Key { place } => {
            let path = place.dir().join(KEY_FILE);
            match std::fs::read(&path) {
                Ok(text) => print(&text),
                Err(error) => fail(1, &format!("cannot read {}: {error}", path.display())),
            }
        }
        Command::Query { place, filter, identity } => {
            let identities = match identity.as_deref().map(read_identities).transpose() {
                Ok(identities) => identities,
                Err(error) => return fail(USAGE, &error),
            };
            query(&place.dir(), filter, identities.as_ref())
        }
    }
}

fn verify(dir: &Path, options: &Options) -> ExitCode {
    match keyward_audit::verify(dir, options) {
        Ok(report) => print(said(&report, options.key.is_some()).as_bytes()),
        Err(error) => fail(1, &error),
    }
}

/// What a report says, and no more than it proves.
fn said(report: &Report, with_known_key: bool) -> String {
    let Report { log, files, entries, signed, notes } = report;
    let mut out =
        format!("{log}: {entries} entries in {files} files, each follows the one before\n");
    let proven = signed.as_ref().map_or(0, |signed| signed.size);
    // Writing to a string cannot fail.
    let _ = match signed {
        Some(signed) => writeln!(
            out,
            "entries 1..{proven} proven by checkpoint of {}; {} later entries are chained but not signed",
            signed.time,
            entries - proven
        ),
        None => writeln!(out, "no checkpoint: {entries} entries are chained but not signed"),
    };
    for note in notes {
        let _ = writeln!(out, "note: {note}");
    }
    if !with_known_key {
        out.push_str(
            "note: checked with the key beside the log; whoever can replace both is found with --key \
             alone\n",
        );
    }
    out
}

fn read_identities(path: &Path) -> Result<Identities, String> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Identities::keys(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn query(dir: &Path, filter: Filter, identities: Option<&Identities>) -> ExitCode {
    let Filter {
        tenant,
        subject,
        credential,
        operation,
        key,
        outcome,
        request_id,
        since,
        until,
        ..
    } = filter;
    let mut query = Query {
        tenant,
        subject,
        credential,
        operation,
        key,
        outcome,
        request_id,
        since_ms: since,
        until_ms: until,
        after: filter.after,
        limit: usize::try_from(filter.limit).unwrap_or(usize::MAX),
    };
    let unseal = |keys: &[u8]| identities.and_then(|identities| identities.unseal(keys).ok());
    let sight = if identities.is_some() { Sight::Fields(&unseal) } else { Sight::Nothing };
    let mut unseen = 0;
    loop {
        let page = match keyward_audit::query(dir, &query, sight) {
            Ok(page) => page,
            Err(error) => return fail(1, &format!("cannot read {}: {error}", dir.display())),
        };
        let mut out = String::new();
        for entry in &page.entries {
            if filter.json {
                out.push_str(entry.get());
            } else {
                out.push_str(&shown(entry.get()));
            }
            out.push('\n');
        }
        unseen += page.unseen;
        query.limit -= page.entries.len().min(query.limit);
        if print(out.as_bytes()) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
        match page.next {
            // A page may have fewer than there are.
            Some(next) if query.limit > 0 => query.after = next,
            _ => break,
        }
    }
    if unseen > 0 {
        let whose = match identities {
            None => "give an auditor's identity with --identity",
            Some(_) => "they are for others than this identity, or not what was written",
        };
        eprintln!(
            "note: {unseen} entries are sealed, and may be among what was asked for: {whose}"
        );
    }
    ExitCode::SUCCESS
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    seq: u64,
    time: String,
    kind: String,
    status: Option<u16>,
    operation: String,
    tenant: String,
    subject: String,
    key: String,
    version: Option<u32>,
    code: String,
    request_id: String,
}

/// One entry for people, in one line; what is not there is `-`.
fn shown(entry: &str) -> String {
    let line: Line = serde_json::from_str(entry).unwrap_or_default();
    let or_dash = |text: &str| {
        if text.is_empty() { "-".to_owned() } else { text.escape_debug().to_string() }
    };
    let operation = if line.operation.is_empty() { &line.kind } else { &line.operation };
    let key = match line.version {
        Some(version) => format!("{}:{version}", or_dash(&line.key)),
        None => or_dash(&line.key),
    };
    let status = line.status.map_or("-".to_owned(), |status| status.to_string());
    [
        line.seq.to_string(),
        line.time,
        status,
        or_dash(operation),
        or_dash(&line.tenant),
        or_dash(&line.subject),
        key,
        or_dash(&line.code),
        or_dash(&line.request_id),
    ]
    .join(" ")
}
