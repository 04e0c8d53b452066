//! Tokens by a key version: pinned, because what was stored must be revealed for ever.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

use keyward_crypto::{Algorithm, Alphabet, CryptoError, KeyId, KeyMaterial, KeyVersion, Operation};

fn key(algorithm: Algorithm) -> KeyVersion {
    let material: Vec<u8> = (0..32).collect();
    let material = KeyMaterial::from_bytes(algorithm, &material).unwrap();
    KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap()
}

/// Computed by an independent implementation of HKDF and FF1 in Python, as docs/ciphertext.md says.
#[test]
fn the_vectors_of_the_documentation() {
    let key = key(Algorithm::Aes256Siv);
    let letters = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (alphabet, tweak, text, token) in [
        ("0123456789", &b"order 17"[..], "4111111111111111", "1293473475664813"),
        (letters, b"", "hello0world", "m02foj6yvgf"),
    ] {
        let alphabet = Alphabet::new(alphabet).unwrap();
        assert_eq!(key.tokenize(&alphabet, tweak, text).unwrap(), token);
        assert_eq!(key.detokenize(&alphabet, tweak, token).unwrap().as_str(), text);
    }
}

#[test]
fn other_keys_make_none() {
    let digits = Alphabet::new("0123456789").unwrap();
    for algorithm in [Algorithm::XAes256Gcm, Algorithm::HmacSha256] {
        let refused =
            Err(CryptoError::OperationNotSupported { algorithm, operation: Operation::Tokenize });
        assert_eq!(key(algorithm).tokenize(&digits, b"", "1234567890"), refused);
    }
}
