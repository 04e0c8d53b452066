//! What the property tests share.

use std::sync::LazyLock;

use keyward_crypto::provider::Provider;
use keyward_crypto::{Algorithm, Binding, Channel, KeyId, KeyMaterial, KeyVersion, Suite};
use proptest::prelude::*;

/// RSA keys are not made of any bytes, and made once: that takes seconds.
static RSA_2048: LazyLock<KeyMaterial> = LazyLock::new(|| rsa(Algorithm::RsaOaep2048));
static RSA_3072: LazyLock<KeyMaterial> = LazyLock::new(|| rsa(Algorithm::RsaOaep3072));
static RSA_4096: LazyLock<KeyMaterial> = LazyLock::new(|| rsa(Algorithm::RsaOaep4096));

fn rsa(algorithm: Algorithm) -> KeyMaterial {
    KeyMaterial::generate(algorithm).unwrap()
}

/// Everything that goes into one sealing.
#[derive(Debug, Clone)]
pub struct Case {
    pub suite: Suite,
    pub material: [u8; 32],
    pub key_id: u64,
    pub version: u32,
    pub channel: Channel,
    pub tenant: String,
    pub key_name: String,
    pub policy_data: Vec<u8>,
    pub context: Vec<u8>,
    pub plaintext: Vec<u8>,
}

impl Case {
    pub fn algorithm(&self) -> Algorithm {
        match self.suite {
            Suite::XAes256Gcm => Algorithm::XAes256Gcm,
            Suite::Aes256Gcm => Algorithm::Aes256Gcm,
            Suite::Aes256Siv => Algorithm::Aes256Siv,
            Suite::Aes256GcmSiv => Algorithm::Aes256GcmSiv,
            Suite::ChaCha20Poly1305 => Algorithm::ChaCha20Poly1305,
            Suite::XChaCha20Poly1305 => Algorithm::XChaCha20Poly1305,
            Suite::RsaOaep2048 => Algorithm::RsaOaep2048,
            Suite::RsaOaep3072 => Algorithm::RsaOaep3072,
            Suite::RsaOaep4096 => Algorithm::RsaOaep4096,
            Suite::HpkeX25519 => Algorithm::X25519,
            Suite::HpkeMlKem768 => Algorithm::MlKem768,
            Suite::HpkeXWing => Algorithm::X25519MlKem768,
        }
    }

    pub fn key<P: Provider>(&self) -> KeyVersion<P> {
        let material = match self.algorithm() {
            Algorithm::RsaOaep2048 => return self.with(&RSA_2048),
            Algorithm::RsaOaep3072 => return self.with(&RSA_3072),
            Algorithm::RsaOaep4096 => return self.with(&RSA_4096),
            algorithm @ Algorithm::MlKem768 => {
                KeyMaterial::from_bytes(algorithm, &self.material.repeat(2))
            }
            algorithm => KeyMaterial::from_bytes(algorithm, &self.material),
        }
        .unwrap();
        self.with(&material)
    }

    fn with<P: Provider>(&self, material: &KeyMaterial) -> KeyVersion<P> {
        KeyVersion::with_provider(self.algorithm(), KeyId(self.key_id), self.version, material)
            .unwrap()
    }

    pub fn binding(&self) -> Binding<'_> {
        Binding {
            channel: self.channel,
            tenant: &self.tenant,
            key_name: &self.key_name,
            policy_data: &self.policy_data,
            context: &self.context,
        }
    }
}

/// Any case with a plaintext of at most `longest` bytes.
pub fn case(longest: usize) -> impl Strategy<Value = Case> {
    let bytes = |longest| prop::collection::vec(any::<u8>(), 0..=longest);
    (
        (prop::sample::select(&Suite::ALL[..]), any::<[u8; 32]>(), any::<u64>(), any::<u32>()),
        prop::sample::select(&[Channel::Payload, Channel::Policy][..]),
        ("[a-z0-9-]{1,12}", "[A-Za-z0-9._-]{1,12}"),
        (bytes(24), bytes(600), bytes(longest)),
    )
        .prop_map(|(key, channel, (tenant, key_name), (policy_data, context, plaintext))| {
            Case {
                suite: key.0,
                material: key.1,
                key_id: key.2,
                version: key.3,
                channel,
                tenant,
                key_name,
                policy_data,
                context,
                plaintext,
            }
        })
}
