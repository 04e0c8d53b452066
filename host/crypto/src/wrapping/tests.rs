use super::*;
use crate::{KeyId, KeyVersion};

const INFO: WrappingInfo<'static> =
    WrappingInfo { tenant: "demo", key_name: "orders", algorithm: Algorithm::XAes256Gcm };

fn version(algorithm: Algorithm) -> KeyVersion {
    let material = KeyMaterial::generate(algorithm).unwrap();
    KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap()
}

fn wrapping_algorithms() -> Vec<Algorithm> {
    let mut all = vec![Algorithm::X25519, Algorithm::MlKem768, Algorithm::X25519MlKem768];
    if cfg!(feature = "aws-lc") {
        all.push(Algorithm::RsaOaep2048);
    }
    all
}

fn material() -> KeyMaterial {
    KeyMaterial::generate(Algorithm::XAes256Gcm).unwrap()
}

#[test]
fn info_is_as_documented() {
    let mut expected = b"keyward wrapped key v1\0\0\0\0\x04demo\0\0\0\x06orders\0\0\0\x0c".to_vec();
    expected.extend_from_slice(b"xaes-256-gcm");
    assert_eq!(INFO.to_bytes().unwrap(), expected);
}

#[test]
fn what_is_wrapped_unwraps_once_and_nothing_else_does() {
    for algorithm in wrapping_algorithms() {
        let (key, other) = (version(algorithm), version(algorithm));
        let public = WrappingKey::from_pem(&key.public_key().unwrap().pem()).unwrap();
        let material = material();
        let wrapped = public.wrap(&INFO, &material).unwrap();
        assert_ne!(public.wrap(&INFO, &material).unwrap(), wrapped);
        assert_eq!(key.unwrap_key(&INFO, &wrapped).unwrap().expose(), material.expose());
        let refused = |key: &KeyVersion, info: &WrappingInfo<'_>, wrapped: &[u8]| {
            assert_eq!(key.unwrap_key(info, wrapped).err(), Some(CryptoError::WrappedKeyInvalid));
        };
        refused(&other, &INFO, &wrapped);
        for at in (0..wrapped.len()).step_by(7) {
            let mut damaged = wrapped.clone();
            damaged[at] ^= 1;
            refused(&key, &INFO, &damaged);
            refused(&key, &INFO, &wrapped[..at]);
        }
        refused(&key, &INFO, &[&wrapped[..], &[0; 8]].concat());
        for elsewhere in [
            WrappingInfo { tenant: "other", ..INFO },
            WrappingInfo { key_name: "other", ..INFO },
            WrappingInfo { algorithm: Algorithm::HmacSha256, ..INFO },
        ] {
            match public.wrapping() {
                // The standard has no place to bind anything.
                Wrapping::RsaAesKeyWrap => {
                    key.unwrap_key(&elsewhere, &wrapped).unwrap();
                }
                _ => refused(&key, &elsewhere, &wrapped),
            }
        }
    }
}

#[test]
fn keys_that_nobody_encrypts_to_unwrap_nothing() {
    let error = version(Algorithm::XAes256Gcm).unwrap_key(&INFO, &[]).err();
    assert!(matches!(error, Some(CryptoError::OperationNotSupported { .. })));
}

#[test]
fn what_is_wrapped_has_to_be_material_of_the_algorithm() {
    let key = version(Algorithm::X25519);
    let public = WrappingKey::from_der(key.public_key().unwrap().der()).unwrap();
    let info = WrappingInfo { algorithm: Algorithm::MlKem768, ..INFO };
    let wrapped = public.wrap(&info, &material()).unwrap();
    let error = key.unwrap_key(&info, &wrapped).err();
    assert_eq!(error, Some(CryptoError::KeyLength { expected: 64, actual: 32 }));
}

#[test]
fn other_keys_are_no_recipients() {
    let ed25519 = if cfg!(feature = "aws-lc") {
        version(Algorithm::Ed25519).public_key().unwrap().pem()
    } else {
        String::new()
    };
    let pem = version(Algorithm::X25519).public_key().unwrap().pem();
    WrappingKey::from_pem(&format!("\n{pem}\n")).unwrap();
    for bad in [
        ed25519.as_str(),
        "",
        "orders",
        &pem[1..],
        &pem[..pem.len() - 2],
        &pem.replace("PUBLIC", "PRIVATE"),
        &pem.repeat(2),
        &pem.replacen('M', "_", 1),
    ] {
        let error = WrappingKey::from_pem(bad).err();
        assert_eq!(error, Some(CryptoError::WrappingKeyInvalid), "{bad}");
    }
    // A point of low order: whoever wraps to it would wrap to everybody.
    let der = version(Algorithm::X25519).public_key().unwrap().der().to_vec();
    let low = [&der[..12], &[0; 32]].concat();
    let wrapped = WrappingKey::from_der(&low).and_then(|key| key.wrap(&INFO, &material()));
    assert_eq!(wrapped.err(), Some(CryptoError::WrappingKeyInvalid));
}
