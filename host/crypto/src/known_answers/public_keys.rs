//! What another implementation encrypted to public keys and signed, in `tests/vectors/public.json`.

use serde::Deserialize;

use crate::{Algorithm, Binding, Channel, KeyId, KeyMaterial, KeyVersion};

#[derive(Deserialize)]
struct Vectors {
    ciphertexts: Vec<Sealed>,
    signatures: Vec<Signed>,
}

#[derive(Deserialize)]
struct Sealed {
    algorithm: String,
    public_key: String,
    material: Option<String>,
    ciphertext: String,
}

#[derive(Deserialize)]
#[cfg_attr(not(feature = "aws-lc"), expect(dead_code))]
struct Signed {
    algorithm: String,
    input: String,
    public_key: String,
    signature: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/public.json")).unwrap()
}

/// Version 3 of the key with this material, or `00 01 02 …`.
fn key(algorithm: Algorithm, material: Option<&str>) -> KeyVersion {
    let length = if algorithm == Algorithm::MlKem768 { 64 } else { 32 };
    let material = material.map_or_else(|| (0..length).collect(), |hex| hex::decode(hex).unwrap());
    let material = KeyMaterial::from_bytes(algorithm, &material).unwrap();
    KeyVersion::new(algorithm, KeyId(0x0123_4567_89ab_cdef), 3, &material).unwrap()
}

#[test]
fn ciphertexts_of_another_implementation_open() {
    let binding = Binding {
        channel: Channel::Payload,
        tenant: "acme",
        key_name: "orders",
        policy_data: b"",
        context: b"order 17",
    };
    let mut seen = Vec::new();
    for v in vectors().ciphertexts {
        let algorithm: Algorithm = v.algorithm.parse().unwrap();
        if algorithm == Algorithm::RsaOaep2048 && cfg!(not(feature = "aws-lc")) {
            continue;
        }
        let key = key(algorithm, v.material.as_deref());
        assert_eq!(hex::encode(key.public_key().unwrap().der()), v.public_key);
        let opened = key.open(&binding, &hex::decode(v.ciphertext).unwrap()).unwrap();
        assert_eq!(opened.as_slice(), b"4111 1111 1111 1111");
        seen.push(algorithm);
    }
    let hpke = [Algorithm::X25519, Algorithm::MlKem768, Algorithm::X25519MlKem768];
    assert_eq!(seen[..3], hpke);
    assert_eq!(seen.len() == 4, cfg!(feature = "aws-lc"));
}

#[cfg(feature = "aws-lc")]
#[test]
fn signatures_of_another_implementation_verify() {
    for v in vectors().signatures {
        let key = key(v.algorithm.parse().unwrap(), None);
        let der = key.public_key().unwrap();
        assert!(der.der().ends_with(&hex::decode(v.public_key).unwrap()));
        let (input, signature) = (hex::decode(v.input).unwrap(), hex::decode(v.signature).unwrap());
        assert_eq!(key.verify(&input, &signature, crate::SignatureForm::Standard), Ok(true));
    }
}
