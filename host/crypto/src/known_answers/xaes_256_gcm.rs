//! The vectors of <https://c2sp.org/XAES-256-GCM>.

use sha3::Shake128;
use sha3::digest::{ExtendableOutput, Update, XofReader};

use super::on_each_provider;
use crate::CryptoError;
use crate::provider::Provider;
use crate::xaes::Xaes;

on_each_provider!(the_two_vectors, the_accumulated_vector);

const NONCE: &[u8; 24] = b"ABCDEFGHIJKLMNOPQRSTUVWX";

fn seal<P: Provider>(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let xaes = Xaes::<P>::new(key);
    let mut out = plaintext.to_vec();
    let tag = xaes.seal(nonce, aad, &mut out).unwrap();
    out.extend_from_slice(&tag);
    out
}

fn the_two_vectors<P: Provider>() {
    let vectors = [
        (0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ];
    for (byte, aad, expected) in vectors {
        let (key, aad) = ([byte; 32], aad.as_bytes());
        let mut sealed = seal::<P>(&key, NONCE, aad, b"XAES-256-GCM");
        assert_eq!(hex::encode(&sealed), expected);

        let xaes = Xaes::<P>::new(&key);
        let tag: [u8; 16] = sealed.split_off(12).try_into().unwrap();
        let mut wrong = sealed.clone();
        xaes.open(NONCE, aad, &mut sealed, &tag).unwrap();
        assert_eq!(sealed, b"XAES-256-GCM");
        wrong[0] ^= 1;
        assert_eq!(xaes.open(NONCE, aad, &mut wrong, &tag), Err(CryptoError::CiphertextInvalid));
    }
}

fn the_accumulated_vector<P: Provider>() {
    let mut stream = Shake128::default().finalize_xof();
    let mut hash = Shake128::default();
    for _ in 0..10_000 {
        let (mut key, mut nonce) = ([0; 32], [0; 24]);
        stream.read(&mut key);
        stream.read(&mut nonce);
        let mut variable = || {
            let mut length = [0];
            stream.read(&mut length);
            let mut bytes = vec![0; length[0].into()];
            stream.read(&mut bytes);
            bytes
        };
        let (plaintext, aad) = (variable(), variable());
        hash.update(&seal::<P>(&key, &nonce, &aad, &plaintext));
    }
    let mut digest = [0; 32];
    hash.finalize_xof().read(&mut digest);
    assert_eq!(
        hex::encode(digest),
        "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
    );
}
