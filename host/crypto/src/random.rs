//! Randomness.

use crate::CryptoError;
use crate::provider::{self, Provider};

/// Fills `out` from the provider's cryptographically secure generator.
/// [`CryptoError::Random`] when there is none; `out` must then not be used.
pub fn random_bytes(out: &mut [u8]) -> Result<(), CryptoError> {
    provider::Default::random(out)
}
