//! What can be wrong with a receipt or the public key it is checked with.

use super::ReceiptKeyId;

/// Why a receipt proves nothing. Each message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It is not a receipt in form.
    #[error("this is not a receipt: {0}; give it as the server gave it, unchanged")]
    Malformed(String),
    /// A newer version of this program made it.
    #[error("the receipt has format {found}, and this version reads 1; use a newer version")]
    NewerFormat {
        /// The receipt's format.
        found: u32,
    },
    /// The public key is none.
    #[error(
        "the public key is not one of Ed25519 (PEM, as `keyward receipt public-key` prints it)"
    )]
    PublicKey,
    /// Another key signed it than the one given, or so it says.
    #[error(
        "the receipt says that key {found} signed it, and the public key given is {given}; give \
         the public key of the store that destroyed"
    )]
    OtherKey {
        /// The key the receipt names.
        found: ReceiptKeyId,
        /// The key given.
        given: ReceiptKeyId,
    },
    /// The signature is not valid.
    #[error("the receipt is forged or was changed: its signature is not valid")]
    Forged,
}

impl ReceiptError {
    /// A stable, machine-readable name of the error, such as `receipt-forged`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "receipt-malformed",
            Self::NewerFormat { .. } => "receipt-newer-format",
            Self::PublicKey => "receipt-public-key-invalid",
            Self::OtherKey { .. } => "receipt-other-key",
            Self::Forged => "receipt-forged",
        }
    }
}
