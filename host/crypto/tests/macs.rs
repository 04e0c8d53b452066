//! MACs and index terms.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

use keyward_crypto::{Algorithm, CryptoError, KeyId, KeyMaterial, KeyVersion, Operation};
use proptest::prelude::*;

const HMACS: [Algorithm; 3] = [Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512];

fn key(algorithm: Algorithm, material: [u8; 32]) -> KeyVersion {
    let material = KeyMaterial::from_bytes(algorithm, &material).unwrap();
    KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap()
}

proptest! {
    #[test]
    fn a_mac_verifies_and_no_other_does(
        algorithm in prop::sample::select(&HMACS[..]),
        material: [u8; 32],
        data: Vec<u8>,
        bit in 0..256usize,
    ) {
        let key = key(algorithm, material);
        let mut tag = key.mac(&data).unwrap().to_vec();
        prop_assert!(key.verify_mac(&data, &tag).unwrap());
        prop_assert!(!key.verify_mac(&data, &tag[..tag.len() - 1]).unwrap());
        prop_assert!(!key.verify_mac(&data, &[&tag[..], &[0]].concat()).unwrap());
        prop_assert!(!key.verify_mac(&data, &[]).unwrap());
        prop_assert!(!key.verify_mac(&[&data[..], b"x"].concat(), &tag).unwrap());
        tag[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!key.verify_mac(&data, &tag).unwrap());
    }

    #[test]
    fn terms_depend_on_key_label_and_value(
        material: [u8; 32],
        label in "[a-z]{1,8}",
        value: Vec<u8>,
    ) {
        let key_one = key(Algorithm::HmacSha256, material);
        let term = key_one.index_term(&label, &value).unwrap();
        prop_assert_eq!(key_one.index_term(&label, &value).unwrap(), term);
        let mut other = material;
        other[0] ^= 1;
        let key_two = key(Algorithm::HmacSha256, other);
        prop_assert_ne!(key_two.index_term(&label, &value).unwrap(), term);
        // A byte does not wander between label and value, and a term is no MAC.
        let (front, back) = label.split_at(label.len() - 1);
        let wandered = [back.as_bytes(), &value].concat();
        prop_assert_ne!(key_one.index_term(front, &wandered).unwrap(), term);
        let length = u32::try_from(label.len()).unwrap().to_be_bytes();
        let framed = [&length[..], label.as_bytes(), &value].concat();
        prop_assert_ne!(key_one.mac(&framed).unwrap().to_vec(), term);
    }
}

#[test]
fn only_hmac_keys_make_macs() {
    for algorithm in [Algorithm::XAes256Gcm, Algorithm::ChaCha20Poly1305, Algorithm::Aes256Siv] {
        let key = key(algorithm, [7; 32]);
        let refused = |operation| Some(CryptoError::OperationNotSupported { algorithm, operation });
        assert_eq!(key.mac(b"x").err(), refused(Operation::Mac));
        assert_eq!(key.verify_mac(b"x", &[0; 32]).err(), refused(Operation::Mac));
        assert_eq!(key.index_term("l", b"x").err(), refused(Operation::Index));
    }
}

#[test]
fn each_hmac_has_its_length_and_subkeys() {
    for (algorithm, length) in HMACS.into_iter().zip([32, 48, 64]) {
        let mac = key(algorithm, [7; 32]).mac(b"x").unwrap();
        assert_eq!(mac.len(), length);
        assert_eq!(format!("{mac:?}"), format!("Mac({length} bytes)"));
    }
    // One material under the three: no term of one is a term of another.
    let terms = HMACS.map(|algorithm| key(algorithm, [7; 32]).index_term("l", b"x").unwrap());
    assert!(terms[0] != terms[1] && terms[1] != terms[2] && terms[0] != terms[2]);
}

#[test]
fn derived_bytes_depend_on_key_and_info_alone() {
    let aeads = [Algorithm::XAes256Gcm, Algorithm::ChaCha20Poly1305];
    for algorithm in HMACS.into_iter().chain(aeads) {
        let key_one = key(algorithm, [7; 32]);
        let long = key_one.derive(b"info", 255 * 32).unwrap();
        assert_eq!(key_one.derive(b"info", 40).unwrap()[..], long[..40]);
        assert_eq!(key_one.derive(b"info", 0).unwrap().len(), 0);
        assert_eq!(key_one.derive(b"info", 255 * 32 + 1), Err(CryptoError::TooLong));
        assert_eq!(key_one.derive(b"info", usize::MAX), Err(CryptoError::TooLong));
        assert_ne!(key_one.derive(b"other", 40).unwrap()[..], long[..40]);
        assert_ne!(key(algorithm, [8; 32]).derive(b"info", 40).unwrap()[..], long[..40]);
    }
    let algorithm = Algorithm::Aes256Siv;
    let refused = CryptoError::OperationNotSupported { algorithm, operation: Operation::Derive };
    assert_eq!(key(algorithm, [7; 32]).derive(b"", 1), Err(refused));
}
