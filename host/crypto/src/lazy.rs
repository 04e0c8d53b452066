//! A value computed when it is first needed.

use std::sync::OnceLock;

use crate::{CryptoError, memory};

/// A boxed value that is made at most once, by whoever needs it first. Two threads may make it at
/// the same time; one of the two equal values is kept.
pub(crate) struct Lazy<T>(OnceLock<Box<T>>);

impl<T> Lazy<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The value, made by `make` unless it is there already. A failure is not kept.
    pub(crate) fn get(
        &self,
        make: impl FnOnce() -> Result<T, CryptoError>,
    ) -> Result<&T, CryptoError> {
        if let Some(value) = self.0.get() {
            return Ok(value);
        }
        let value = Box::new(make()?);
        memory::keep(&*value);
        Ok(self.0.get_or_init(|| value))
    }
}
