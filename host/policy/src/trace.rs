//! What an observed run did: its decision, its output, and every call it made of the host.

use std::fmt;
use std::time::Duration;

use keyward_crypto::Algorithm;
use zeroize::Zeroizing;

use crate::bindings::{Payload, Plan};
use crate::error::{HostError, PolicyError};

/// How much of the values that cross the border is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Names and lengths: of bytes only how many there were. Nothing of a payload.
    #[default]
    Lengths,
    /// All of it, plaintext included: for the author's own machine.
    Values,
}

/// A value that crossed the border between a policy and the host. Never a key's bytes: these do
/// not cross it.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// No result, or the absence of an optional one.
    Nothing,
    /// Yes or no.
    Bool(bool),
    /// A version, a length, a counter.
    Number(i128),
    /// A name, a label, a log message.
    Text(String),
    /// Payload, ciphertext, authenticated data, randomness.
    Bytes(Zeroizing<Vec<u8>>),
    /// How many bytes there were; see [`Detail::Lengths`].
    Length(usize),
    /// Several.
    List(Vec<Value>),
    /// A handle.
    Key(KeyRef),
    /// The host's refusal.
    Refused(HostError),
}

impl Value {
    /// These bytes.
    pub fn bytes(data: &[u8]) -> Self {
        Self::Bytes(Zeroizing::new(data.to_vec()))
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let content = match self {
            Self::Bytes(data) => data.len(),
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(Self::weight).sum(),
            Self::Key(key) => key.name.len(),
            Self::Refused(error) => error.to_string().len(),
            Self::Nothing | Self::Bool(_) | Self::Number(_) | Self::Length(_) => 0,
        };
        size_of::<Self>() + content
    }

    /// The same with no more than lengths of bytes.
    pub(crate) fn without_bytes(self) -> Self {
        match self {
            Self::Bytes(data) => Self::Length(data.len()),
            Self::List(items) => Self::List(items.into_iter().map(Self::without_bytes).collect()),
            other => other,
        }
    }
}

/// Bytes may be plaintext: only their number is shown.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(data) => write!(f, "{} bytes", data.len()),
            Self::Length(len) => write!(f, "{len} bytes"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Key(key) => write!(f, "{key:?}"),
            Self::Refused(error) => write!(f, "{error:?}"),
        }
    }
}

/// A key's handle as a run had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Tells handles of one run apart.
    pub handle: u32,
    /// The key's name.
    pub name: String,
    /// The version it was opened at.
    pub version: u32,
    /// The key's algorithm.
    pub algorithm: Algorithm,
}

/// One call of a host function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// Interface and function, for instance `sealing.encrypt` or `keys.open`.
    pub function: String,
    /// In the contract's order.
    pub arguments: Vec<Value>,
    /// What the host answered.
    pub result: Value,
}

/// One log line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The message.
    pub message: String,
    /// `name=value`, separated by spaces.
    pub fields: String,
}

/// Where a replayed run left its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Which call it was, from 0.
    pub position: usize,
    /// What the recording has there; none: it ends before.
    pub expected: Option<HostCall>,
    /// What the policy called, without a result.
    pub called: HostCall,
}

/// All that is known of one observed run.
#[derive(Debug)]
pub struct Trace {
    /// What `authorize` decided, checked as it is for a request.
    pub decision: Result<Plan, PolicyError>,
    /// What `invoke` gave, if there was a payload and the decision allowed it.
    pub output: Option<Result<Payload, PolicyError>>,
    /// The calls in order, those of `authorize` first.
    pub calls: Vec<HostCall>,
    /// The log lines within the limit.
    pub log: Vec<LogEntry>,
    /// How many were over it.
    pub log_lines_dropped: u32,
    /// Fuel used: about one unit for each WebAssembly instruction. None if the engine does not
    /// count it; see [`HostConfig::fuel`](crate::HostConfig::fuel).
    pub fuel: Option<u64>,
    /// The most linear memory the run had, in bytes.
    pub memory_bytes: usize,
    /// From start to end.
    pub elapsed: Duration,
    /// In a replayed run: the first call that was not as recorded. The run ended there.
    pub divergence: Option<Divergence>,
    /// In a replayed run: how many recorded calls were not made.
    pub calls_left: usize,
    /// Whether there was more in the calls than [`Observe::max_bytes`](crate::Observe::max_bytes):
    /// none of them is kept then.
    pub overflowed: bool,
}
