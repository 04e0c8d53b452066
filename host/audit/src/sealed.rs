//! Entries that auditors alone can read, and the terms by which they are found all the same.
//!
//! What tells who did what with which key is sealed under a key of the file's, and that one, with the
//! key of the terms, to the auditors. Terms are the first 8 bytes of HMAC-SHA-256 over a field's name
//! and value: equal values have equal terms, and who does not have the key learns no more than that.

use std::io;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::CryptoError;
use keyward_crypto::at_rest::{self, RootKey};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::entry::{Entry, cut};
use crate::line;

/// What the key of the terms is derived for, from the log's own.
const INDEX: &[u8] = b"audit index";
/// Bytes of a term.
const TERM: usize = 8;
/// Stands before the sealed fields, which end the body.
const SEALED: &str = ",\"sealed\":\"";
/// Stands before the terms, which come before these.
const TERMS: &[u8] = b",\"terms\":{";

/// Those to whom entries are sealed.
pub trait Auditors: Send + Sync {
    /// Who they are, as the log shows it.
    fn names(&self) -> Vec<String>;

    /// Encrypts `keys`, 64 bytes, so that each of them can open it.
    fn seal(&self, keys: &[u8]) -> io::Result<Vec<u8>>;
}

/// Opens what [`Auditors::seal`] made; none if it is for somebody else.
pub type Unseal<'a> = &'a (dyn Fn(&[u8]) -> Option<Zeroizing<Vec<u8>>> + Sync);

/// Makes terms.
#[derive(Clone)]
pub struct Index(Arc<(hmac::Key, Zeroizing<[u8; RootKey::LEN]>)>);

impl Index {
    /// The terms' key of a log, from the log's key.
    pub(crate) fn of(log: &RootKey) -> Result<Self, CryptoError> {
        Ok(Self::new(log.derive(INDEX)?.expose()))
    }

    fn new(key: &[u8; RootKey::LEN]) -> Self {
        Self(Arc::new((hmac::Key::new(hmac::HMAC_SHA256, key), Zeroizing::new(*key))))
    }

    /// The term of a value of a field: 16 hexadecimal digits.
    pub(crate) fn term(&self, field: &str, value: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0.0);
        context.update(field.as_bytes());
        context.update(&[0]);
        context.update(cut(value).as_bytes());
        hex::encode(&context.sign().as_ref()[..TERM])
    }
}

/// Seals the entries of one file.
pub(crate) struct Sealer {
    auditors: Box<dyn Auditors>,
    index: Index,
    log: String,
    key: RootKey,
    /// The fields of an entry before they are sealed.
    private: Zeroizing<Vec<u8>>,
}

/// The keys of entries from here on, as they stand in the log.
pub(crate) struct Keys {
    pub to: Vec<String>,
    pub sealed: String,
}

impl Sealer {
    pub(crate) fn new(
        auditors: Box<dyn Auditors>,
        index: Index,
        log: &str,
    ) -> Result<Self, CryptoError> {
        let (log, key) = (log.to_owned(), RootKey::generate()?);
        Ok(Self { auditors, index, log, key, private: Zeroizing::default() })
    }

    /// Takes a new key for what follows, which nobody reads before these keys are in the log.
    pub(crate) fn renew(&mut self) -> io::Result<Keys> {
        let key = RootKey::generate().map_err(io::Error::other)?;
        let mut keys = Zeroizing::new([0; 2 * RootKey::LEN]);
        keys[..RootKey::LEN].copy_from_slice(key.expose());
        keys[RootKey::LEN..].copy_from_slice(&*self.index.0.1);
        let sealed = STANDARD.encode(self.auditors.seal(keys.as_slice())?);
        self.key = key;
        Ok(Keys { to: self.auditors.names(), sealed })
    }

    /// Appends an entry's fields to `out`, whose line began at `start`.
    pub(crate) fn push(&mut self, entry: &Entry, out: &mut Vec<u8>, start: usize) {
        self.private.clear();
        entry.push(out, Some(&mut self.private));
        if self.private.is_empty() {
            return;
        }
        self.push_terms(entry, out);
        // The comma before the first field becomes the object's beginning.
        self.private[0] = b'{';
        self.private.push(b'}');
        let aad = aad(&self.log, &out[start..]);
        let sealed = at_rest::seal(&self.key, &aad, &self.private).unwrap_or_else(|error| {
            // Better an entry without these fields than no entry, or one that all can read.
            tracing::error!(%error, "an audit entry cannot be sealed; its fields are lost");
            Vec::new()
        });
        out.extend_from_slice(SEALED.as_bytes());
        out.extend_from_slice(STANDARD.encode(sealed).as_bytes());
        out.push(b'"');
    }

    fn push_terms(&self, entry: &Entry, out: &mut Vec<u8>) {
        let of_one = [
            ("tenant", &entry.tenant),
            ("subject", &entry.subject),
            ("credential", &entry.credential),
        ];
        let start = out.len() + TERMS.len();
        out.extend_from_slice(TERMS);
        for (field, value) in of_one {
            if let Some(value) = value {
                line::text(out, field, &self.index.term(field, value));
            }
        }
        if !entry.uses.is_empty() {
            line::push_name(out, "key");
            for (index, used) in entry.uses.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                line::push_string(out, &self.index.term("key", &used.key));
            }
            out.push(b']');
        }
        // No comma before the first.
        if out.get(start) == Some(&b',') {
            out.remove(start);
        }
        out.push(b'}');
    }
}

/// What sealed fields are bound to: the log and the line up to them.
fn aad(log: &str, body: &[u8]) -> Vec<u8> {
    [log.as_bytes(), &[0], body].concat()
}

/// Reads sealed entries, line by line.
pub(crate) struct Opener<'a> {
    unseal: Unseal<'a>,
    log: String,
    key: Option<RootKey>,
}

#[derive(Deserialize)]
struct KeysLine {
    keys: String,
}

#[derive(Deserialize)]
struct SealedLine<'a> {
    #[serde(borrow)]
    sealed: &'a str,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(unseal: Unseal<'a>) -> Self {
        Self { unseal, log: String::new(), key: None }
    }

    /// Begins a file of this log.
    pub(crate) fn begin(&mut self, log: String) {
        (self.log, self.key) = (log, None);
    }

    /// Takes the keys of the lines that follow; gives that of their terms, if they are for this auditor.
    pub(crate) fn take(&mut self, line: &[u8]) -> Option<Index> {
        self.key = None;
        let read: KeysLine = serde_json::from_slice(line).ok()?;
        let keys = (self.unseal)(&STANDARD.decode(read.keys).ok()?)?;
        let (entries, index) = keys.split_at_checked(RootKey::LEN)?;
        self.key = RootKey::from_bytes(entries).ok();
        Some(Index::new(index.try_into().ok()?))
    }

    /// The line with its sealed fields where they stand in a log that is not sealed, without terms;
    /// none if they are not for this auditor, or not what was written.
    pub(crate) fn open(&self, line: &[u8]) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        let at = memchr::memmem::rfind(line, SEALED.as_bytes())?;
        let read: SealedLine<'_> = serde_json::from_slice(line).ok()?;
        let sealed = STANDARD.decode(read.sealed).ok()?;
        let fields = at_rest::open(key, &aad(&self.log, &line[..at]), &sealed).ok()?;
        let terms = memchr::memmem::rfind(&line[..at], TERMS)?;
        let fields = fields.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let rest = at + SEALED.len() + read.sealed.len() + 1;
        Some([&line[..terms], b",", fields, line.get(rest..)?].concat())
    }
}
