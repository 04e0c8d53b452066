//! MACs and index terms.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

use keyward_crypto::{Algorithm, CryptoError, KeyId, KeyMaterial, KeyVersion};
use proptest::prelude::*;

fn key(algorithm: Algorithm, material: [u8; 32]) -> KeyVersion {
    let material = KeyMaterial::from_bytes(&material).unwrap();
    KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap()
}

proptest! {
    #[test]
    fn a_mac_verifies_and_no_other_does(material: [u8; 32], data: Vec<u8>, bit in 0..256usize) {
        let key = key(Algorithm::HmacSha256, material);
        let mut tag = key.mac(&data).unwrap();
        prop_assert!(key.verify_mac(&data, &tag).unwrap());
        prop_assert!(!key.verify_mac(&data, &tag[..31]).unwrap());
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
        prop_assert_ne!(key_one.mac(&framed).unwrap(), term);
    }
}

#[test]
fn only_hmac_keys_make_macs() {
    for algorithm in [Algorithm::XAes256Gcm, Algorithm::Aes256Gcm, Algorithm::Aes256Siv] {
        let key = key(algorithm, [7; 32]);
        let refused = |operation| Some(CryptoError::OperationNotSupported { algorithm, operation });
        assert_eq!(key.mac(b"x").err(), refused("mac"));
        assert_eq!(key.verify_mac(b"x", &[0; 32]).err(), refused("verify"));
        assert_eq!(key.index_term("l", b"x").err(), refused("index terms"));
    }
}
