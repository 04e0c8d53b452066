//! The subkeys of an HMAC key.

use crate::derive::{label, subkey};
use crate::provider::{HmacKey, Provider};
use crate::{Algorithm, CryptoError, KeyMaterial, Mac};

/// The MAC subkey, as long as the hash, and the index subkey of one HMAC key version.
pub(crate) struct MacKeys<P: Provider> {
    material: KeyMaterial,
    mac: MacKey<P>,
    index: P::HmacSha256,
}

enum MacKey<P: Provider> {
    Sha256(P::HmacSha256),
    Sha384(P::HmacSha384),
    Sha512(P::HmacSha512),
}

impl<P: Provider> MacKeys<P> {
    /// [`CryptoError::KeyMaterialInvalid`] for an algorithm that is not HMAC.
    pub(crate) fn new(algorithm: Algorithm, material: KeyMaterial) -> Result<Self, CryptoError> {
        let secret = material.expose();
        let (mac, index) = match algorithm {
            Algorithm::HmacSha256 => {
                let key = subkey::<P, 32>(secret, label::HMAC_MAC)?;
                (MacKey::Sha256(P::HmacSha256::expand(key.as_slice())), label::HMAC_INDEX)
            }
            Algorithm::HmacSha384 => {
                let key = subkey::<P, 48>(secret, label::HMAC_384_MAC)?;
                (MacKey::Sha384(P::HmacSha384::expand(key.as_slice())), label::HMAC_384_INDEX)
            }
            Algorithm::HmacSha512 => {
                let key = subkey::<P, 64>(secret, label::HMAC_512_MAC)?;
                (MacKey::Sha512(P::HmacSha512::expand(key.as_slice())), label::HMAC_512_INDEX)
            }
            algorithm => return Err(CryptoError::KeyMaterialInvalid { algorithm }),
        };
        let index = P::HmacSha256::expand(subkey::<P, 32>(secret, index)?.as_slice());
        Ok(Self { material, mac, index })
    }

    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.material
    }

    pub(crate) fn mac(&self, data: &[u8]) -> Mac {
        match &self.mac {
            MacKey::Sha256(key) => Mac::new(key.sign(&[data])),
            MacKey::Sha384(key) => Mac::new(key.sign(&[data])),
            MacKey::Sha512(key) => Mac::new(key.sign(&[data])),
        }
    }

    pub(crate) fn index(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.index.sign(parts)
    }
}
