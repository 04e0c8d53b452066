//! Encryption to public keys whose private halves the host does not have.

use crate::{Error, host};

/// Seals `data` so that only the holder of the private key can open it, and the host cannot: HPKE
/// (RFC 9180), base mode, single shot, HKDF-SHA-256 and AES-256-GCM.
///
/// `public_key` is DER of an X.509 SubjectPublicKeyInfo of an X25519, ML-KEM-768 or X-Wing key;
/// [`Error::Invalid`] for any other. The result is the encapsulated key, then the ciphertext: any
/// implementation of HPKE opens it with the same `info`, what the message is for, and the same `aad`.
///
/// ```
/// # #[cfg(feature = "harness")]
/// # {
/// use keyward_policy::{Algorithm, Key, harness::Harness, recipients};
///
/// let host = Harness::new("acme").key("theirs", Algorithm::X25519);
/// let sealed = host.run(|| {
///     let public_key = Key::open("theirs")?.public_key()?;
///     recipients::seal(&public_key, b"acme letters v1", b"letter 17", b"Dear Jane")
/// });
/// assert_eq!(sealed.unwrap().len(), 32 + 9 + 16);
/// # }
/// ```
pub fn seal(public_key: &[u8], info: &[u8], aad: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    host::seal_to(public_key, info, aad, data)
}
