//! Sealing under a root key.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

use keyward_crypto::CryptoError;
use keyward_crypto::at_rest::{RootKey, open, seal};
use proptest::prelude::*;

fn refused(key: &RootKey, aad: &[u8], sealed: &[u8]) -> bool {
    open(key, aad, sealed).err() == Some(CryptoError::CiphertextInvalid)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn opens_unchanged_and_nothing_else(
        secret: [u8; 32],
        aad in prop::collection::vec(any::<u8>(), 0..40),
        plaintext in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let key = RootKey::from_bytes(&secret).unwrap();
        let sealed = seal(&key, &aad, &plaintext).unwrap();
        prop_assert_eq!(sealed.len(), plaintext.len() + 73);
        let opened = open(&key, &aad, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
        prop_assert_ne!(&seal(&key, &aad, &plaintext).unwrap(), &sealed);
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(refused(&key, &aad, &damaged));
        }
        for length in 0..sealed.len() {
            prop_assert!(refused(&key, &aad, &sealed[..length]));
        }
        prop_assert!(refused(&key, &aad, &[&sealed[..], &[0]].concat()));
        prop_assert!(refused(&key, &[&aad[..], &[0]].concat(), &sealed));
        prop_assert!(refused(&RootKey::generate().unwrap(), &aad, &sealed));
        prop_assert!(refused(&key.derive(b"").unwrap(), &aad, &sealed));
    }
}

#[test]
fn derived_keys_are_stable_and_distinct() {
    let key = RootKey::from_bytes(&[1; 32]).unwrap();
    let artefacts = key.derive(b"artefacts").unwrap();
    assert_eq!(artefacts.expose(), key.derive(b"artefacts").unwrap().expose());
    assert_ne!(artefacts.expose(), key.derive(b"artefact").unwrap().expose());
    assert_ne!(artefacts.expose(), key.expose());
    assert_ne!(artefacts.derive(b"artefacts").unwrap().expose(), artefacts.expose());
}

#[test]
fn a_root_key_is_32_bytes() {
    for length in [0, 31, 33] {
        let error = RootKey::from_bytes(&vec![0; length]).err();
        assert_eq!(error, Some(CryptoError::KeyLength { expected: 32, actual: length }));
    }
}
