//! Policies in OCI registries: pulled by the server, published by the client.
//!
//! An artefact is what the CNCF's working group for WebAssembly agreed on: a manifest with one layer
//! of type `application/wasm`. It is signed as cosign signs it: a tag beside it, made of its digest,
//! has a statement on that digest and its signature. Nothing that a registry answers is believed:
//! bytes are held against digests, and a signature against the keys that a tenant trusts.

mod access;
mod artefact;
mod credentials;
mod error;
mod registries;
mod registry;
pub mod simple_signing;

pub use self::access::{Access, Settings, Way};
pub use self::artefact::Component;
pub use self::credentials::{Credentials, default_file};
pub use self::error::OciError;
pub use self::registries::{Allowed, Location};
pub use self::registry::{Pulled, Registry, Signed};
