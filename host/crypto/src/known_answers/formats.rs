//! The pinned vectors of this project's own formats, in `tests/vectors/keyward.json`: written by an
//! independent implementation, reproduced and opened here.

use serde::Deserialize;

use super::{array, on_each_provider};
use crate::provider::Provider;
use crate::stream::{CHUNK_LEN, SEALED_CHUNK_LEN, StreamHeader, StreamOpener, StreamSealer};
use crate::{
    Algorithm, Binding, Channel, Header, KeyId, KeyMaterial, KeyVersion, Suite, at_rest, text,
};

on_each_provider!(ciphertexts, streams, macs, other_macs, derivations);

#[derive(Deserialize)]
struct Vectors {
    ciphertexts: Vec<Sealed>,
    streams: Vec<Stream>,
    macs: Macs,
    more_macs: Vec<OtherMac>,
    derived: Derived,
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
struct Stream {
    material: String,
    key_id: String,
    key_version: u32,
    tenant: String,
    key_name: String,
    policy_data: String,
    context: String,
    salt: String,
    plaintext: String,
    repeat: usize,
    sha256: String,
    /// The whole stream, when it is short.
    #[serde(rename = "stream")]
    whole: Option<String>,
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

/// The same data under an HMAC with another hash.
#[derive(Deserialize)]
struct OtherMac {
    algorithm: String,
    tag: String,
    term: String,
}

#[derive(Deserialize)]
struct Derived {
    info: String,
    out: String,
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
        let algorithm =
            if suite == Suite::Aes256Siv { Algorithm::Aes256Siv } else { Algorithm::XAes256Gcm };
        let material = KeyMaterial::from_bytes(algorithm, &bytes(&v.material)).unwrap();
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
        let aad = binding.with_aad(header.to_bytes(), |aad| Ok(hex::encode(aad))).unwrap();
        assert_eq!(aad, v.aad);
        seen.push((suite, binding.channel));
    }
    // Those to public keys are random; see `public_keys`.
    let expected: Vec<_> = Suite::ALL
        .into_iter()
        .filter(|suite| suite.id() < 0x10)
        .flat_map(|suite| [(suite, Channel::Payload), (suite, Channel::Policy)])
        .collect();
    assert_eq!(seen, expected);
}

fn streams<P: Provider>() {
    for v in vectors().streams {
        let (policy_data, context) = (bytes(&v.policy_data), bytes(&v.context));
        let binding = Binding {
            channel: Channel::Payload,
            tenant: &v.tenant,
            key_name: &v.key_name,
            policy_data: &policy_data,
            context: &context,
        };
        let material = KeyMaterial::from_bytes(Algorithm::XAes256Gcm, &bytes(&v.material)).unwrap();
        let key = KeyVersion::<P>::with_provider(
            Algorithm::XAes256Gcm,
            v.key_id.parse().unwrap(),
            v.key_version,
            &material,
        )
        .unwrap();
        let plaintext = bytes(&v.plaintext).repeat(v.repeat);
        let (header, mut writer) =
            StreamSealer::with_salt(&key, &binding, &array(&v.salt)).unwrap();
        let mut sealed = header.to_vec();
        let last = plaintext.len().div_ceil(CHUNK_LEN).max(1) - 1;
        for index in 0..=last {
            let chunk = &plaintext[index * CHUNK_LEN..];
            let chunk = &chunk[..chunk.len().min(CHUNK_LEN)];
            writer.seal_chunk_into(chunk, index == last, &mut sealed).unwrap();
        }
        assert_eq!(hex::encode(P::sha256(&sealed)), v.sha256);
        assert!(v.whole.is_none_or(|stream| stream == hex::encode(&sealed)));

        let (header, body) = sealed.split_at_mut(StreamHeader::LEN);
        let mut reader = StreamOpener::new(&key, &binding, header).unwrap();
        let mut opened = Vec::new();
        for (index, chunk) in body.chunks_mut(SEALED_CHUNK_LEN).enumerate() {
            opened.extend_from_slice(reader.open_chunk_in_place(chunk, index == last).unwrap());
        }
        assert!(reader.is_complete());
        assert_eq!(opened, plaintext);
    }
}

fn macs<P: Provider>() {
    let v = vectors().macs;
    let material = KeyMaterial::from_bytes(Algorithm::HmacSha256, &bytes(&v.material)).unwrap();
    let key =
        KeyVersion::<P>::with_provider(Algorithm::HmacSha256, KeyId(1), 1, &material).unwrap();
    assert_eq!(key.mac(&bytes(&v.data)).unwrap().to_vec(), bytes(&v.tag));
    assert_eq!(key.verify_mac(&bytes(&v.data), &bytes(&v.tag)), Ok(true));
    assert_eq!(key.index_term(&v.label, &bytes(&v.value)), Ok(array(&v.term)));
}

fn other_macs<P: Provider>() {
    let all = vectors();
    for v in all.more_macs {
        let algorithm: Algorithm = v.algorithm.parse().unwrap();
        let material = KeyMaterial::from_bytes(algorithm, &bytes(&all.macs.material)).unwrap();
        let key = KeyVersion::<P>::with_provider(algorithm, KeyId(1), 1, &material).unwrap();
        let data = bytes(&all.macs.data);
        assert_eq!(key.mac(&data).unwrap().to_vec(), bytes(&v.tag));
        assert_eq!(key.verify_mac(&data, &bytes(&v.tag)), Ok(true));
        assert_eq!(key.index_term(&all.macs.label, &bytes(&all.macs.value)), Ok(array(&v.term)));
    }
}

fn derivations<P: Provider>() {
    let all = vectors();
    for algorithm in [Algorithm::XAes256Gcm, Algorithm::HmacSha512] {
        let material = KeyMaterial::from_bytes(algorithm, &bytes(&all.macs.material)).unwrap();
        let key = KeyVersion::<P>::with_provider(algorithm, KeyId(1), 1, &material).unwrap();
        let out = key.derive(&bytes(&all.derived.info), all.derived.out.len() / 2).unwrap();
        assert_eq!(out.as_slice(), bytes(&all.derived.out));
    }
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
    let streams = v.streams.iter().map(|v| v.whole.as_ref().unwrap_or(&v.sha256));
    let others = v.more_macs.iter().flat_map(|v| [&v.tag, &v.term]);
    let rest = [&v.macs.tag, &v.macs.term, &v.derived.out, &v.at_rest.sealed];
    for answer in ciphertexts.chain(streams).chain(others).chain(rest) {
        assert!(page.contains(answer.as_str()), "docs/ciphertext.md lacks {answer}");
    }
}
