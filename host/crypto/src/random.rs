//! Randomness: keys, ids and nonces.

use crate::CryptoError;

/// Fills `out` from the operating system's cryptographically secure generator, whichever provider
/// is in use: no generator state of our own that a fork or a restored snapshot could repeat.
/// [`CryptoError::Random`] when there is none; `out` must then not be used.
pub fn random_bytes(out: &mut [u8]) -> Result<(), CryptoError> {
    getrandom::fill(out).map_err(|_| CryptoError::Random)
}
