//! C2SP/wycheproof. Each test counts what it ran, so that a change of the files cannot empty it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{array, on_each_provider};
use crate::provider::{AeadKey, HmacKey, Provider};
use crate::siv::Siv;

on_each_provider!(aes_256_gcm, hmac_sha_256, hkdf_sha_256);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<T> {
    test_groups: Vec<Group<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group<T> {
    key_size: usize,
    #[serde(default)]
    iv_size: usize,
    #[serde(default)]
    tag_size: usize,
    tests: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aead {
    tc_id: u32,
    key: String,
    #[serde(default)]
    iv: String,
    aad: String,
    msg: String,
    ct: String,
    #[serde(default)]
    tag: String,
    result: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mac {
    tc_id: u32,
    key: String,
    msg: String,
    tag: String,
    result: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hkdf {
    tc_id: u32,
    ikm: String,
    salt: String,
    info: String,
    size: usize,
    okm: String,
    result: String,
}

fn groups<T: DeserializeOwned>(json: &str) -> Vec<Group<T>> {
    serde_json::from_str::<File<T>>(json).unwrap().test_groups
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn aes_256_gcm<P: Provider>() {
    let mut ran = 0;
    for group in groups::<Aead>(include_str!("../../tests/vectors/aes_gcm_test.json")) {
        if (group.key_size, group.iv_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key = P::Aes256Gcm::expand(&array(&test.key)).unwrap();
            let (nonce, aad, tag) = (array(&test.iv), bytes(&test.aad), array(&test.tag));
            let (plaintext, ciphertext) = (bytes(&test.msg), bytes(&test.ct));
            let mut opened = ciphertext.clone();
            let result = key.open(&nonce, &aad, &mut opened, &tag);
            if test.result == "valid" {
                assert_eq!((result, opened), (Ok(()), plaintext.clone()), "{}", test.tc_id);
                let mut sealed = plaintext;
                assert_eq!(key.seal(&nonce, &aad, &mut sealed), Ok(tag), "{}", test.tc_id);
                assert_eq!(sealed, ciphertext, "{}", test.tc_id);
            } else {
                assert!(result.is_err(), "{}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 66);
}

#[test]
fn aes_256_siv() {
    let mut ran = 0;
    for group in groups::<Aead>(include_str!("../../tests/vectors/aes_siv_cmac_test.json")) {
        if group.key_size != 512 {
            continue;
        }
        for test in group.tests {
            let siv = Siv::new(Zeroizing::new(array(&test.key)));
            let (aad, plaintext, sealed) = (bytes(&test.aad), bytes(&test.msg), bytes(&test.ct));
            let opened = siv.open(&aad, &sealed);
            if test.result == "valid" {
                assert_eq!(opened.unwrap().as_slice(), plaintext, "{}", test.tc_id);
                let mut again = Vec::new();
                siv.seal_into(&aad, &plaintext, &mut again).unwrap();
                assert_eq!(again, sealed, "{}", test.tc_id);
            } else {
                assert!(opened.is_err(), "{}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 147);
}

fn hmac_sha_256<P: Provider>() {
    let mut ran = 0;
    for group in groups::<Mac>(include_str!("../../tests/vectors/hmac_sha256_test.json")) {
        for test in group.tests {
            let tag = P::HmacSha256::expand(&bytes(&test.key)).sign(&[&bytes(&test.msg)]);
            let matches = tag[..group.tag_size / 8] == bytes(&test.tag);
            assert_eq!(matches, test.result == "valid", "{}", test.tc_id);
            ran += 1;
        }
    }
    assert_eq!(ran, 174);
}

fn hkdf_sha_256<P: Provider>() {
    let mut ran = 0;
    for group in groups::<Hkdf>(include_str!("../../tests/vectors/hkdf_sha256_test.json")) {
        for test in group.tests {
            let mut okm = vec![0; test.size];
            let (salt, ikm, info) = (bytes(&test.salt), bytes(&test.ikm), bytes(&test.info));
            let result = P::hkdf_sha256(&salt, &ikm, &info, &mut okm);
            if test.result == "valid" {
                assert_eq!((result, okm), (Ok(()), bytes(&test.okm)), "{}", test.tc_id);
            } else {
                assert!(result.is_err(), "{}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 86);
}
