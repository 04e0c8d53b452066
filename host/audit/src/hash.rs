//! SHA-256 (FIPS 180-4) in its three roles: chain, leaf, node.

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub(crate) type Hash = [u8; 32];

/// What the first entry follows.
pub(crate) const START: Hash = [0; 32];

/// An entry's place in the chain: over the hash before it and the exact bytes of its body.
pub(crate) fn chain(before: &Hash, body: &[u8]) -> Hash {
    Sha256::new().chain_update(before).chain_update(body).finalize().into()
}

/// The hash of a leaf of the tree, RFC 6962 section 2.1.
pub(crate) fn leaf(line: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(line).finalize().into()
}

/// The hash of an inner node of the tree, RFC 6962 section 2.1.
pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Of anything else.
pub(crate) fn plain(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}
