//! The observer behind an instance: notes each host call, or answers it from a recording.
//!
//! A run that nobody observes has none, and pays a test of an `Option` for each call.

mod values;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_crypto::{Algorithm, Alphabet, Mac, SignatureForm};
use zeroize::Zeroizing;

use crate::error::HostError;
use crate::keys::KeyHandle;
use crate::trace::{Detail, Divergence, HostCall, KeyRef, Value};

pub(crate) use values::Crossing;

/// The run called something else than its recording, and ends.
#[derive(Debug, thiserror::Error)]
#[error("the run is not as it was recorded")]
pub(crate) struct Diverged;

/// Notes calls; with a script, answers them.
pub(crate) struct Watch {
    detail: Detail,
    pub calls: Vec<HostCall>,
    /// What is left of the recording, in a replayed run.
    script: Option<VecDeque<HostCall>>,
    pub divergence: Option<Divergence>,
    /// Bytes that the calls may still take; none: more than they may came, and they are gone.
    bytes_left: Option<usize>,
}

impl Watch {
    pub fn new(detail: Detail, script: Option<Vec<HostCall>>, max_bytes: Option<usize>) -> Self {
        let script = script.map(VecDeque::from);
        let bytes_left = Some(max_bytes.unwrap_or(usize::MAX));
        Self { detail, calls: Vec::new(), script, divergence: None, bytes_left }
    }

    /// Whether there was more to keep than there may be.
    pub fn overflowed(&self) -> bool {
        self.bytes_left.is_none()
    }

    /// Whether so much more can be kept.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes_left = self.bytes_left.and_then(|left| left.checked_sub(bytes));
        if self.bytes_left.is_none() {
            self.calls = Vec::new();
        }
        self.bytes_left.is_some()
    }

    /// Notes a call. In a replayed run, gives the recorded answer.
    pub fn begin(
        &mut self,
        function: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Option<Value>, Diverged> {
        let call = HostCall { function: function.into(), arguments, result: Value::Nothing };
        let Some(script) = &mut self.script else {
            self.note(call);
            return Ok(None);
        };
        let expected = script.pop_front();
        match expected {
            Some(recorded)
                if recorded.function == call.function && recorded.arguments == call.arguments =>
            {
                let answer = recorded.result.clone();
                self.note(recorded);
                Ok(Some(answer))
            }
            expected => Err(self.diverge(expected, call)),
        }
    }

    fn note(&mut self, mut call: HostCall) {
        if self.detail == Detail::Lengths {
            call.arguments = call.arguments.into_iter().map(Value::without_bytes).collect();
            call.result = call.result.without_bytes();
        }
        let values = call.arguments.iter().chain([&call.result]);
        if self.has_room(size_of::<HostCall>() + values.map(Value::weight).sum::<usize>()) {
            self.calls.push(call);
        }
    }

    /// Notes the result of the call noted last.
    pub fn end(&mut self, result: Value) {
        let result = match self.detail {
            Detail::Lengths => result.without_bytes(),
            Detail::Values => result,
        };
        if self.has_room(result.weight())
            && let Some(call) = self.calls.last_mut()
        {
            call.result = result;
        }
    }

    /// The answer in the recording is none this call can have.
    pub fn unfit(&mut self) -> Diverged {
        let expected = self.calls.pop();
        let called = expected.clone().map_or_else(
            || HostCall { function: String::new(), arguments: Vec::new(), result: Value::Nothing },
            |call| HostCall { result: Value::Nothing, ..call },
        );
        self.diverge(expected, called)
    }

    fn diverge(&mut self, expected: Option<HostCall>, called: HostCall) -> Diverged {
        let position = self.calls.len();
        self.divergence = Some(Divergence { position, expected, called });
        Diverged
    }

    /// Recorded calls that were not made.
    pub fn calls_left(&self) -> usize {
        self.script.as_ref().map_or(0, VecDeque::len)
    }
}

/// A key of a replayed run: it has a name and no bytes, because every call on it has its answer.
struct ReplayedKey(KeyRef);

/// The handle of a key in a recording.
pub(crate) fn replayed_key(key: KeyRef) -> Arc<dyn KeyHandle> {
    Arc::new(ReplayedKey(key))
}

fn no_key<T>() -> Result<T, HostError> {
    Err(HostError::Unavailable("a replayed run has no keys".into()))
}

#[async_trait]
impl KeyHandle for ReplayedKey {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn version(&self) -> u32 {
        self.0.version
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    fn attribute(&self, _name: &str) -> Option<&str> {
        None
    }

    async fn encrypt(&self, _data: &[u8], _aad: &[u8]) -> Result<Vec<u8>, HostError> {
        no_key()
    }

    async fn decrypt(&self, _data: &[u8], _aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostError> {
        no_key()
    }

    async fn mac(&self, _data: &[u8]) -> Result<Mac, HostError> {
        no_key()
    }

    async fn verify(&self, _data: &[u8], _tag: &[u8]) -> Result<bool, HostError> {
        no_key()
    }

    async fn sign(&self, _data: &[u8], _form: SignatureForm) -> Result<Vec<u8>, HostError> {
        no_key()
    }

    async fn verify_signature(
        &self,
        _data: &[u8],
        _signature: &[u8],
        _form: SignatureForm,
    ) -> Result<Option<u32>, HostError> {
        no_key()
    }

    async fn public_key(&self) -> Result<Vec<u8>, HostError> {
        no_key()
    }

    async fn term(&self, _label: &str, _value: &[u8]) -> Result<[u8; 32], HostError> {
        no_key()
    }

    async fn tokenize(&self, _: &Alphabet, _: &[u8], _: &str) -> Result<String, HostError> {
        no_key()
    }

    async fn reveal_token(
        &self,
        _: &Alphabet,
        _: &[u8],
        _: &str,
    ) -> Result<Zeroizing<String>, HostError> {
        no_key()
    }

    async fn terms(&self, _label: &str, _value: &[u8]) -> Result<Vec<[u8; 32]>, HostError> {
        no_key()
    }
}
