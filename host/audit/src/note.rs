//! Checkpoints: C2SP signed notes (c2sp.org/signed-note) with Ed25519 (RFC 8032) over the tree of
//! the log (c2sp.org/tlog-checkpoint).
//!
//! The text is the log's name, the number of entries, the root hash in base64, and one extension
//! line, `time ` and when it was signed.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::CryptoError;

use crate::hash::{self, Hash};
use crate::tree::Tree;
use crate::{KeyOf, time};

/// The signature type of Ed25519 in a verifier key.
const ED25519_TYPE: u8 = 1;
const KEY_ID: usize = 4;

/// Why a note or a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a verifier key.
    #[error("not a verifier key of Ed25519: it is NAME+HASH+KEY, as `keyward audit key` prints it")]
    Key,
    /// Not a checkpoint.
    #[error("it is no checkpoint: {0}")]
    Form(&'static str),
    /// Of another log.
    #[error("it is of the log {0}, not of this one")]
    OtherLog(String),
    /// Not signed by the key.
    #[error("its signature is not by this log's key")]
    Signature,
}

/// A log's public key: a C2SP verifier key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

impl Verifier {
    /// The log's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; KEY_ID] {
        let all = [self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.key].concat();
        let [a, b, c, d, ..] = hash::plain(&all);
        [a, b, c, d]
    }

    /// Reads a note and checks that this key signed it; other signatures are left alone.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let form = NoteError::Form;
        let split = note.split_once("\n\n").ok_or(form("it has no signatures"))?;
        let (text, signatures) = (&note[..=split.0.len()], split.1);
        let checkpoint = Checkpoint::read(text)?;
        if checkpoint.log != self.name {
            return Err(NoteError::OtherLog(checkpoint.log));
        }
        if self.signed(text, signatures) { Ok(checkpoint) } else { Err(NoteError::Signature) }
    }

    /// Whether one of the signatures is this key's of the text.
    fn signed(&self, text: &str, signatures: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        signatures.lines().any(|line| {
            let own = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
            let Some((_, encoded)) = own.filter(|(name, _)| *name == self.name) else {
                return false;
            };
            let bytes = STANDARD.decode(encoded).unwrap_or_default();
            let signature = bytes.strip_prefix(&self.id());
            signature.is_some_and(|signature| key.verify(text.as_bytes(), signature).is_ok())
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_TYPE], &self.key[..]].concat());
        write!(f, "{}+{}+{key}", self.name, hex::encode(self.id()))
    }
}

impl FromStr for Verifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let Some((&ED25519_TYPE, key)) = bytes.split_first() else {
            return Err(NoteError::Key);
        };
        let key = key.try_into().map_err(|_| NoteError::Key)?;
        let this = Self { name: name.to_owned(), key };
        let is_good = !name.is_empty() && !name.contains(char::is_whitespace);
        if is_good && hex::encode(this.id()) == id { Ok(this) } else { Err(NoteError::Key) }
    }
}

/// What a checkpoint says, once its signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub log: String,
    /// How many entries it covers.
    pub size: u64,
    /// Root of the tree over them.
    pub root: [u8; 32],
    /// When it was signed, RFC 3339; empty if it does not say.
    pub time: String,
}

impl Checkpoint {
    fn read(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let (Some(log), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Form("it has fewer than three lines"));
        };
        let decimal = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let size = decimal.ok_or(NoteError::Form("its size is no number"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let root = root.ok_or(NoteError::Form("its root hash is not 32 bytes in base64"))?;
        let time = lines.find_map(|line| line.strip_prefix("time ")).unwrap_or_default().to_owned();
        Ok(Self { log: log.to_owned(), size, root, time })
    }
}

/// A log's private key.
pub(crate) struct Signer {
    verifier: Verifier,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// The key of the log of this name.
    pub(crate) fn of(name: &str, key_of: KeyOf<'_>) -> Result<Self, CryptoError> {
        let secret = key_of(name)?;
        // Unchecked: there is no public key to check the seed against, it is computed.
        let pair = Ed25519KeyPair::from_seed_unchecked(secret.expose())
            .map_err(|_| CryptoError::Provider)?;
        let mut key: Hash = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { verifier: Verifier { name: name.to_owned(), key }, pair })
    }

    /// The public half.
    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// A checkpoint of the tree.
    pub(crate) fn sign(&self, tree: &Tree, time_ms: u64) -> String {
        let (name, size, root) = (&self.verifier.name, tree.size(), STANDARD.encode(tree.root()));
        let text = format!("{name}\n{size}\n{root}\ntime {}\n", time::rfc3339(time_ms));
        let signature = self.pair.sign(text.as_bytes());
        let signed = STANDARD.encode([&self.verifier.id(), signature.as_ref()].concat());
        format!("{text}\n\u{2014} {name} {signed}\n")
    }
}

#[cfg(test)]
mod tests {
    use keyward_crypto::at_rest::RootKey;

    use super::*;

    fn signer(name: &str) -> Signer {
        Signer::of(name, &|name| RootKey::from_bytes(&[7; 32])?.derive(name.as_bytes())).unwrap()
    }

    #[test]
    fn what_is_signed_opens_with_the_key_alone() {
        let signer = signer("keyward-audit/1");
        let mut tree = Tree::default();
        tree.push([1; 32]);
        let note = signer.sign(&tree, 1_000);
        let verifier: Verifier = signer.verifier().to_string().parse().unwrap();
        let checkpoint = verifier.open(&note).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (1, [1; 32]));
        assert_eq!(checkpoint.time, "1970-01-01T00:00:01.000Z");
        // A witness's signature beside it changes nothing.
        assert!(verifier.open(&format!("{note}\u{2014} witness AAAAAAAA\n")).is_ok());
        for (from, to) in [("\n1\n", "\n2\n"), ("time 1970", "time 1971")] {
            assert_eq!(verifier.open(&note.replacen(from, to, 1)), Err(NoteError::Signature));
        }
        let other = super::tests::signer("keyward-audit/2");
        assert!(matches!(other.verifier().open(&note), Err(NoteError::OtherLog(_))));
        assert!(matches!(verifier.open("x\n1\n"), Err(NoteError::Form(_))));
        assert!(matches!(verifier.open("x\n01\nAA==\n\n"), Err(NoteError::Form(_))));
    }

    /// The example of golang.org/x/mod/sumdb/note, which C2SP's signed notes are.
    #[test]
    fn a_known_note_opens() {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let verifier: Verifier = key.parse().unwrap();
        assert_eq!(verifier.to_string(), key);
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signature = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1\
                         FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(verifier.signed(text, signature));
        assert!(!verifier.signed(&text.replace("answer", "Answer"), signature));
    }

    #[test]
    fn only_verifier_keys_parse() {
        let own = signer("a").verifier().to_string();
        assert_eq!(own.parse::<Verifier>().unwrap().to_string(), own);
        for bad in ["", "a+b", "a+00000000+AQ==", &own.replacen('a', "b", 1)] {
            assert_eq!(bad.parse::<Verifier>(), Err(NoteError::Key), "{bad}");
        }
    }
}
