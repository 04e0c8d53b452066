//! The one error type of the crate.

use crate::{Algorithm, Operation, SignatureForm, Suite, algorithm};

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
        /// Operation asked for.
        operation: Operation,
    },
    /// Keys of this algorithm have no public half.
    #[error("a key of algorithm {algorithm} has no public key")]
    NotAsymmetric {
        /// Algorithm of the key.
        algorithm: Algorithm,
    },
    /// The algorithm's signatures do not come in this form.
    #[error("signatures of {algorithm} do not come in the form {form}")]
    SignatureFormNotAllowed {
        /// Algorithm of the key.
        algorithm: Algorithm,
        /// Form asked for.
        form: SignatureForm,
    },
    /// Not the SubjectPublicKeyInfo of a key of this algorithm.
    #[error("not the public key of a key of algorithm {algorithm}")]
    PublicKeyInvalid {
        /// Algorithm of the key.
        algorithm: Algorithm,
    },
    /// An input or the requested output is longer than the construction admits.
    #[error("the input is longer than the construction admits")]
    TooLong,
    /// Every chunk of a stream but the last is of 65,536 bytes; the last has at most as many, and
    /// none only when it is the only one.
    #[error("a chunk of a stream has the wrong length")]
    ChunkLength,
    /// The last chunk of the stream was there already.
    #[error("the stream has ended")]
    StreamEnded,
    /// The operating system gave no random bytes.
    #[error("no random bytes available")]
    Random,
    /// Key material of this algorithm has one length.
    #[error("key material must be {expected} bytes, got {actual}")]
    KeyLength {
        /// Bytes wanted.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// Key material of this algorithm is a PKCS#8 document, and this is none or one of another
    /// kind of key.
    #[error("the key material is not the PKCS#8 document of a key of algorithm {algorithm}")]
    KeyMaterialInvalid {
        /// Algorithm of the key.
        algorithm: Algorithm,
    },
    /// Key material that nobody drew at random: every byte is the same.
    #[error("the key material is weak: all its bytes are the same")]
    KeyMaterialWeak,
    /// Not key material that was wrapped to this key for this purpose. Deliberately the same for
    /// every cause: damaged, cut short, for another key, or bound to another tenant, name or
    /// algorithm.
    #[error("the wrapped key does not unwrap with this key")]
    WrappedKeyInvalid,
    /// Key material cannot be wrapped to this.
    #[error(
        "not the public key (SubjectPublicKeyInfo, PEM) of an RSA key of 2048 to 8192 bits, or of \
         an X25519, ML-KEM-768 or X25519-ML-KEM-768 key"
    )]
    WrappingKeyInvalid,
    /// Nothing can be encrypted to this.
    #[error(
        "not the public key (SubjectPublicKeyInfo, DER) of an X25519, ML-KEM-768 or \
         X25519-ML-KEM-768 key"
    )]
    RecipientKeyInvalid,
    /// Not an alphabet for tokens.
    #[error("an alphabet is of 2 to 65536 characters, each once")]
    AlphabetInvalid,
    /// The text for a token has a character that is not of the alphabet.
    #[error("character {position} of the text is not of the alphabet")]
    NotInAlphabet {
        /// Which one, counted from 1.
        position: usize,
    },
    /// So few texts of this length exist that a token would protect none of them.
    #[error("the text is too short: with this alphabet a token has at least {shortest} characters")]
    TokenTooShort {
        /// Fewest characters.
        shortest: usize,
    },
    /// This build lacks the provider for keys of this algorithm.
    #[error("this build has no implementation of {algorithm}")]
    AlgorithmNotInBuild {
        /// Algorithm of the key.
        algorithm: Algorithm,
    },
    /// Not the name of an algorithm.
    #[error("unknown algorithm; one of {}", algorithm::NAMES)]
    UnknownAlgorithm,
    /// Not the name of a hash function.
    #[error("unknown hash function; one of sha-256, sha-384, sha-512")]
    UnknownDigest,
    /// Not the name of a suite.
    #[error("unknown suite")]
    UnknownSuite,
    /// A key id is 16 lower-case hexadecimal digits.
    #[error("a key id is 16 lower-case hexadecimal digits")]
    KeyIdInvalid,
    /// The cryptographic provider refused a key it must accept; out of memory, in practice.
    #[error("the cryptographic provider failed")]
    Provider,
}
