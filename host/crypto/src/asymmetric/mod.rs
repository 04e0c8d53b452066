//! Keys with a public half.

#[cfg(not(feature = "aws-lc"))]
mod absent;
#[cfg(feature = "aws-lc")]
mod documents;
mod form;
mod public_key;
#[cfg(feature = "aws-lc")]
mod rsa_oaep;
#[cfg(feature = "aws-lc")]
mod signing;

#[cfg(not(feature = "aws-lc"))]
use absent as signing;
#[cfg(not(feature = "aws-lc"))]
pub(crate) use absent::{RsaOaepKey, RsaOaepPublicKey, check_pkcs8, generate_pkcs8};
#[cfg(feature = "aws-lc")]
pub(crate) use documents::{check as check_pkcs8, generate as generate_pkcs8};
pub use form::SignatureForm;
pub use public_key::PublicKey;
#[cfg(feature = "aws-lc")]
pub(crate) use rsa_oaep::{RsaOaepKey, RsaOaepPublicKey};
pub(crate) use signing::SigningKey;
