//! What host functions tell an observer, and take from a recording: see [`crate::watch`].

use tracing::Span;
use wasmtime::component::Resource;

use crate::bindings::{log, types};
use crate::error::HostError;
use crate::instance::Instance;
use crate::keys::{KeyHandle, KeyResource};
use crate::spans;
use crate::trace::{KeyRef, Value};
use crate::watch::Crossing;

/// `None`: carry it out. `Some`: what the recording has as its result.
type Answered<T> = wasmtime::Result<Option<T>>;

impl Instance {
    /// Begins a call: counts it, and notes it if the run is observed.
    pub fn begin<T: Crossing>(
        &mut self,
        function: &'static str,
        arguments: impl FnOnce() -> Vec<Value>,
    ) -> Answered<T> {
        self.count_call().map_err(wasmtime::Error::new)?;
        if self.is_traced {
            self.call = spans::host_call(function);
        }
        let Some(watch) = &mut self.watch else {
            return Ok(None);
        };
        match watch.begin(function, arguments()).map_err(wasmtime::Error::new)? {
            None => Ok(None),
            Some(answer) => match T::replay(answer) {
                Some(answer) => Ok(Some(answer)),
                None => Err(wasmtime::Error::new(watch.unfit())),
            },
        }
    }

    /// The same for a call on a handle.
    pub fn begin_on<T: Crossing>(
        &mut self,
        function: &'static str,
        key: &Resource<KeyResource>,
        arguments: impl FnOnce() -> Vec<Value>,
    ) -> Answered<T> {
        let first = match &self.watch {
            Some(_) => Some(Value::Key(key_ref(key, &*self.handles.get(key)?.0))),
            None => None,
        };
        self.begin(function, || first.into_iter().chain(arguments()).collect())
    }

    /// Ends a call: notes its result if the run is observed.
    pub fn end<T: Crossing>(&mut self, result: T) -> T {
        if self.is_traced {
            self.call = Span::none();
        }
        if let Some(watch) = &mut self.watch {
            watch.end(result.note());
        }
        result
    }
}

/// A text that may be a payload: noted as bytes, so that a trace of lengths has no more than that.
pub struct Plain(pub String);

impl Crossing for Plain {
    fn note(&self) -> Value {
        Value::bytes(self.0.as_bytes())
    }

    fn replay(value: Value) -> Option<Self> {
        String::from_utf8(Vec::replay(value)?).ok().map(Self)
    }
}

/// What `open` gives, as it is noted: a handle itself cannot be kept.
pub enum Opened {
    Key(KeyRef),
    Refused(HostError),
}

impl Crossing for Opened {
    fn note(&self) -> Value {
        match self {
            Self::Key(key) => Value::Key(key.clone()),
            Self::Refused(error) => Value::Refused(error.clone()),
        }
    }

    fn replay(value: Value) -> Option<Self> {
        match value {
            Value::Key(key) => Some(Self::Key(key)),
            Value::Refused(error) => Some(Self::Refused(error)),
            _ => None,
        }
    }
}

pub fn key_ref(key: &Resource<KeyResource>, handle: &dyn KeyHandle) -> KeyRef {
    KeyRef {
        handle: key.rep(),
        name: handle.name().into(),
        version: handle.version(),
        algorithm: handle.algorithm(),
    }
}

pub fn form_name(form: types::SignatureForm) -> Value {
    Value::Text(
        match form {
            types::SignatureForm::Standard => "standard",
            types::SignatureForm::Fixed => "fixed",
            types::SignatureForm::Pkcs1 => "pkcs1",
        }
        .into(),
    )
}

/// Two arguments of one item.
pub fn pair(data: &[u8], aad: &[u8]) -> [Value; 2] {
    [Value::bytes(data), Value::bytes(aad)]
}

/// The contract's name of a level.
pub fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Debug => "debug",
        log::Level::Info => "info",
        log::Level::Warn => "warn",
        log::Level::Error => "error",
    }
}
