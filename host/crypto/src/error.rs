//! The one error type of the crate.

use crate::{Algorithm, Suite};

/// What can go wrong in this crate. No variant carries a secret, a plaintext or a ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The ciphertext does not open under this key and binding. Deliberately the same for every
    /// cause: damaged, truncated, extended, malformed, of another key, tenant, channel or context.
    #[error("the ciphertext does not open under this key and context")]
    CiphertextInvalid,
    /// The suite asked for does not belong to the family of the key's algorithm.
    #[error("suite {suite} cannot be used with a key of algorithm {algorithm}")]
    SuiteNotAllowed {
        /// Algorithm of the key.
        algorithm: Algorithm,
        /// Suite asked for.
        suite: Suite,
    },
    /// Keys of this algorithm do not perform this operation.
    #[error("a key of algorithm {algorithm} does not support {operation}")]
    OperationNotSupported {
        /// Algorithm of the key.
        algorithm: Algorithm,
        /// Operation asked for, for example `seal`.
        operation: &'static str,
    },
    /// An input or the requested output is longer than the construction admits.
    #[error("the input is longer than the construction admits")]
    TooLong,
    /// The operating system gave no random bytes.
    #[error("no random bytes available")]
    Random,
    /// Key material must be 32 bytes.
    #[error("key material must be {expected} bytes, got {actual}")]
    KeyLength {
        /// Bytes wanted.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// Not the name of an algorithm.
    #[error("unknown algorithm; one of xaes-256-gcm, aes-256-gcm, aes-256-siv, hmac-sha-256")]
    UnknownAlgorithm,
    /// Not the name of a suite.
    #[error("unknown suite; one of xaes-256-gcm, aes-256-gcm, aes-256-siv")]
    UnknownSuite,
    /// A key id is 16 lower-case hexadecimal digits.
    #[error("a key id is 16 lower-case hexadecimal digits")]
    KeyIdInvalid,
    /// The cryptographic provider refused a key it must accept; out of memory, in practice.
    #[error("the cryptographic provider failed")]
    Provider,
}
