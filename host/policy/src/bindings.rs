//! Rust types and traits generated from `wit/policy.wit`.
//!
//! The records a caller passes in are re-exported as this crate's own, so that a request reaches
//! the guest without a conversion in between.

#[expect(missing_docs, reason = "generated; documented in the WIT")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "policy",
        imports: {
            // The only functions that may wait: they can load a key version from the store, or
            // ask it for what the policy remembers.
            "keyward:policy/keys.open": async | trappable,
            "keyward:policy/keys.open-version": async | trappable,
            "keyward:policy/sealing": async | trappable,
            "keyward:policy/opening": async | trappable,
            "keyward:policy/macs": async | trappable,
            "keyward:policy/signing": async | trappable,
            "keyward:policy/verifying": async | trappable,
            "keyward:policy/index": async | trappable,
            "keyward:policy/tokens.tokenize": async | trappable,
            "keyward:policy/tokens.reveal": async | trappable,
            "keyward:policy/state": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: { "keyward:policy/keys.key": crate::keys::KeyResource },
        additional_derives: [PartialEq],
    });
}

pub use generated::exports::keyward::policy::handler::{Operation, Payload};
pub use generated::keyward::policy::types::{Algorithm, Caller, Obligation, Plan, Request};
pub(crate) use generated::keyward::policy::{
    index, keys, log, macs, opening, random, recipients, sealing, signing, state, tokens, types,
    verifying,
};
pub(crate) use generated::{Policy as World, PolicyPre as WorldPre};

use generated::keyward::policy::types::SignatureForm;
use keyward_crypto::{Algorithm as KeyAlgorithm, SignatureForm as KeySignatureForm};

impl From<SignatureForm> for KeySignatureForm {
    fn from(form: SignatureForm) -> Self {
        match form {
            SignatureForm::Standard => Self::Standard,
            SignatureForm::Fixed => Self::Fixed,
            SignatureForm::Pkcs1 => Self::Pkcs1,
        }
    }
}

/// The contract's names of algorithms are the format's, spelled as WIT wants them.
macro_rules! same {
    ($($key:ident $contract:ident,)*) => {
        impl From<KeyAlgorithm> for Algorithm {
            fn from(algorithm: KeyAlgorithm) -> Self {
                match algorithm { $(KeyAlgorithm::$key => Self::$contract,)* }
            }
        }

        impl From<Algorithm> for KeyAlgorithm {
            fn from(algorithm: Algorithm) -> Self {
                match algorithm { $(Algorithm::$contract => Self::$key,)* }
            }
        }
    };
}

same! {
    XAes256Gcm Xaes256Gcm,
    Aes256Gcm Aes256Gcm,
    Aes256GcmSiv Aes256GcmSiv,
    ChaCha20Poly1305 Chacha20Poly1305,
    XChaCha20Poly1305 Xchacha20Poly1305,
    Aes256Siv Aes256Siv,
    HmacSha256 HmacSha256,
    HmacSha384 HmacSha384,
    HmacSha512 HmacSha512,
    Ed25519 Ed25519,
    EcdsaP256 EcdsaP256,
    EcdsaP384 EcdsaP384,
    Rsa2048 Rsa2048,
    Rsa3072 Rsa3072,
    Rsa4096 Rsa4096,
    RsaOaep2048 RsaOaep2048,
    RsaOaep3072 RsaOaep3072,
    RsaOaep4096 RsaOaep4096,
    X25519 X25519,
    MlKem768 MlKem768,
    X25519MlKem768 X25519MlKem768,
    MlDsa65 MlDsa65,
}
