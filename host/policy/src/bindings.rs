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
            // The only functions that may wait: they can load a key version from the store.
            "keyward:policy/keys.open": async | trappable,
            "keyward:policy/keys.open-version": async | trappable,
            "keyward:policy/sealing": async | trappable,
            "keyward:policy/opening": async | trappable,
            "keyward:policy/macs": async | trappable,
            "keyward:policy/index": async | trappable,
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
    index, keys, log, macs, opening, random, sealing, types,
};
pub(crate) use generated::{Policy as World, PolicyPre as WorldPre};

use keyward_crypto::Algorithm as KeyAlgorithm;

/// The algorithm as the WIT contract names it; `None` when it has no name there.
pub(crate) fn in_contract(algorithm: KeyAlgorithm) -> Option<Algorithm> {
    Some(match algorithm {
        KeyAlgorithm::XAes256Gcm => Algorithm::Xaes256Gcm,
        KeyAlgorithm::Aes256Gcm => Algorithm::Aes256Gcm,
        KeyAlgorithm::Aes256Siv => Algorithm::Aes256Siv,
        KeyAlgorithm::HmacSha256 => Algorithm::HmacSha256,
        _ => return None,
    })
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Xaes256Gcm => Self::XAes256Gcm,
            Algorithm::Aes256Gcm => Self::Aes256Gcm,
            Algorithm::Aes256Siv => Self::Aes256Siv,
            Algorithm::HmacSha256 => Self::HmacSha256,
        }
    }
}
