//! Subkeys: HKDF-SHA-256 with one label per purpose, so that no two purposes share a key.

use zeroize::Zeroizing;

use crate::CryptoError;
use crate::provider::Provider;

/// The HKDF salt: separates this project's derivations from any other use of the same bytes.
const SALT: &[u8] = b"keyward/v1";

/// The HKDF `info` of every subkey. Part of the ciphertext format: never changed, only added to.
pub(crate) mod label {
    pub(crate) const XAES_ENCRYPTION: &[u8] = b"xaes-256-gcm/encryption";
    pub(crate) const XAES_COMMITMENT: &[u8] = b"xaes-256-gcm/commitment";
    pub(crate) const GCM_ENCRYPTION: &[u8] = b"aes-256-gcm/encryption";
    pub(crate) const SIV_ENCRYPTION: &[u8] = b"aes-256-siv/encryption";
    pub(crate) const HMAC_MAC: &[u8] = b"hmac-sha-256/mac";
    pub(crate) const HMAC_INDEX: &[u8] = b"hmac-sha-256/index";
    pub(crate) const AT_REST_ENCRYPTION: &[u8] = b"at-rest/encryption";
    pub(crate) const AT_REST_COMMITMENT: &[u8] = b"at-rest/commitment";
    /// A prefix: the caller's own label follows. No other label begins with it.
    pub(crate) const DERIVED_ROOT: &[u8] = b"derived-root/";
}

/// Derives the subkey of `label` from 32 bytes of secret.
pub(crate) fn subkey<P: Provider, const N: usize>(
    secret: &[u8; 32],
    label: &[u8],
) -> Result<Zeroizing<[u8; N]>, CryptoError> {
    let mut out = Zeroizing::new([0; N]);
    P::hkdf_sha256(SALT, secret, label, out.as_mut_slice())?;
    Ok(out)
}
