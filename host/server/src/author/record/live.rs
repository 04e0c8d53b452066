//! A recording that a server makes, of a question to the tenant's policy and with its keys.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::{Args as ClapArgs, ValueHint};
use serde_json::json;

use crate::client::api::Api;
use crate::client::call::Call;
use crate::client::commands::policies::Question;
use crate::client::connection::{Connection, Who};
use crate::client::failure::Failure;

/// What is asked.
#[derive(ClapArgs)]
#[group(skip)]
pub struct Args {
    /// Record what the policy active at a server does with this operation, as the policy sees it:
    /// encrypt, decrypt, …, or invoke/NAME. The server has to allow it: `policy.record`
    #[arg(long, value_name = "OPERATION", conflicts_with_all = ["case", "tests", "cases", "policy"])]
    server: Option<String>,
    #[command(flatten)]
    question: Question,
    /// A policy that is kept, in the place of the active one
    #[arg(long, value_name = "DIGEST", requires = "server")]
    digest: Option<String>,
    /// The payload of an invoke/NAME; else its decision alone is recorded
    #[arg(long, value_name = "FILE", requires = "server", value_hint = ValueHint::FilePath)]
    payload: Option<PathBuf>,
    /// The payload's media type
    #[arg(long, value_name = "TYPE", requires = "payload", default_value = "application/json")]
    content_type: String,
}

impl Args {
    /// Whether a server is to record.
    pub fn is_asked(&self) -> bool {
        self.server.is_some()
    }
}

/// The recording, as the server gives it.
pub async fn record(args: &Args, connection: &Connection) -> Result<Bytes, Failure> {
    let mut question = args.question.fields()?;
    question.insert("operation".into(), args.server.clone().into());
    question.extend(args.digest.clone().map(|digest| ("digest".to_owned(), digest.into())));
    let payload = args.payload.as_ref().map(|path| {
        let body = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
        Ok::<_, Failure>(
            json!({ "content_type": args.content_type, "body": STANDARD.encode(body) }),
        )
    });
    // An operator's token, if there is one as well, is not for this.
    let call = Call::post(&["policy", "record"])
        .who(Who::Application)
        .field("question", Some(question))
        .field("payload", payload.transpose()?);
    Api::new(connection)?.call(call).await
}
