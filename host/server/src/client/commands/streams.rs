//! Encrypt and decrypt: values in one piece, and streams of any length in constant memory.
//!
//! One rule: `encrypt` makes text (`kw1.…`) of a value, and with `--stream` a stream of bytes.
//! `decrypt` sees by the first bytes which it is given.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Args;
use http_body_util::BodyExt;
use http_range_header::parse_range_header;
use keyward_crypto::stream::{StreamHeader, chunk_span, plaintext_len};
use reqwest::Body;
use tokio::task::JoinHandle;

use super::super::api::{self, Api};
use super::super::call::Call;
use super::super::connection::{Connection, Who};
use super::super::failure::Failure;
use super::super::files::{Input, InputArgs, Output, OutputArgs};
use super::super::show::{Printer, Show};
use super::super::{progress, upload};
use super::data::Bound;

/// What ciphertexts in text begin with.
const TEXT: &[u8] = b"kw1.";

/// `keyward encrypt`
#[derive(Args)]
#[group(skip)]
pub struct Encrypt {
    /// The key, unless the policy chooses one
    #[arg(long)]
    key: Option<String>,
    /// Encrypt bytes of any length, in constant memory, to bytes
    #[arg(long)]
    stream: bool,
    #[command(flatten)]
    bound: Bound,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `keyward decrypt`
#[derive(Args)]
#[group(skip)]
pub struct Decrypt {
    /// The key, if the ciphertext must be of this one
    #[arg(long)]
    key: Option<String>,
    /// Only these bytes of a stream's plaintext: 0-99, 100- or -100; of the file, no more is read
    /// and sent than holds them
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<String>,
    #[command(flatten)]
    bound: Bound,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Encrypt {
    /// Runs it.
    pub async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let Self { key, stream, bound, input, output } = self;
        if stream {
            let call = streamed("encrypt", key, bound);
            return send(connection, call, &[], input.open()?, output.open()?).await;
        }
        let call = Call::post(&["encrypt"])
            .who(Who::Application)
            .field("plaintext", Some(STANDARD.encode(&*input.value()?)))
            .field("key", key);
        value(connection, bound.fill(call).show(Show::Field("ciphertext")), output).await
    }
}

impl Decrypt {
    /// Runs it.
    pub async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let Self { key, range, bound, input, output } = self;
        if let Some(range) = range {
            let Part { input, sealed_length } = Part::of(input.open_file()?, &range)?;
            let call = streamed("decrypt", key, bound).query("sealed_length", Some(sealed_length));
            let headers = [("range", format!("bytes={range}"))];
            return send(connection, call, &headers, input, output.open()?).await;
        }
        let Input { name, length, mut source } = input.open()?;
        let mut start = Vec::new();
        let read = source.by_ref().take(TEXT.len() as u64).read_to_end(&mut start);
        read.map_err(|error| Failure::local(&format!("cannot read {name}"), &error))?;
        if start.is_empty() {
            return Err(Failure::Usage(format!("{name} is empty: there is nothing to decrypt")));
        }
        let is_text = start == TEXT;
        let source: Box<dyn Read + Send> = Box::new(Cursor::new(start).chain(source));
        let input = Input { name, length, source };
        if !is_text {
            let call = streamed("decrypt", key, bound);
            return send(connection, call, &[], input, output.open()?).await;
        }
        let call = Call::post(&["decrypt"])
            .who(Who::Application)
            .field("ciphertext", Some(input.ciphertext()?))
            .field("key", key);
        value(connection, bound.fill(call).show(Show::Bytes("plaintext")), output).await
    }
}

/// What the server needs of a stream to open a range of its plaintext.
struct Part {
    /// The stream's header, then the chunks that hold the range.
    input: Input,
    /// Length of the whole stream in bytes.
    sealed_length: String,
}

impl Part {
    fn of(file: (String, File), range: &str) -> Result<Self, Failure> {
        let (name, mut file) = file;
        let fail = |error: &io::Error| Failure::local(&format!("cannot read {name}"), error);
        let length = file.metadata().map_err(|error| fail(&error))?.len();
        let sealed_length = length.to_string();
        let usage = |detail: &str| Failure::Usage(format!("--range {range}: {detail}"));
        let total = plaintext_len(length)
            .ok_or_else(|| Failure::Usage(format!("{name} is no whole encrypted stream")))?;
        let ranges = parse_range_header(&format!("bytes={range}"))
            .map_err(|_| usage("is not a range such as 0-99, 100- or -100"))?
            .validate(total)
            .map_err(|_| usage(&format!("the plaintext has {total} bytes")))?;
        let [range] = &ranges[..] else {
            return Err(usage("has to be one range, and not empty"));
        };
        let span = chunk_span(*range.start()..range.end() + 1, total)
            .ok_or_else(|| usage("is not within the plaintext"))?;
        let mut header = Vec::new();
        let read = file.by_ref().take(StreamHeader::LEN as u64).read_to_end(&mut header);
        read.map_err(|error| fail(&error))?;
        file.seek(SeekFrom::Start(span.sealed.start)).map_err(|error| fail(&error))?;
        let chunks = span.sealed.end - span.sealed.start;
        let length = Some(header.len() as u64 + chunks);
        let source = Box::new(Cursor::new(header).chain(file.take(chunks)));
        Ok(Self { input: Input { name, length, source }, sealed_length })
    }
}

/// A value's call, its answer to standard output or a file.
async fn value(connection: &Connection, call: Call, output: OutputArgs) -> Result<(), Failure> {
    let (show, mut output) = (call.show, output.open()?);
    let answer = Api::new(connection)?.call(call).await?;
    output.write(&Printer::new(connection).shown(&answer, show)?)?;
    output.finish()
}

fn streamed(direction: &str, key: Option<String>, bound: Bound) -> Call {
    Call::post(&["stream", direction])
        .who(Who::Application)
        .query("key", key)
        .query("context", bound.context.map(|text| URL_SAFE_NO_PAD.encode(text)))
        .query("purpose", bound.purpose)
}

/// Sends the input while it is read, and writes the answer as it comes.
pub async fn send(
    connection: &Connection,
    call: Call,
    headers: &[(&'static str, String)],
    input: Input,
    mut output: Output,
) -> Result<(), Failure> {
    let api = Api::new(connection)?;
    let mut request = api.request(call.method, call.place, &call.path, &call.query, call.who)?;
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let bar = progress::bar(input.length, connection.json());
    let (writer, body) = upload::pipe();
    let (moving, source) = (bar.clone(), input.source);
    let reading = tokio::task::spawn_blocking(move || upload::copy(source, writer, &moving));
    let answer = match api.send(request.body(Body::wrap(body))).await {
        Ok(answer) => answer,
        Err(failure @ Failure::Problem(_)) => return Err(failure),
        Err(failure) => return Err(input_failure(input.name, reading).await.unwrap_or(failure)),
    };
    let mut body = api::body(answer);
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                let failure = input_failure(input.name, reading).await;
                return Err(failure.unwrap_or_else(|| api.broken(&error)));
            }
        };
        if let Ok(piece) = frame.into_data() {
            output.write(&piece)?;
        }
    }
    output.finish()?;
    bar.finish_and_clear();
    Ok(())
}

/// What was wrong with the input, if that is what ended a transfer.
async fn input_failure(name: String, reading: JoinHandle<io::Result<()>>) -> Option<Failure> {
    // The body is broken off a moment before the task is over.
    match tokio::time::timeout(Duration::from_millis(200), reading).await {
        Ok(Ok(Err(error))) => Some(Failure::local(&format!("cannot read {name}"), &error)),
        _ => None,
    }
}
