//! Versions' material.

use std::fmt::Write;

use keyward_crypto::{Algorithm, KeyId, KeyMaterial};
use zeroize::Zeroizing;

use super::corrupt;
use crate::error::KeyringError;

/// The [fingerprint](crate::VersionInfo::fingerprint) of a version's material.
pub(crate) fn fingerprint(material: &Material) -> String {
    const LABEL: &[u8] = b"keyward key material fingerprint v1\0";
    let mut input =
        Zeroizing::new(Vec::with_capacity(LABEL.len() + 8 + 4 + material.secret.expose().len()));
    input.extend_from_slice(LABEL);
    input.extend_from_slice(&material.key_id.0.to_be_bytes());
    input.extend_from_slice(&material.version.to_be_bytes());
    input.extend_from_slice(material.secret.expose());
    keyward_crypto::sha256(&input).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One version's material with what it belongs to.
pub(crate) struct Material {
    pub(crate) key_id: KeyId,
    pub(crate) version: u32,
    pub(crate) created_at: u64,
    /// Whether a caller brought it.
    pub(crate) imported: bool,
    pub(crate) secret: KeyMaterial,
}

/// Format byte, key id, version, creation time; the material follows.
const MATERIAL_HEAD_LEN: usize = 1 + 8 + 4 + 8;
const MATERIAL_FORMAT: u8 = 1;
/// Of material that a caller brought. It says so itself: whoever finds the material of an import
/// that was not finished must not take it for its own.
const IMPORTED_FORMAT: u8 = 2;

/// The material record: format `0x01`, or `0x02` of imported material, key id u64, version u32, creation time u64 (Unix ms), all
/// big-endian, then the material, whose length the key's algorithm determines.
pub(crate) fn encode_material(material: &Material) -> Zeroizing<Vec<u8>> {
    let mut out =
        Zeroizing::new(Vec::with_capacity(MATERIAL_HEAD_LEN + material.secret.expose().len()));
    out.push(if material.imported { IMPORTED_FORMAT } else { MATERIAL_FORMAT });
    out.extend_from_slice(&material.key_id.0.to_be_bytes());
    out.extend_from_slice(&material.version.to_be_bytes());
    out.extend_from_slice(&material.created_at.to_be_bytes());
    out.extend_from_slice(material.secret.expose());
    out
}

/// Reads a material record and checks that it is of the version asked for and holds material of
/// the key's algorithm.
pub(crate) fn decode_material(
    path: &str,
    value: &[u8],
    algorithm: Algorithm,
    version: u32,
) -> Result<Material, KeyringError> {
    let read = || {
        let (format, rest) = value.split_first()?;
        let (key_id, rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (created_at, secret) = rest.split_first_chunk::<8>()?;
        let number = u32::from_be_bytes(*number);
        let imported = match *format {
            MATERIAL_FORMAT => false,
            IMPORTED_FORMAT => true,
            _ => return None,
        };
        if number != version {
            return None;
        }
        Some(Material {
            key_id: KeyId(u64::from_be_bytes(*key_id)),
            version: number,
            created_at: u64::from_be_bytes(*created_at),
            imported,
            secret: KeyMaterial::from_bytes(algorithm, secret).ok()?,
        })
    };
    read().ok_or_else(|| corrupt(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material(algorithm: Algorithm) -> Material {
        let secret = KeyMaterial::generate(algorithm).unwrap();
        let key_id = KeyId(0x0123_4567_89ab_cdef);
        Material { key_id, version: 7, created_at: 11, imported: false, secret }
    }

    #[test]
    fn material_of_any_length_reads_back() {
        for algorithm in [
            Algorithm::XAes256Gcm,
            Algorithm::Ed25519,
            Algorithm::EcdsaP256,
            Algorithm::EcdsaP384,
            Algorithm::Rsa2048,
            Algorithm::MlKem768,
        ] {
            let material = material(algorithm);
            let bytes = encode_material(&material);
            let read = decode_material("p", &bytes, algorithm, 7).unwrap();
            assert_eq!(read.secret.expose(), material.secret.expose());
            assert_eq!((read.key_id, read.version, read.created_at), (material.key_id, 7, 11));
            assert_eq!(fingerprint(&read), fingerprint(&material));
            assert!(decode_material("p", &bytes, algorithm, 8).is_err());
            assert!(decode_material("p", &bytes[..bytes.len() - 1], algorithm, 7).is_err());
            assert!(decode_material("p", &[&bytes[..], &[0]].concat(), algorithm, 7).is_err());
        }
    }

    #[test]
    fn material_is_read_only_for_its_kind_of_key() {
        let bytes = encode_material(&material(Algorithm::EcdsaP256));
        for other in [Algorithm::EcdsaP384, Algorithm::Rsa2048, Algorithm::XAes256Gcm] {
            assert!(decode_material("p", &bytes, other, 7).is_err());
        }
    }

    /// What the first release wrote.
    #[test]
    fn the_layout_does_not_change() {
        let secret = KeyMaterial::from_bytes(Algorithm::XAes256Gcm, &[0xaa; 32]).unwrap();
        let (key_id, imported) = (KeyId(1), false);
        let mut material = Material { key_id, version: 2, created_at: 3, imported, secret };
        let mut expected = vec![1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        expected.extend([0xaa; 32]);
        assert_eq!(*encode_material(&material), expected);
        material.imported = true;
        expected[0] = 2;
        assert_eq!(*encode_material(&material), expected);
        let read = decode_material("p", &expected, Algorithm::XAes256Gcm, 2).unwrap();
        assert!(read.imported);
        expected[0] = 3;
        assert!(decode_material("p", &expected, Algorithm::XAes256Gcm, 2).is_err());
    }
}
