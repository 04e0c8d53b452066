//! Rewrap, data keys, signatures, MACs, derived bytes, random bytes, digests, and what a policy
//! offers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};

use super::super::call::Call;
use super::super::connection::{Connection, Who};
use super::super::failure::Failure;
use super::super::files::{InputArgs, OutputArgs};
use super::super::plain;
use super::super::show::Show;
use super::streams;

/// What can be done with data.
#[derive(Subcommand)]
pub enum Command {
    /// Encrypt a ciphertext (kw1.…) anew, by the newest version or to another context or key
    Rewrap(With<Rewrap>),
    /// Make a data key: its bytes in base64, and the same encrypted
    Datakey(With<Datakey>),
    /// Sign standard input; prints the signature in base64
    Sign(With<Sign>),
    /// Check the signature of standard input: prints valid (exit code 0) or invalid (1)
    Verify(With<Verify>),
    /// Make the MAC of standard input, or check one with --verify
    Mac(With<Mac>),
    /// Derive bytes from a key; prints base64
    Derive(With<Derive>),
    /// Random bytes; prints base64
    Random(With<Random>),
    /// Hash standard input; prints base64
    Hash(With<Hash>),
    /// Let the tenant's policy work on standard input
    Invoke(With<Invoke>),
}

/// A command with the options that all have.
#[derive(Args)]
#[group(skip)]
pub struct With<C: Args> {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    command: C,
}

/// What binds a ciphertext, and what the policy is told.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Bound {
    /// What the ciphertext is bound to, as text: decrypting needs the same
    #[arg(long, value_name = "TEXT")]
    pub context: Option<String>,
    /// What it is for, for the policy
    #[arg(long, value_name = "TEXT")]
    pub purpose: Option<String>,
}

impl Bound {
    /// A call with these fields.
    pub fn fill(self, call: Call) -> Call {
        call.field("context", self.context.map(|text| STANDARD.encode(text)))
            .field("purpose", self.purpose)
    }
}

#[derive(Args)]
#[group(skip)]
pub struct Rewrap {
    /// The key, if the ciphertext must be of this one
    #[arg(long)]
    key: Option<String>,
    /// The key to encrypt with from now on
    #[arg(long, value_name = "KEY")]
    new_key: Option<String>,
    /// What to bind it to from now on, as text
    #[arg(long, value_name = "TEXT")]
    new_context: Option<String>,
    #[command(flatten)]
    bound: Bound,
    #[command(flatten)]
    input: InputArgs,
}

#[derive(Args)]
#[group(skip)]
pub struct Datakey {
    /// The key that encrypts it
    #[arg(long)]
    key: Option<String>,
    /// 128, 256 or 512 [default: 256]
    #[arg(long)]
    bits: Option<u32>,
    /// A key pair of this algorithm instead, such as ed25519
    #[arg(long, value_name = "ALGORITHM", conflicts_with = "bits")]
    pair: Option<String>,
    /// Only the encrypted form
    #[arg(long)]
    wrapped_only: bool,
    #[command(flatten)]
    bound: Bound,
}

#[derive(Args)]
#[group(skip)]
pub struct Sign {
    /// The key
    #[arg(long)]
    key: Option<String>,
    /// standard, fixed (ECDSA as JOSE has it) or pkcs1 (RSA)
    #[arg(long)]
    form: Option<String>,
    /// What it is for, for the policy
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    input: InputArgs,
}

#[derive(Args)]
#[group(skip)]
pub struct Verify {
    /// The signature, in base64
    #[arg(long, value_name = "BASE64")]
    signature: String,
    /// The version it must be of; any unless given
    #[arg(long, value_name = "VERSION")]
    key_version: Option<u32>,
    #[command(flatten)]
    sign: Sign,
}

#[derive(Args)]
#[group(skip)]
pub struct Mac {
    /// The key
    #[arg(long)]
    key: Option<String>,
    /// Check this MAC (base64): prints valid (exit code 0) or invalid (1)
    #[arg(long, value_name = "BASE64")]
    verify: Option<String>,
    /// The version it must be of; any unless given
    #[arg(long, value_name = "VERSION", requires = "verify")]
    key_version: Option<u32>,
    /// What it is for, for the policy
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    input: InputArgs,
}

#[derive(Args)]
#[group(skip)]
pub struct Derive {
    /// The key
    #[arg(long)]
    key: Option<String>,
    /// What the bytes are for, as text: other bytes for each
    #[arg(long, value_name = "TEXT")]
    info: String,
    /// How many, 1 to 1024 [default: 32]
    #[arg(long)]
    bytes: Option<u32>,
    #[command(flatten)]
    bound: Bound,
}

#[derive(Args)]
#[group(skip)]
pub struct Random {
    /// How many, 1 to 65536 [default: 32]
    #[arg(long)]
    bytes: Option<u32>,
    /// What they are for, for the policy
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
}

#[derive(Args)]
#[group(skip)]
pub struct Hash {
    /// sha-256, sha-384 or sha-512 [default: sha-256]
    #[arg(long)]
    algorithm: Option<String>,
    /// What it is for, for the policy
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    input: InputArgs,
}

#[derive(Args)]
#[group(skip)]
pub struct Invoke {
    /// What the policy is to do, as `keyward policy show` lists it
    operation: String,
    /// The key, if the operation takes one
    #[arg(long)]
    key: Option<String>,
    /// The type of the input
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    #[command(flatten)]
    bound: Bound,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Command {
    /// Runs it.
    pub async fn run(self) -> Result<(), Failure> {
        let (connection, call) = match self {
            Self::Rewrap(With { connection, command }) => (connection, command.call()?),
            Self::Datakey(With { connection, command }) => (connection, command.call()),
            Self::Sign(With { connection, command }) => (connection, command.call()?),
            Self::Verify(With { connection, command }) => (connection, command.call()?),
            Self::Mac(With { connection, command }) => (connection, command.call()?),
            Self::Derive(With { connection, command }) => (connection, command.call()),
            Self::Random(With { connection, command }) => (connection, command.call()),
            Self::Hash(With { connection, command }) => (connection, command.call()?),
            Self::Invoke(With { connection, command }) => return command.run(&connection).await,
        };
        plain(&connection, call).await
    }
}

/// An operation on data, whose answer is shown so.
fn operation(path: &[&str], show: Show) -> Call {
    Call::post(path).who(Who::Application).show(show)
}

impl Rewrap {
    fn call(self) -> Result<Call, Failure> {
        let call = operation(&["rewrap"], Show::Field("ciphertext"))
            .field("ciphertext", Some(self.input.ciphertext()?))
            .field("key", self.key)
            .field("new_key", self.new_key)
            .field("new_context", self.new_context.map(|text| STANDARD.encode(text)));
        Ok(self.bound.fill(call))
    }
}

impl Datakey {
    fn call(self) -> Call {
        let call = operation(&["datakey"], Show::Auto)
            .field("key", self.key)
            .field("bits", self.bits)
            .field("pair", self.pair)
            .field("wrapped_only", self.wrapped_only.then_some(true));
        self.bound.fill(call)
    }
}

impl Sign {
    fn call(self) -> Result<Call, Failure> {
        self.fill(operation(&["sign"], Show::Field("signature")))
    }

    fn fill(self, call: Call) -> Result<Call, Failure> {
        Ok(call
            .field("input", Some(STANDARD.encode(&*self.input.value()?)))
            .field("key", self.key)
            .field("form", self.form)
            .field("purpose", self.purpose))
    }
}

impl Verify {
    fn call(self) -> Result<Call, Failure> {
        let call = operation(&["verify"], Show::Validity)
            .field("signature", Some(self.signature))
            .field("key_version", self.key_version);
        self.sign.fill(call)
    }
}

impl Mac {
    fn call(self) -> Result<Call, Failure> {
        let call = match self.verify {
            None => operation(&["mac"], Show::Field("mac")),
            Some(mac) => operation(&["mac", "verify"], Show::Validity).field("mac", Some(mac)),
        };
        Ok(call
            .field("input", Some(STANDARD.encode(&*self.input.value()?)))
            .field("key", self.key)
            .field("key_version", self.key_version)
            .field("purpose", self.purpose))
    }
}

impl Derive {
    fn call(self) -> Call {
        let call = operation(&["derive"], Show::Field("derived"))
            .field("info", Some(STANDARD.encode(self.info)))
            .field("key", self.key)
            .field("bytes", self.bytes);
        self.bound.fill(call)
    }
}

impl Random {
    fn call(self) -> Call {
        // A body even where there are no fields.
        operation(&["random"], Show::Field("random"))
            .object()
            .field("bytes", self.bytes)
            .field("purpose", self.purpose)
    }
}

impl Hash {
    fn call(self) -> Result<Call, Failure> {
        Ok(operation(&["hash"], Show::Field("hash"))
            .field("input", Some(STANDARD.encode(&*self.input.value()?)))
            .field("algorithm", self.algorithm)
            .field("purpose", self.purpose))
    }
}

impl Invoke {
    async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let context = self.bound.context.map(|text| STANDARD.encode(text));
        let call = operation(&["invoke", &self.operation], Show::Auto)
            .query("key", self.key)
            .query("context", context)
            .query("purpose", self.bound.purpose);
        let headers = [("content-type", self.content_type)];
        let (input, output) = (self.input.open()?, self.output.open()?);
        streams::send(connection, call, &headers, input, output).await
    }
}
