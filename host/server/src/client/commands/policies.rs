//! `keyward policy …`: the policies of a tenant, at its server, and what their author does before.

mod publish;
mod question;
mod signing;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use reqwest::Method;
use serde_json::{Value, json};

pub use self::question::Question;
use super::super::api::Api;
use super::super::call::Call;
use super::super::connection::{Connection, Who};
use super::super::failure::Failure;
use super::super::show::Printer;
use crate::author;
use crate::policies::signature::{HEADER, Signature};

/// What a digest begins with, and no file should.
const DIGEST: &str = "sha256:";

/// What can be done with policies.
#[derive(Subcommand)]
pub enum Command {
    /// Admit a component and keep it; it decides nothing until it is activated
    Push {
        /// The component (.wasm)
        #[arg(value_hint = ValueHint::FilePath, required_unless_present = "from")]
        file: Option<PathBuf>,
        /// Have the server pull it from a registry, with its signatures
        #[arg(long, value_name = "oci://REGISTRY/REPOSITORY:TAG", conflicts_with_all = ["file", "sign"])]
        from: Option<String>,
        #[command(flatten)]
        sign: Sign,
        /// Make it the tenant's policy at once
        #[arg(long)]
        activate: bool,
    },
    /// Push a component and its signatures into an OCI registry, for servers to pull
    Publish(publish::Publish),
    /// List the policies that are kept
    List {
        /// At most so many
        #[arg(long, value_name = "NUMBER")]
        limit: Option<u32>,
        /// Those after this digest; `next` of the page before
        #[arg(long, value_name = "DIGEST")]
        after: Option<String>,
    },
    /// Show the active policy, or one that is kept
    Show {
        /// The digest of one that is kept
        digest: Option<String>,
    },
    /// Make a policy that is kept the tenant's policy; or push a component and do so
    Activate {
        /// The digest of one that is kept (sha256:…), or a component (.wasm)
        #[arg(value_name = "DIGEST|FILE", value_hint = ValueHint::FilePath)]
        what: PathBuf,
        /// Only while this one is active
        #[arg(long, value_name = "DIGEST")]
        if_active: Option<String>,
        #[command(flatten)]
        sign: Sign,
    },
    /// Go back to the policy that was active before
    Rollback {
        /// Go back to this one instead
        #[arg(long, value_name = "DIGEST")]
        to: Option<String>,
    },
    /// Show what decides and what is tried: canary, shadow, safeguard
    Rollout,
    /// Let a policy that is kept decide a share of the requests; or end that
    Canary(Trial),
    /// Run a policy that is kept beside the active one, and report how it differs; or end that
    Shadow(Trial),
    /// Let a policy that fails too often give way to the one before; or let it stay
    Safeguard {
        /// Of a hundred runs within a minute; more than that is too often
        #[arg(long, value_name = "PERCENT", required_unless_present = "off")]
        max_failed: Option<u8>,
        /// Runs within a minute below which nothing is concluded
        #[arg(long, value_name = "RUNS", default_value = "100")]
        min_runs: u32,
        /// Let it stay
        #[arg(long, conflicts_with = "max_failed")]
        off: bool,
    },
    /// Show what a policy would decide, and how it comes to that; nothing is done
    Explain {
        /// As the policy sees it: encrypt, decrypt, …, or invoke/NAME
        operation: String,
        #[command(flatten)]
        question: Question,
        /// A policy that is kept, in the place of the active one
        #[arg(long, value_name = "DIGEST")]
        policy: Option<String>,
    },
    /// Delete a policy that is kept and not needed
    Delete {
        /// Its digest
        digest: String,
    },
    /// Show which policies were active, since when, by whom
    History,
    /// Show how a policy differs from the active one in permissions and operations
    Diff {
        /// Its digest
        to: String,
        /// The digest of one to compare with instead of the active one
        #[arg(long, value_name = "DIGEST")]
        from: Option<String>,
    },
    /// Show whose signatures the tenant's policies need; with options, set that (operators)
    Trust {
        /// A trusted signer and its public key (PEM); may be given again. Replaces those before
        #[arg(long, value_name = "NAME=FILE")]
        signer: Vec<String>,
        /// No signers
        #[arg(long, conflicts_with = "signer")]
        no_signers: bool,
        /// Whether policies without a signature pass
        #[arg(long, value_name = "WHETHER")]
        unsigned: Option<Unsigned>,
    },
    /// Show what the tenant's policies may want at most; with options, set that (operators)
    Ceiling {
        /// An interface that may be imported, such as sealing; may be given again
        #[arg(long, value_name = "INTERFACE")]
        allow: Vec<String>,
        /// No interface may be imported
        #[arg(long, conflicts_with = "allow")]
        allow_none: bool,
        /// The largest component
        #[arg(long, value_name = "BYTES")]
        max_size: Option<u64>,
        /// Every interface, and components as large as the server takes
        #[arg(long, conflicts_with_all = ["allow", "allow_none", "max_size"])]
        unbounded: bool,
    },
    /// Make a key to sign policies with: a private one for yourself, a public one for operators
    Keygen {
        /// Where the private key goes (PKCS #8, PEM, readable by you alone); there must be no such
        /// file
        #[arg(value_hint = ValueHint::FilePath)]
        key: PathBuf,
        /// Where the public key goes (PEM) [default: KEY.pub]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        public: Option<PathBuf>,
    },
    #[command(flatten)]
    Author(author::Command),
}

/// What is tried, and how much.
#[derive(Args)]
pub struct Trial {
    /// Its digest
    #[arg(required_unless_present = "off")]
    digest: Option<String>,
    /// Of a hundred requests
    #[arg(long, default_value = "100")]
    percent: u8,
    /// End it
    #[arg(long, conflicts_with = "digest")]
    off: bool,
}

impl Trial {
    fn call(self, what: &str) -> Call {
        let path = ["policy", what];
        if self.off {
            return Call::new(Method::DELETE, &path);
        }
        Call::new(Method::PUT, &path)
            .field("digest", self.digest)
            .field("percent", Some(self.percent))
    }
}

/// Who signs.
#[derive(Args)]
pub struct Sign {
    /// Sign it with this private key (Ed25519, PKCS #8, PEM); may be given again
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    sign: Vec<PathBuf>,
}

/// Whether policies without a signature pass.
#[derive(Clone, Copy, ValueEnum)]
pub enum Unsigned {
    /// They pass.
    Allow,
    /// They do not.
    Refuse,
    /// As the server's settings say.
    Default,
}

impl Unsigned {
    fn value(self) -> Value {
        match self {
            Self::Allow => true.into(),
            Self::Refuse => false.into(),
            Self::Default => Value::Null,
        }
    }
}

impl Command {
    /// Runs it.
    pub async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let call = match self {
            Self::Author(command) => return author::run(command, connection).await,
            Self::Keygen { key, public } => return signing::keygen(&key, public),
            Self::Publish(publish) => return publish.run(connection).await,
            Self::Push { file, from: Some(from), activate, .. } => {
                debug_assert!(file.is_none(), "clap lets nobody give both");
                let call = Call::post(&["policies", "pull"]).field("from", Some(from));
                if activate {
                    let answer = Api::new(connection)?.call(call).await?;
                    Call::post(&["policy", "activate"]).field("digest", Some(digest(&answer)?))
                } else {
                    call
                }
            }
            Self::Push { file, sign, activate, from: None } => {
                let call = if activate {
                    Call::new(Method::PUT, &["policy"])
                } else {
                    Call::post(&["policies"])
                };
                component(call, connection, &file.unwrap_or_default(), &sign)?
            }
            Self::Activate { what, if_active, sign } => {
                activate(connection, &what, if_active, &sign)?
            }
            Self::List { limit, after } => {
                Call::get(&["policies"]).query("limit", limit).query("after", after)
            }
            Self::Show { digest: None } => Call::get(&["policy"]),
            Self::Show { digest: Some(digest) } => Call::get(&["policies", &digest]),
            Self::Rollback { to } => Call::post(&["policy", "rollback"]).field("digest", to),
            Self::Rollout => Call::get(&["policy", "rollout"]),
            Self::Canary(trial) => trial.call("canary"),
            Self::Shadow(trial) => trial.call("shadow"),
            Self::Safeguard { off: true, .. } => {
                Call::new(Method::DELETE, &["policy", "safeguard"])
            }
            Self::Safeguard { max_failed, min_runs, off: false } => {
                Call::new(Method::PUT, &["policy", "safeguard"])
                    .field("max_failed_percent", max_failed)
                    .field("min_runs", Some(min_runs))
            }
            Self::Explain { operation, question, policy } => {
                let mut fields = question.fields()?;
                fields.insert("operation".into(), operation.into());
                fields.extend(policy.map(|digest| ("digest".to_owned(), digest.into())));
                Call::post(&["policy", "explain"]).fields(fields)
            }
            Self::Delete { digest } => Call::new(Method::DELETE, &["policies", &digest]),
            Self::History => Call::get(&["policy", "history"]),
            Self::Diff { to, from } => {
                Call::get(&["policy", "diff"]).query("from", from).query("to", Some(to))
            }
            Self::Trust { signer, no_signers, unsigned } => trust(&signer, no_signers, unsigned)?,
            Self::Ceiling { allow, allow_none, max_size, unbounded } => {
                ceiling(allow, allow_none, max_size, unbounded)
            }
        };
        let show = call.show;
        let answer = Api::new(connection)?.call(call).await?;
        Printer::new(connection).answer(&answer, show)
    }
}

fn activate(
    connection: &Connection,
    what: &Path,
    if_active: Option<String>,
    sign: &Sign,
) -> Result<Call, Failure> {
    if let Some(digest) = what.to_str().filter(|text| text.starts_with(DIGEST)) {
        if !sign.sign.is_empty() {
            let text = "--sign is for a component; push it with --sign, then activate its digest";
            return Err(Failure::Usage(text.into()));
        }
        return Ok(Call::post(&["policy", "activate"])
            .field("digest", Some(digest))
            .field("if_active", if_active));
    }
    if if_active.is_some() {
        let text = "--if-active takes the digest of a policy that is kept: push the file first";
        return Err(Failure::Usage(text.into()));
    }
    component(Call::new(Method::PUT, &["policy"]), connection, what, sign)
}

/// The call with a component as its body, and a signature for each key.
fn component(
    mut call: Call,
    connection: &Connection,
    file: &Path,
    sign: &Sign,
) -> Result<Call, Failure> {
    let wasm = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    for key in &sign.sign {
        let signature: Signature = signing::sign(key, &connection.tenant()?, &wasm)?;
        call = call.header(HEADER, signature.to_header());
    }
    Ok(call.bytes("application/wasm", wasm))
}

/// The digest of what a server says it keeps.
fn digest(answer: &[u8]) -> Result<String, Failure> {
    let answer: Option<Value> = serde_json::from_slice(answer).ok();
    let digest = answer.as_ref().and_then(|answer| answer["digest"].as_str());
    let none = || Failure::Connection("the answer has no digest; is it Keyward's?".into());
    digest.map(str::to_owned).ok_or_else(none)
}

fn trust(
    signers: &[String],
    no_signers: bool,
    unsigned: Option<Unsigned>,
) -> Result<Call, Failure> {
    let path = ["policy", "trust"];
    if signers.is_empty() && !no_signers {
        if unsigned.is_some() {
            let text = "--unsigned is set together with the signers: give --signer or --no-signers";
            return Err(Failure::Usage(text.into()));
        }
        return Ok(Call::get(&path));
    }
    let signers = signers.iter().map(|given| {
        let (name, file) = given
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("{given:?} is not NAME=FILE")))?;
        let pem = std::fs::read_to_string(file);
        let pem = pem.map_err(|error| Failure::file("read", Path::new(file), &error))?;
        Ok(json!({ "name": name, "public_key": pem }))
    });
    let signers = signers.collect::<Result<Vec<Value>, Failure>>()?;
    Ok(Call::new(Method::PUT, &path)
        .who(Who::Operator)
        .field("signers", Some(signers))
        .field("unsigned", unsigned.map(Unsigned::value)))
}

fn ceiling(allow: Vec<String>, allow_none: bool, max_size: Option<u64>, unbounded: bool) -> Call {
    let path = ["policy", "ceiling"];
    if allow.is_empty() && !allow_none && max_size.is_none() && !unbounded {
        return Call::get(&path);
    }
    let interfaces = (!allow.is_empty() || allow_none).then_some(allow);
    Call::new(Method::PUT, &path)
        .who(Who::Operator)
        .object()
        .field("interfaces", interfaces)
        .field("max_size", max_size)
}
