//! Known answers: every primitive and every format, on every provider compiled in.

mod formats;
mod hashes;
mod public_keys;
mod wycheproof;
mod xaes_256_gcm;

/// Runs a test generic over the provider on each provider compiled in.
macro_rules! on_each_provider {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "aws-lc")]
        mod aws_lc {
            $(#[test] fn $test() { super::$test::<crate::provider::AwsLc>(); })+
        }
        #[cfg(feature = "rustcrypto")]
        mod rust_crypto {
            $(#[test] fn $test() { super::$test::<crate::provider::RustCrypto>(); })+
        }
    };
}
use on_each_provider;

/// Decodes hexadecimal into an array.
fn array<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}
