//! The contract's records, as `wit/policy.wit` has them, with what makes them pleasant to use.
//!
//! The component glue reads and writes these types directly, so their fields are the contract's.

use std::fmt;

/// Who is asking, as the host authenticated them. Never taken from a request body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Stable name of the credential's holder, for instance `billing-service`.
    pub subject: String,
    /// Roles the credential carries, for instance `application` or `tenant-admin`.
    pub roles: Vec<String>,
    /// Further statements about the caller, as name and value.
    pub claims: Vec<(String, String)>,
}

impl Caller {
    /// Whether the caller has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether the caller has at least one of the roles.
    pub fn has_any_role(&self, roles: &[&str]) -> bool {
        self.roles.iter().any(|held| roles.contains(&held.as_str()))
    }

    /// The value of the first claim of that name.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.iter().find(|(claimed, _)| claimed == name).map(|(_, value)| value.as_str())
    }
}

/// One operation a caller asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The host's identifier for the HTTP request, the same in its logs.
    pub id: String,
    /// The tenant the credential is bound to and whose policy this is.
    pub tenant: String,
    /// Who is asking.
    pub caller: Caller,
    /// What is asked for, such as `encrypt` or `invoke/NAME`; [`Request::action`] takes it apart.
    pub operation: String,
    /// Name of the key the caller wants used. `None` when the caller leaves the choice to the
    /// policy. For decrypt and rewrap it is the name of the key the ciphertext was made with.
    pub key: Option<String>,
    /// The caller's context, which the host binds into the ciphertext.
    pub context: Option<Vec<u8>>,
    /// What the caller says the operation is for. The host does not bind it; a policy may.
    pub purpose: Option<String>,
    /// The host's clock, in milliseconds since 1970-01-01T00:00:00Z.
    pub time: u64,
}

impl Request {
    /// The operation, taken apart.
    pub fn action(&self) -> Action<'_> {
        match self.operation.as_str() {
            "encrypt" => Action::Encrypt,
            "decrypt" => Action::Decrypt,
            "rewrap" => Action::Rewrap,
            "datakey" => Action::Datakey,
            "mac" => Action::Mac,
            "verify-mac" => Action::VerifyMac,
            "sign" => Action::Sign,
            "verify" => Action::Verify,
            "derive" => Action::Derive,
            "random" => Action::Random,
            "hash" => Action::Hash,
            other => match other.strip_prefix("invoke/") {
                Some(name) => Action::Invoke(name),
                None => Action::Other(other),
            },
        }
    }

    /// Whether the caller has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.caller.has_role(role)
    }

    /// The context, if there is one that is not empty: an empty context binds nothing.
    pub fn bound_context(&self) -> Option<&[u8]> {
        self.context.as_deref().filter(|context| !context.is_empty())
    }
}

/// What a request asks for. See [`Request::action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// The host is to encrypt a payload by this policy's plan.
    Encrypt,
    /// The host is to decrypt a payload by this policy's plan.
    Decrypt,
    /// The host is to open a ciphertext and seal its plaintext anew, without showing it. Asked for
    /// the key and context the ciphertext has, and again for those it is to get, if they differ.
    Rewrap,
    /// The host is to make data keys, sealed under the key.
    Datakey,
    /// The host is to compute a message authentication code.
    Mac,
    /// The host is to check one.
    VerifyMac,
    /// The host is to sign.
    Sign,
    /// The host is to check a signature.
    Verify,
    /// The host is to derive bytes from the key, for the caller to use.
    Derive,
    /// The host is to give random bytes. No key is named.
    Random,
    /// The host is to compute a digest. No key is named.
    Hash,
    /// One of the policy's own operations, by name.
    Invoke(&'a str),
    /// An operation this version of the contract does not know. Refuse it.
    Other(&'a str),
}

/// How a key's bytes are used. A key belongs to one family for life: the AEADs are one family,
/// every other algorithm stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// AEAD, C2SP XAES-256-GCM with key commitment: 192-bit random nonces. The default.
    XAes256Gcm,
    /// AEAD, NIST SP 800-38D AES-256-GCM: 96-bit random nonces, at most 2^32 messages a version.
    Aes256Gcm,
    /// AEAD, RFC 8452 AES-256-GCM-SIV.
    Aes256GcmSiv,
    /// AEAD, RFC 8439 ChaCha20-Poly1305: 96-bit random nonces, at most 2^32 messages a version.
    ChaCha20Poly1305,
    /// AEAD, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): 192-bit random nonces.
    XChaCha20Poly1305,
    /// Deterministic AEAD, RFC 5297 AES-256-SIV: equal inputs give equal ciphertexts.
    Aes256Siv,
    /// RFC 2104 HMAC with SHA-256: tags and blind-index terms.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// Signatures, RFC 8032 Ed25519.
    Ed25519,
    /// Signatures, FIPS 186-5 ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// Signatures, FIPS 186-5 ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Signatures, RFC 8017 RSA of 2048 bits.
    Rsa2048,
    /// The same of 3072 bits.
    Rsa3072,
    /// The same of 4096 bits.
    Rsa4096,
    /// Encryption to a public key, RFC 8017 RSA-OAEP with SHA-256 of 2048 bits.
    RsaOaep2048,
    /// The same of 3072 bits.
    RsaOaep3072,
    /// The same of 4096 bits.
    RsaOaep4096,
    /// Encryption to a public key, RFC 7748 X25519.
    X25519,
    /// Encryption to a public key, FIPS 203 ML-KEM-768.
    MlKem768,
    /// Encryption to a public key, both of the above combined (X-Wing).
    X25519MlKem768,
    /// Signatures, FIPS 204 ML-DSA-65.
    MlDsa65,
}

impl Algorithm {
    /// Every algorithm, in the contract's order.
    pub const ALL: [Self; 22] = [
        Self::XAes256Gcm,
        Self::Aes256Gcm,
        Self::Aes256GcmSiv,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::Aes256Siv,
        Self::HmacSha256,
        Self::HmacSha384,
        Self::HmacSha512,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::RsaOaep2048,
        Self::RsaOaep3072,
        Self::RsaOaep4096,
        Self::X25519,
        Self::MlKem768,
        Self::X25519MlKem768,
        Self::MlDsa65,
    ];
}

/// Something the host must do, or refuse the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// `max-bytes` or `note`. The host refuses a plan with an obligation it does not know.
    pub name: String,
    /// The obligation's value; its form depends on the name.
    pub value: String,
}

/// What the host is to do: for encrypt and decrypt it executes the plan on the payload, which
/// never enters the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Key to use. `None`: the key the request names.
    pub key: Option<String>,
    /// Version to encrypt with. `None`: the current one. For decrypt: the only one accepted.
    pub version: Option<u32>,
    /// AEAD to encrypt with, of the key's family. `None`: the key's own.
    pub suite: Option<Algorithm>,
    /// The policy's own part of the authenticated data. Decrypting needs the same bytes. At most
    /// 4 KiB.
    pub authenticated_data: Vec<u8>,
    /// What the host must see to.
    pub obligations: Vec<Obligation>,
}

impl Plan {
    /// Does what the request asks for, with the key it names.
    pub fn allow() -> Self {
        Self::default()
    }

    /// Uses this key instead of the one the request names.
    #[must_use]
    pub fn with_key(mut self, name: impl Into<String>) -> Self {
        self.key = Some(name.into());
        self
    }

    /// Encrypts with this version; decrypts nothing but this version.
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Encrypts with this AEAD of the key's family.
    #[must_use]
    pub fn with_suite(mut self, suite: Algorithm) -> Self {
        self.suite = Some(suite);
        self
    }

    /// Binds one more piece of data: what was encrypted with it opens only with it.
    ///
    /// Every piece is stored behind its length, so that no two lists of pieces look the same.
    #[must_use]
    pub fn bind(mut self, data: impl AsRef<[u8]>) -> Self {
        bind(&mut self.authenticated_data, data.as_ref());
        self
    }

    /// Refuses a plaintext or ciphertext longer than this.
    #[must_use]
    pub fn max_bytes(self, limit: u32) -> Self {
        self.obliged("max-bytes", limit.to_string())
    }

    /// Records a remark of up to 256 bytes with the outcome. Never put payloads into it.
    #[must_use]
    pub fn note(self, remark: impl Into<String>) -> Self {
        self.obliged("note", remark.into())
    }

    fn obliged(mut self, name: &str, value: String) -> Self {
        self.obligations.push(Obligation { name: name.to_owned(), value });
        self
    }
}

/// Appends one piece to authenticated data, behind its length (32 bits, big-endian).
pub fn bind(authenticated_data: &mut Vec<u8>, piece: &[u8]) {
    // A piece of 4 GiB does not fit a guest; the cast cannot lose anything there.
    let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
    authenticated_data.reserve(4 + piece.len());
    authenticated_data.extend_from_slice(&length.to_be_bytes());
    authenticated_data.extend_from_slice(piece);
}

/// Why something was not done. The text reaches the caller, so it must hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The policy or the host does not allow it. HTTP 403.
    Denied(String),
    /// The request cannot be right, whoever asks: say what to change. HTTP 400.
    Invalid(String),
    /// No such key or version in this tenant. HTTP 404.
    NotFound(String),
    /// It clashes with the state of things. HTTP 409.
    Conflict(String),
    /// Try again later. HTTP 503.
    Unavailable(String),
}

impl Error {
    /// The policy does not allow it.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::Denied(message.into())
    }

    /// The request cannot be right, whoever asks.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// There is no such key or version.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// It clashes with the state of things.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(message.into())
    }

    /// It may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(message.into())
    }

    /// The refusal of an operation the policy does not know.
    pub fn unknown_operation(operation: &str) -> Self {
        Self::Denied(["this policy knows no operation `", operation, "`"].concat())
    }

    /// The text for the caller.
    pub fn message(&self) -> &str {
        match self {
            Self::Denied(message)
            | Self::Invalid(message)
            | Self::NotFound(message)
            | Self::Conflict(message)
            | Self::Unavailable(message) => message,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied(_) => "denied: ",
            Self::Invalid(_) => "invalid: ",
            Self::NotFound(_) => "not found: ",
            Self::Conflict(_) => "conflict: ",
            Self::Unavailable(_) => "unavailable: ",
        })?;
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

/// What goes into an operation of the policy's own, and what comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Media type, for instance `application/json`.
    pub content_type: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// One operation of the policy's own, as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Lower-case letters, digits and `-`.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// JSON Schema (2020-12) of the input.
    pub input_schema: String,
    /// JSON Schema (2020-12) of the output.
    pub output_schema: String,
}

/// One item of [`Key::encrypt_many`](crate::Key::encrypt_many).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plaintext {
    /// What to encrypt.
    pub data: Vec<u8>,
    /// What to bind to it.
    pub aad: Vec<u8>,
}

/// One item of [`Key::decrypt_many`](crate::Key::decrypt_many).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// What to decrypt.
    pub data: Vec<u8>,
    /// What was bound to it.
    pub aad: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_taken_apart() {
        for (operation, action) in [
            ("encrypt", Action::Encrypt),
            ("decrypt", Action::Decrypt),
            ("rewrap", Action::Rewrap),
            ("datakey", Action::Datakey),
            ("mac", Action::Mac),
            ("verify-mac", Action::VerifyMac),
            ("sign", Action::Sign),
            ("verify", Action::Verify),
            ("derive", Action::Derive),
            ("random", Action::Random),
            ("hash", Action::Hash),
            ("invoke/protect", Action::Invoke("protect")),
            ("invoke/", Action::Invoke("")),
            ("invoke", Action::Other("invoke")),
            ("Encrypt", Action::Other("Encrypt")),
            ("", Action::Other("")),
        ] {
            let request = Request { operation: operation.to_owned(), ..Request::default() };
            assert_eq!(request.action(), action);
        }
    }

    #[test]
    fn an_empty_context_binds_nothing() {
        let request = |context: Option<&[u8]>| Request {
            context: context.map(<[u8]>::to_vec),
            ..Request::default()
        };
        assert_eq!(request(None).bound_context(), None);
        assert_eq!(request(Some(b"")).bound_context(), None);
        assert_eq!(request(Some(b"x")).bound_context(), Some(&b"x"[..]));
    }

    #[test]
    fn bound_pieces_cannot_be_shifted() {
        let bound =
            |pieces: &[&str]| pieces.iter().fold(Plan::allow(), Plan::bind).authenticated_data;
        assert_eq!(bound(&["ab"]), b"\0\0\0\x02ab");
        let mut seen = vec![bound(&[])];
        for pieces in [&["ab", "c"][..], &["a", "bc"], &["abc"], &["abc", ""], &["", "abc"]] {
            let data = bound(pieces);
            assert!(!seen.contains(&data), "{pieces:?}");
            seen.push(data);
        }
    }

    #[test]
    fn claims_and_roles_are_found_by_name() {
        let caller = Caller {
            roles: vec!["reader".to_owned()],
            claims: vec![("team".to_owned(), "a".to_owned()), ("team".to_owned(), "b".to_owned())],
            ..Caller::default()
        };
        assert!(caller.has_role("reader") && !caller.has_role("read"));
        assert!(caller.has_any_role(&["writer", "reader"]) && !caller.has_any_role(&[]));
        assert_eq!((caller.claim("team"), caller.claim("Team")), (Some("a"), None));
    }
}
