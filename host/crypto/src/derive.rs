//! Subkeys: HKDF-SHA-256 with one label per purpose, so that no two purposes share a key.

use zeroize::Zeroizing;

use crate::CryptoError;
use crate::provider::Provider;

/// The HKDF salt: separates this project's derivations from any other use of the same bytes.
const SALT: &[u8] = b"keyward/v1";

/// The longest output of HKDF-SHA-256 in bytes (RFC 5869, section 2.3).
pub(crate) const LONGEST: usize = 255 * 32;

/// The HKDF `info` of every subkey. Part of the ciphertext format: never changed, only added to.
pub(crate) mod label {
    pub(crate) const XAES_ENCRYPTION: &[u8] = b"xaes-256-gcm/encryption";
    pub(crate) const XAES_COMMITMENT: &[u8] = b"xaes-256-gcm/commitment";
    pub(crate) const GCM_ENCRYPTION: &[u8] = b"aes-256-gcm/encryption";
    pub(crate) const GCM_SIV_ENCRYPTION: &[u8] = b"aes-256-gcm-siv/encryption";
    pub(crate) const CHACHA_ENCRYPTION: &[u8] = b"chacha20-poly1305/encryption";
    pub(crate) const XCHACHA_ENCRYPTION: &[u8] = b"xchacha20-poly1305/encryption";
    pub(crate) const SIV_ENCRYPTION: &[u8] = b"aes-256-siv/encryption";
    pub(crate) const FF1: &[u8] = b"ff1-aes-256/tokens";
    pub(crate) const HMAC_MAC: &[u8] = b"hmac-sha-256/mac";
    pub(crate) const HMAC_INDEX: &[u8] = b"hmac-sha-256/index";
    pub(crate) const HMAC_384_MAC: &[u8] = b"hmac-sha-384/mac";
    pub(crate) const HMAC_384_INDEX: &[u8] = b"hmac-sha-384/index";
    pub(crate) const HMAC_512_MAC: &[u8] = b"hmac-sha-512/mac";
    pub(crate) const HMAC_512_INDEX: &[u8] = b"hmac-sha-512/index";
    pub(crate) const STREAM: &[u8] = b"stream/aes-256-gcm";
    pub(crate) const DERIVATION: &[u8] = b"derivation";
    pub(crate) const AT_REST_ENCRYPTION: &[u8] = b"at-rest/encryption";
    pub(crate) const AT_REST_COMMITMENT: &[u8] = b"at-rest/commitment";
    /// A prefix: the caller's own label follows. No other label begins with it.
    pub(crate) const DERIVED_ROOT: &[u8] = b"derived-root/";
}

/// Derives the subkey of `label` from the secret.
pub(crate) fn subkey<P: Provider, const N: usize>(
    secret: &[u8],
    label: &[u8],
) -> Result<Zeroizing<[u8; N]>, CryptoError> {
    let mut out = Zeroizing::new([0; N]);
    P::hkdf_sha256(SALT, secret, label, out.as_mut_slice())?;
    Ok(out)
}

/// Fills `out` from a subkey of the secret that is for nothing else.
pub(crate) fn expand<P: Provider>(
    secret: &[u8],
    info: &[u8],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let key = subkey::<P, 32>(secret, label::DERIVATION)?;
    P::hkdf_sha256(SALT, key.as_slice(), info, out)
}
