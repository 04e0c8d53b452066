//! Random tokens, and the alphabets of those that [`Key::tokenize`](crate::Key::tokenize) makes.

use crate::{Error, host};

/// The decimal digits.
pub const DIGITS: &str = "0123456789";
/// Digits and the letters of both cases.
pub const ALPHANUMERIC: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` random characters of the alphabet, 1 to 1,024, each as likely as the next; an alphabet
/// is 2 to 65,536 characters, each once. [`Error::Invalid`] otherwise.
pub fn random(alphabet: &str, length: u32) -> Result<String, Error> {
    host::random_token(alphabet, length)
}
