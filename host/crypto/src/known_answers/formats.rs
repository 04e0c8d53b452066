//! The pinned vectors of this project's own formats, in `tests/vectors/keyward.json`: written by an
//! independent implementation, reproduced and opened here.

use serde::Deserialize;

use super::{array, on_each_provider};
use crate::provider::Provider;
use crate::{
    Algorithm, Binding, Channel, Header, KeyId, KeyMaterial, KeyVersion, Suite, at_rest, text,
};

on_each_provider!(ciphertexts, macs);

#[derive(Deserialize)]
struct Vectors {
    ciphertexts: Vec<Sealed>,
    macs: Macs,
    at_rest: AtRest,
}

#[derive(Deserialize)]
struct Sealed {
    suite: String,
    material: String,
    key_id: String,
    key_version: u32,
    channel: String,
    tenant: String,
    key_name: String,
    policy_data: String,
    context: String,
    nonce: String,
    plaintext: String,
    aad: String,
    ciphertext: String,
    text: String,
}

#[derive(Deserialize)]
struct Macs {
    material: String,
    data: String,
    tag: String,
    label: String,
    value: String,
    term: String,
}

#[derive(Deserialize)]
struct AtRest {
    root_key: String,
    aad: String,
    nonce: String,
    plaintext: String,
    sealed: String,
    derive_info: String,
    derived: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/keyward.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn ciphertexts<P: Provider>() {
    let mut seen = Vec::new();
    for v in vectors().ciphertexts {
        let suite: Suite = v.suite.parse().unwrap();
        let key_id: KeyId = v.key_id.parse().unwrap();
        let (policy_data, context) = (bytes(&v.policy_data), bytes(&v.context));
        let binding = Binding {
            channel: if v.channel == "policy" { Channel::Policy } else { Channel::Payload },
            tenant: &v.tenant,
            key_name: &v.key_name,
            policy_data: &policy_data,
            context: &context,
        };
        let material = KeyMaterial::from_bytes(&bytes(&v.material)).unwrap();
        let algorithm =
            if suite == Suite::Aes256Siv { Algorithm::Aes256Siv } else { Algorithm::XAes256Gcm };
        let key =
            KeyVersion::<P>::with_provider(algorithm, key_id, v.key_version, &material).unwrap();

        let nonce = bytes(&v.nonce);
        let sealed = key
            .seal_with_nonce(Some(suite), &binding, &bytes(&v.plaintext), |out| {
                out.copy_from_slice(&nonce);
                Ok(())
            })
            .unwrap();
        assert_eq!(hex::encode(&sealed), v.ciphertext);
        assert_eq!(text::encode(&sealed), v.text);
        assert_eq!(text::decode(&v.text).unwrap(), sealed);
        assert_eq!(sealed.len(), v.plaintext.len() / 2 + suite.overhead());
        assert_eq!(key.open(&binding, &sealed).unwrap().as_slice(), bytes(&v.plaintext));
        let header = Header { suite, key_id, key_version: v.key_version };
        assert_eq!(Header::parse(&sealed), Ok(header));
        let aad = binding.with_aad(header, |aad| Ok(hex::encode(aad))).unwrap();
        assert_eq!(aad, v.aad);
        seen.push((suite, binding.channel));
    }
    let expected =
        Suite::ALL.map(|suite| [(suite, Channel::Payload), (suite, Channel::Policy)]).concat();
    assert_eq!(seen, expected);
}

fn macs<P: Provider>() {
    let v = vectors().macs;
    let material = KeyMaterial::from_bytes(&bytes(&v.material)).unwrap();
    let key =
        KeyVersion::<P>::with_provider(Algorithm::HmacSha256, KeyId(1), 1, &material).unwrap();
    assert_eq!(key.mac(&bytes(&v.data)), Ok(array(&v.tag)));
    assert_eq!(key.verify_mac(&bytes(&v.data), &bytes(&v.tag)), Ok(true));
    assert_eq!(key.index_term(&v.label, &bytes(&v.value)), Ok(array(&v.term)));
}

#[test]
fn at_rest() {
    let v = vectors().at_rest;
    let key = at_rest::RootKey::from_bytes(&bytes(&v.root_key)).unwrap();
    let (aad, plaintext) = (bytes(&v.aad), bytes(&v.plaintext));
    let sealed = at_rest::seal_with_nonce(&key, &aad, &plaintext, &array(&v.nonce)).unwrap();
    assert_eq!(hex::encode(&sealed), v.sealed);
    assert_eq!(at_rest::open(&key, &aad, &sealed).unwrap().as_slice(), plaintext);
    let derived = key.derive(&bytes(&v.derive_info)).unwrap();
    assert_eq!(derived.expose(), &array(&v.derived));
}

/// What the documentation prints is what the tests pin.
#[test]
fn the_documentation_lists_every_vector() {
    let page = include_str!("../../../../docs/ciphertext.md");
    let v = vectors();
    let ciphertexts = v.ciphertexts.iter().map(|v| &v.ciphertext);
    for answer in ciphertexts.chain([&v.macs.tag, &v.macs.term, &v.at_rest.sealed]) {
        assert!(page.contains(answer.as_str()), "docs/ciphertext.md lacks {answer}");
    }
}
