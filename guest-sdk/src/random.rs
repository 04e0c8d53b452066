//! Randomness from the host's cryptographic generator.

/// `len` random bytes, at most 64 KiB: the host ends the policy that asks for more.
pub fn bytes(len: u32) -> Vec<u8> {
    crate::host::random_bytes(len)
}
