//! RFC 4231 (HMAC), RFC 5869 (HKDF-SHA-256), FIPS 180-4 (SHA-256).

use super::on_each_provider;
use crate::CryptoError;
use crate::provider::{HmacKey, Provider};

on_each_provider!(rfc_4231, rfc_4231_longer_hashes, rfc_5869, hkdf_length_limit, fips_180_4);

fn rfc_4231<P: Provider>() {
    let counting: Vec<u8> = (1..=25).collect();
    let cases: [(&[u8], &[u8], &str); 7] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &counting,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size \
              data. The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, expected) in cases {
        let key = P::HmacSha256::expand(key);
        assert!(hex::encode(key.sign(&[data])).starts_with(expected));
        let (front, back) = data.split_at(data.len() / 2);
        assert_eq!(key.sign(&[front, &[], back]), key.sign(&[data]));
    }
}

fn rfc_4231_longer_hashes<P: Provider>() {
    let (key, data) = (b"Jefe", b"what do ya want for nothing?");
    assert_eq!(
        hex::encode(P::HmacSha384::expand(key).sign(&[data])),
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
         8e2240ca5e69e2c78b3239ecfab21649"
    );
    assert_eq!(
        hex::encode(P::HmacSha512::expand(key).sign(&[data])),
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
         9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    );
}

fn rfc_5869<P: Provider>() {
    let range = |range: std::ops::Range<u8>| range.collect::<Vec<u8>>();
    let cases = [
        (
            range(0..13),
            vec![0x0b; 22],
            range(0xf0..0xfa),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            range(0x60..0xb0),
            range(0..0x50),
            (0xb0..=0xff).collect(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
             59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
             cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![],
            vec![0x0b; 22],
            vec![],
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (salt, ikm, info, expected) in cases {
        let mut okm = vec![0; expected.len() / 2];
        P::hkdf_sha256(&salt, &ikm, &info, &mut okm).unwrap();
        assert_eq!(hex::encode(okm), expected);
    }
}

fn hkdf_length_limit<P: Provider>() {
    let mut okm = vec![0; 255 * 32 + 1];
    assert_eq!(P::hkdf_sha256(b"", b"k", b"", &mut okm), Err(CryptoError::TooLong));
    assert_eq!(P::hkdf_sha256(b"", b"k", b"", &mut okm[1..]), Ok(()));
}

fn fips_180_4<P: Provider>() {
    let cases = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ];
    for (data, expected) in cases {
        assert_eq!(hex::encode(P::sha256(data.as_bytes())), expected);
    }
}
