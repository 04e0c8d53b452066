//! `keyward receipt …`: receipts of destruction, and whether they prove anything.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueHint};
use keyward_keyring::{Receipt, ReceiptError, ReceiptKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::api::Api;
use super::super::call::{Call, Place};
use super::super::connection::Connection;
use super::super::failure::Failure;
use super::super::show::{Printer, Show, human};
use crate::clock;

/// What ends a document in a file of public keys.
const END: &str = "-----END PUBLIC KEY-----";

/// What can be done with receipts.
#[derive(Subcommand)]
pub enum Command {
    /// Check receipts of destruction with a public key, without a server
    ///
    /// Takes a receipt as `key destroy --json` and the like answer it, whole or its `receipt`
    /// alone, or the list of `key receipts --json`. Exit code 1 unless each is genuine.
    Verify {
        /// A file with receipts (JSON), or - for standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// A file with public keys (PEM) to trust; may be given again
        #[arg(long, value_name = "PEM", required = true, value_hint = ValueHint::FilePath)]
        public_key: Vec<PathBuf>,
    },
    /// Print the public key (PEM) that the server's store signs receipts with
    PublicKey {
        #[command(flatten)]
        connection: Connection,
    },
    /// List the public keys that receipts of the tenant were signed with
    Keys {
        #[command(flatten)]
        connection: Connection,
    },
}

impl Command {
    /// Runs it.
    pub async fn run(self) -> Result<(), Failure> {
        let (connection, call) = match self {
            Self::Verify { file, public_key } => return verify(&file, &public_key),
            Self::PublicKey { connection } => {
                let call = Call::get(&["receipts", "public-key"]).at(Place::Root);
                (connection, call.show(Show::Bare("public_key")))
            }
            Self::Keys { connection } => (connection, Call::get(&["receipt-keys"])),
        };
        let show = call.show;
        let answer = Api::new(&connection)?.call(call).await?;
        Printer::new(&connection).answer(&answer, show)
    }
}

fn verify(file: &Path, keys: &[PathBuf]) -> Result<(), Failure> {
    let mut trusted = Vec::new();
    for path in keys {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::file("read", path, &error))?;
        trusted.extend(public_keys(&text)?);
    }
    let receipts = receipts(&read(file)?)?;
    let mut out = String::new();
    // All of them first: what is shown is genuine.
    for receipt in &receipts {
        let named = trusted.iter().find(|key| key.id() == receipt.signed_by);
        // Where none is the one it names, the error says which that is.
        let key = named.or(trusted.first()).ok_or(ReceiptError::PublicKey)?;
        receipt.verify(key)?;
        out.push_str("valid\n");
        out.push_str(&shown(receipt)?);
    }
    Printer::text(&out)
}

/// A receipt for people. Whatever it says was signed.
fn shown(receipt: &Receipt) -> Result<String, Failure> {
    let failed = |error| Failure::local("cannot show the receipt", &error);
    let mut value = serde_json::to_value(receipt).map_err(failed)?;
    value["destroyed_at"] = clock::rfc3339(receipt.destroyed.at).into();
    Ok(human(&value))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return std::fs::read(path).map_err(|error| Failure::file("read", path, &error));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|error| Failure::local("cannot read standard input", &error))?;
    Ok(bytes)
}

/// Every document in a file of them.
fn public_keys(text: &str) -> Result<Vec<ReceiptKey>, ReceiptError> {
    let documents = text.split_inclusive(END).filter(|document| !document.trim().is_empty());
    documents.map(ReceiptKey::from_pem).collect()
}

/// What an answer has of receipts: it is one, or it has one, or a list.
fn receipts(json: &[u8]) -> Result<Vec<Receipt>, ReceiptError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        receipt: Option<&'a RawValue>,
        #[serde(borrow, default)]
        receipts: Option<Vec<&'a RawValue>>,
    }
    let malformed = |what: String| ReceiptError::Malformed(what);
    let answer: Answer<'_> =
        serde_json::from_slice(json).map_err(|error| malformed(error.to_string()))?;
    let inner = |raw: &RawValue| Receipt::from_json(raw.get().as_bytes());
    match (answer.receipt, answer.receipts) {
        (Some(receipt), None) => Ok(vec![inner(receipt)?]),
        (None, Some(list)) if list.is_empty() => Err(malformed("it has none".to_owned())),
        (None, Some(list)) => list.into_iter().map(inner).collect(),
        (None, None) => Ok(vec![Receipt::from_json(json)?]),
        (Some(_), Some(_)) => Err(malformed("it has both receipt and receipts".to_owned())),
    }
}
