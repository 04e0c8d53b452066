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

/// Version 3 of the key with material `00 01 02 …`.
fn key(algorithm: Algorithm) -> KeyVersion {
    let material: Vec<u8> = (0..64).collect();
    let length = if algorithm == Algorithm::MlKem768 { 64 } else { 32 };
    let material = KeyMaterial::from_bytes(algorithm, &material[..length]).unwrap();
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
        let key = key(algorithm);
        assert_eq!(hex::encode(key.encryption_public_key().unwrap()), v.public_key);
        let opened = key.open(&binding, &hex::decode(v.ciphertext).unwrap()).unwrap();
        assert_eq!(opened.as_slice(), b"4111 1111 1111 1111");
        seen.push(algorithm);
    }
    assert_eq!(seen, [Algorithm::X25519, Algorithm::MlKem768, Algorithm::X25519MlKem768]);
}

#[cfg(feature = "aws-lc")]
#[test]
fn signatures_of_another_implementation_verify() {
    for v in vectors().signatures {
        let key = key(v.algorithm.parse().unwrap());
        let der = key.public_key().unwrap();
        assert!(der.der().ends_with(&hex::decode(v.public_key).unwrap()));
        let (input, signature) = (hex::decode(v.input).unwrap(), hex::decode(v.signature).unwrap());
        assert_eq!(key.verify(&input, &signature, crate::SignatureForm::Standard), Ok(true));
    }
}
