//! Suites, ciphertext format and key material.
//!
//! This crate owns three things: which cryptographic constructions exist ([`Algorithm`],
//! [`Operation`], [`Suite`]), what ciphertexts and streams look like byte by byte ([`Header`],
//! [`Binding`], [`text`], [`stream`], written down in `docs/ciphertext.md`), and what is done with
//! the secret material of a key version ([`KeyMaterial`], [`KeyVersion`], and on its way in or out
//! [`WrappingKey`]). It never performs I/O, never stores or looks up a key, never decides who may use one, has no async code and no `unsafe`, and never formats, logs
//! or serialises a secret.
//!
//! Two providers implement the primitives: `aws-lc` (default, fast) and `rustcrypto` (portable).
//! Both may be compiled in at once; [`provider::Default`] is then AWS-LC. What one seals the other
//! opens.
//!
//! ```
//! use keyward_crypto::{Algorithm, Binding, Channel, KeyId, KeyMaterial, KeyVersion};
//!
//! # fn main() -> Result<(), keyward_crypto::CryptoError> {
//! let material = KeyMaterial::generate(Algorithm::default())?;
//! let key = KeyVersion::new(Algorithm::default(), KeyId::random()?, 1, &material)?;
//! let binding = Binding {
//!     channel: Channel::Payload,
//!     tenant: "demo",
//!     key_name: "orders",
//!     policy_data: b"",
//!     context: b"order 17",
//! };
//! let ciphertext = key.seal(None, &binding, b"4111 1111 1111 1111")?;
//! assert_eq!(key.open(&binding, &ciphertext)?.as_slice(), b"4111 1111 1111 1111");
//!
//! let elsewhere = Binding { context: b"order 18", ..binding };
//! assert!(key.open(&elsewhere, &ciphertext).is_err());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "aws-lc", feature = "rustcrypto")))]
compile_error!("enable at least one provider: feature `aws-lc` or `rustcrypto`");

mod aead;
mod algorithm;
mod asymmetric;
pub mod at_rest;
mod batch;
mod binding;
mod derive;
mod error;
mod hash;
mod header;
mod key;
mod key_version;
#[cfg(test)]
mod known_answers;
mod lazy;
mod mac;
mod mac_keys;
mod material;
pub mod memory;
mod operation;
mod pem;
pub mod provider;
mod random;
mod recipient;
mod siv;
pub mod stream;
mod suite;
pub mod text;
mod token;
mod wrapping;
mod xaes;
mod xchacha;

pub use algorithm::Algorithm;
pub use asymmetric::{PublicKey, SignatureForm};
pub use batch::{Batch, OpeningBatch};
pub use binding::{Binding, Channel};
pub use error::CryptoError;
pub use hash::{Digest, hkdf_sha256, hmac_sha256, sha256};
pub use header::Header;
pub use key::KeyId;
pub use key_version::KeyVersion;
pub use mac::Mac;
pub use material::KeyMaterial;
pub use operation::Operation;
pub use pem::pem;
pub use random::random_bytes;
pub use recipient::RecipientKey;
pub use suite::Suite;
pub use token::Alphabet;
pub use wrapping::{Wrapping, WrappingInfo, WrappingKey};
