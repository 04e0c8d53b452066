//! The providers against each other: what one makes, the other makes or opens.
#![cfg(all(feature = "aws-lc", feature = "rustcrypto"))]
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

mod common;

use common::{Case, case};
use keyward_crypto::provider::{AwsLc, Provider, RustCrypto};
use keyward_crypto::{Algorithm, CryptoError, KeyId, KeyMaterial, KeyVersion};
use proptest::prelude::*;

fn crosses<From: Provider, To: Provider>(case: &Case, bit: prop::sample::Index) {
    let sealed =
        case.key::<From>().seal(Some(case.suite), &case.binding(), &case.plaintext).unwrap();
    let other = case.key::<To>();
    let plaintext = other.open(&case.binding(), &sealed).unwrap();
    assert_eq!(plaintext.as_slice(), case.plaintext);

    let mut damaged = sealed;
    let bit = bit.index(damaged.len() * 8);
    damaged[bit / 8] ^= 1 << (bit % 8);
    let error = other.open(&case.binding(), &damaged).err();
    assert_eq!(error, Some(CryptoError::CiphertextInvalid));
}

proptest! {
    #[test]
    fn each_opens_what_the_other_sealed(case in case(3000), bit: prop::sample::Index) {
        crosses::<AwsLc, RustCrypto>(&case, bit);
        crosses::<RustCrypto, AwsLc>(&case, bit);
    }

    #[test]
    fn macs_and_terms_are_equal(material: [u8; 32], label: String, data: Vec<u8>) {
        let material = KeyMaterial::from_bytes(Algorithm::HmacSha256, &material).unwrap();
        let one = KeyVersion::<AwsLc>::with_provider(
            Algorithm::HmacSha256, KeyId(1), 1, &material).unwrap();
        let two = KeyVersion::<RustCrypto>::with_provider(
            Algorithm::HmacSha256, KeyId(1), 1, &material).unwrap();
        prop_assert_eq!(one.mac(&data), two.mac(&data));
        prop_assert_eq!(one.index_term(&label, &data), two.index_term(&label, &data));
    }

    #[test]
    fn hashes_and_derivations_are_equal(
        salt: Vec<u8>, key: Vec<u8>, info: Vec<u8>, length in 0..300usize,
    ) {
        prop_assert_eq!(AwsLc::sha256(&info), RustCrypto::sha256(&info));
        let (mut one, mut two) = (vec![0; length], vec![0; length]);
        prop_assert_eq!(AwsLc::hkdf_sha256(&salt, &key, &info, &mut one), Ok(()));
        prop_assert_eq!(RustCrypto::hkdf_sha256(&salt, &key, &info, &mut two), Ok(()));
        prop_assert_eq!(one, two);
    }
}
