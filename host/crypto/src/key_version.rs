//! One version of a key, ready to use.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aead::AeadKeys;
use crate::algorithm::Family;
use crate::asymmetric::SigningKey;
use crate::batch::{Batch, OpeningBatch};
use crate::binding::length_prefix;
use crate::derive::{self, label, subkey};
use crate::mac_keys::MacKeys;
use crate::provider::{self, AeadKey, Provider};
use crate::recipient::Recipient;
use crate::siv::Siv;
use crate::token::{Alphabet, TokenKey};
use crate::xaes;
use crate::{
    Algorithm, Binding, CryptoError, Header, KeyId, KeyMaterial, Mac, Operation, PublicKey,
    SignatureForm, Suite, WrappingInfo, memory, random_bytes,
};

/// One version of a key with the subkeys of its default suite derived and their key schedules
/// computed, so that using it costs the cipher only; those of other suites are derived when first
/// needed. Immutable, `Send + Sync`; the secrets are wiped when it is dropped.
pub struct KeyVersion<P: Provider = provider::Default> {
    algorithm: Algorithm,
    key_id: KeyId,
    version: u32,
    keys: Keys<P>,
}

enum Keys<P: Provider> {
    Aead(Box<AeadKeys<P>>),
    Siv(Box<DeterministicKeys>),
    Mac(Box<MacKeys<P>>),
    Signing(Box<SigningKey>),
    Recipient(Box<Recipient>),
}

/// What a deterministic key is used for.
struct DeterministicKeys {
    siv: Siv,
    tokens: TokenKey,
}

impl KeyVersion {
    /// Expands version `version` of key `key_id` on the default provider.
    pub fn new(
        algorithm: Algorithm,
        key_id: KeyId,
        version: u32,
        material: &KeyMaterial,
    ) -> Result<Self, CryptoError> {
        Self::with_provider(algorithm, key_id, version, material)
    }
}

impl<P: Provider> KeyVersion<P> {
    /// Expands version `version` of key `key_id` on a provider of choice.
    pub fn with_provider(
        algorithm: Algorithm,
        key_id: KeyId,
        version: u32,
        material: &KeyMaterial,
    ) -> Result<Self, CryptoError> {
        // Checked again: the material may have been made for another algorithm.
        let material = KeyMaterial::from_bytes(algorithm, material.expose())?;
        let keys = match algorithm.family() {
            Family::Aead => Keys::Aead(Box::new(AeadKeys::new(algorithm, material)?)),
            Family::Siv => Keys::Siv(Box::new(DeterministicKeys {
                siv: Siv::new(subkey::<P, 64>(material.expose(), label::SIV_ENCRYPTION)?),
                tokens: TokenKey::new(subkey::<P, 32>(material.expose(), label::FF1)?),
            })),
            Family::Mac => Keys::Mac(Box::new(MacKeys::new(algorithm, material)?)),
            Family::Signature => Keys::Signing(Box::new(SigningKey::new(algorithm, &material)?)),
            Family::Recipient => Keys::Recipient(Box::new(Recipient::new(algorithm, &material)?)),
        };
        match &keys {
            Keys::Aead(keys) => memory::keep(&**keys),
            Keys::Siv(keys) => memory::keep(&**keys),
            Keys::Mac(keys) => memory::keep(&**keys),
            Keys::Signing(key) => memory::keep(&**key),
            Keys::Recipient(key) => memory::keep(&**key),
        }
        Ok(Self { algorithm, key_id, version, keys })
    }

    /// What the key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id, as it stands in ciphertext headers.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which version of the key this is.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Encrypts and authenticates `plaintext`, bound to `binding`, with `suite` or, when `None`,
    /// the algorithm's default suite. Returns the binary ciphertext,
    /// [`Suite::overhead`] bytes longer than the plaintext.
    ///
    /// [`CryptoError::OperationNotSupported`] for a key that does not encrypt, [`CryptoError::SuiteNotAllowed`]
    /// for a suite of another family, [`CryptoError::TooLong`] past the suite's limits.
    pub fn seal(
        &self,
        suite: Option<Suite>,
        binding: &Binding<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.seal_with_nonce(suite, binding, plaintext, random_bytes)
    }

    /// Begins a batch of `messages` messages, all at hand, to be sealed with `suite` or, when
    /// `None`, the default suite. `None` where a batch would save nothing.
    pub fn begin_batch(
        &self,
        suite: Option<Suite>,
        messages: usize,
    ) -> Result<Option<Batch<P>>, CryptoError> {
        let suite = suite.or(self.algorithm.default_suite());
        match &self.keys {
            Keys::Aead(keys) if suite == Some(Suite::XAes256Gcm) => {
                let xaes = keys.xaes()?.xaes();
                Batch::begin(self.key_id, self.version, xaes, messages).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// [`seal`](Self::seal) with the default suite for one message of a batch. One that is over, or
    /// of another key, does no harm: the message is sealed by itself.
    pub fn seal_in(
        &self,
        batch: &Batch<P>,
        binding: &Binding<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let suite = Suite::XAes256Gcm;
        let nonce = if batch.is_of(self.key_id, self.version) { batch.next_nonce() } else { None };
        let (Some(nonce), Keys::Aead(keys)) = (nonce, &self.keys) else {
            return self.seal(Some(suite), binding, plaintext);
        };
        let header = Header { suite, key_id: self.key_id, key_version: self.version };
        let length = plaintext.len().checked_add(suite.overhead()).ok_or(CryptoError::TooLong)?;
        binding.with_aad(header.to_bytes(), |aad| {
            let mut out = Vec::with_capacity(length);
            out.extend_from_slice(&header.to_bytes());
            keys.xaes()?.seal_by(&nonce, plaintext, &mut out, |in_out| {
                batch.key.seal(&xaes::gcm_nonce(&nonce), aad, in_out)
            })?;
            Ok(out)
        })
    }

    /// [`seal`](Self::seal) with the nonce taken from `fill_nonce`: the seam for pinned vectors.
    pub(crate) fn seal_with_nonce(
        &self,
        suite: Option<Suite>,
        binding: &Binding<'_>,
        plaintext: &[u8],
        fill_nonce: impl FnOnce(&mut [u8]) -> Result<(), CryptoError>,
    ) -> Result<Vec<u8>, CryptoError> {
        let algorithm = self.algorithm;
        let default =
            algorithm.default_suite().ok_or_else(|| self.unsupported(Operation::Encrypt))?;
        let suite = suite.unwrap_or(default);
        if !algorithm.allows(suite) {
            return Err(CryptoError::SuiteNotAllowed { algorithm, suite });
        }
        let header = Header { suite, key_id: self.key_id, key_version: self.version };
        let length = plaintext.len().checked_add(suite.overhead()).ok_or(CryptoError::TooLong)?;

        binding.with_aad(header.to_bytes(), |aad| {
            let mut out = Vec::with_capacity(length);
            out.extend_from_slice(&header.to_bytes());
            match &self.keys {
                Keys::Aead(keys) => keys.seal_into(suite, aad, plaintext, fill_nonce, &mut out)?,
                Keys::Siv(keys) => keys.siv.seal_into(aad, plaintext, &mut out)?,
                Keys::Recipient(key) => key.seal_into(aad, plaintext, &mut out)?,
                Keys::Mac(_) | Keys::Signing(_) => {
                    return Err(self.unsupported(Operation::Encrypt));
                }
            }
            Ok(out)
        })
    }

    /// Authenticates and decrypts a binary ciphertext that this key version sealed under an equal
    /// binding; the suite is the one its header names. Every failure, whatever its cause, is
    /// [`CryptoError::CiphertextInvalid`].
    pub fn open(
        &self,
        binding: &Binding<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.open_by(binding, ciphertext, AeadKeys::open)
    }

    /// [`open`](Self::open) for one of several ciphertexts.
    pub fn open_in(
        &self,
        batch: &OpeningBatch<P>,
        binding: &Binding<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.open_by(binding, ciphertext, |keys, suite, aad, sealed| {
            if suite != Suite::XAes256Gcm {
                return keys.open(suite, aad, sealed);
            }
            let keys = keys.xaes()?;
            keys.open_by(sealed, |nonce, in_out, tag| {
                batch.with_key(self.key_id, self.version, keys.xaes(), nonce, |key| {
                    key.open(&xaes::gcm_nonce(nonce), aad, in_out, tag)
                })
            })
        })
    }

    fn open_by(
        &self,
        binding: &Binding<'_>,
        ciphertext: &[u8],
        open: impl FnOnce(&AeadKeys<P>, Suite, &[u8], &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError>,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (header, sealed) = Header::split(ciphertext)?;
        if header.key_id != self.key_id || header.key_version != self.version {
            return Err(CryptoError::CiphertextInvalid);
        }
        if !self.algorithm.allows(header.suite) {
            return Err(CryptoError::CiphertextInvalid);
        }
        binding
            .with_aad(header.to_bytes(), |aad| match &self.keys {
                Keys::Aead(keys) => open(keys, header.suite, aad, sealed),
                Keys::Siv(keys) => keys.siv.open(aad, sealed),
                Keys::Recipient(key) => key.open(aad, sealed),
                Keys::Mac(_) | Keys::Signing(_) => Err(CryptoError::CiphertextInvalid),
            })
            .map_err(|_| CryptoError::CiphertextInvalid)
    }

    /// HMAC of `data` under the key's MAC subkey, with the hash its algorithm names: 32, 48 or 64
    /// bytes. HMAC keys only, otherwise [`CryptoError::OperationNotSupported`].
    pub fn mac(&self, data: &[u8]) -> Result<Mac, CryptoError> {
        Ok(self.mac_keys(Operation::Mac)?.mac(data))
    }

    /// Whether `tag` is the [`mac`](Self::mac) of `data`, compared in constant time. A tag of
    /// another length is not. Errors as `mac`.
    pub fn verify_mac(&self, data: &[u8], tag: &[u8]) -> Result<bool, CryptoError> {
        Ok(self.mac(data)?.ct_eq(tag).into())
    }

    /// The blind-index term of `value` in the index called `label`: HMAC-SHA-256 under the key's
    /// index subkey over the length-prefixed label, then the value. HMAC keys only, otherwise
    /// [`CryptoError::OperationNotSupported`]; a label of 2^32 bytes or more is
    /// [`CryptoError::TooLong`].
    pub fn index_term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], CryptoError> {
        let keys = self.mac_keys(Operation::Index)?;
        let label = label.as_bytes();
        Ok(keys.index(&[&length_prefix(label)?, label, value]))
    }

    /// `length` secret bytes that depend on the key version and on `info`, and on nothing else:
    /// HKDF-SHA-256 under a subkey for this alone. AEAD and HMAC keys only, otherwise
    /// [`CryptoError::OperationNotSupported`]; more than 255 × 32 bytes is
    /// [`CryptoError::TooLong`].
    pub fn derive(&self, info: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let material = match &self.keys {
            Keys::Aead(keys) => keys.material(),
            Keys::Mac(keys) => keys.material(),
            _ => return Err(self.unsupported(Operation::Derive)),
        };
        if length > derive::LONGEST {
            return Err(CryptoError::TooLong);
        }
        let mut out = Zeroizing::new(vec![0; length]);
        derive::expand::<P>(material.expose(), info, &mut out)?;
        Ok(out)
    }

    /// A token for `text`: as many characters of the same alphabet, by FF1 (NIST SP 800-38G) with
    /// `tweak`. Equal texts have equal tokens under one key version, alphabet and tweak; nothing
    /// authenticates a token, and nothing in it tells its key version. Deterministic keys only,
    /// otherwise [`CryptoError::OperationNotSupported`].
    ///
    /// [`CryptoError::NotInAlphabet`], [`CryptoError::TokenTooShort`] below a million possible
    /// texts, [`CryptoError::TooLong`] over [`Alphabet::LONGEST`] characters.
    pub fn tokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        text: &str,
    ) -> Result<String, CryptoError> {
        self.token_key()?.tokenize(alphabet, tweak, text)
    }

    /// The text that [`tokenize`](Self::tokenize) made this token of with the same alphabet and
    /// tweak; of any other token, some text. Errors as there.
    pub fn detokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        token: &str,
    ) -> Result<Zeroizing<String>, CryptoError> {
        self.token_key()?.detokenize(alphabet, tweak, token)
    }

    fn token_key(&self) -> Result<&TokenKey, CryptoError> {
        match &self.keys {
            Keys::Siv(keys) => Ok(&keys.tokens),
            _ => Err(self.unsupported(Operation::Tokenize)),
        }
    }

    /// The signature of `input` in this form. Ed25519 and PKCS#1 signatures of equal inputs are
    /// equal, the others are random. [`CryptoError::OperationNotSupported`] for a key that does not
    /// sign, [`CryptoError::SignatureFormNotAllowed`] for a form its algorithm does not know.
    pub fn sign(&self, input: &[u8], form: SignatureForm) -> Result<Vec<u8>, CryptoError> {
        self.signing_key(Operation::Sign)?.sign(input, form)
    }

    /// Whether `signature` is one of `input` in this form by this key version. Errors as
    /// [`sign`](Self::sign).
    pub fn verify(
        &self,
        input: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<bool, CryptoError> {
        self.signing_key(Operation::Verify)?.verify(input, signature, form)
    }

    /// The public half: what verifies, or what others encrypt to. [`CryptoError::NotAsymmetric`]
    /// for a key that has none.
    pub fn public_key(&self) -> Result<PublicKey, CryptoError> {
        let der = match &self.keys {
            Keys::Signing(key) => key.public_key_der()?,
            Keys::Recipient(key) => key.public_key_der(),
            Keys::Aead(_) | Keys::Siv(_) | Keys::Mac(_) => {
                return Err(CryptoError::NotAsymmetric { algorithm: self.algorithm });
            }
        };
        Ok(PublicKey::new(self.algorithm, der))
    }

    /// Unwraps key material of `algorithm` that was wrapped to the public half of this key; see
    /// [`WrappingKey`](crate::WrappingKey). The material is checked as
    /// [`KeyMaterial::import`] does.
    ///
    /// [`CryptoError::OperationNotSupported`] for a key that nobody encrypts to,
    /// [`CryptoError::WrappedKeyInvalid`] for whatever does not unwrap, and the errors of
    /// `import`.
    pub fn unwrap_key(
        &self,
        info: &WrappingInfo<'_>,
        wrapped: &[u8],
    ) -> Result<KeyMaterial, CryptoError> {
        let Keys::Recipient(key) = &self.keys else {
            return Err(self.unsupported(Operation::Decrypt));
        };
        let material = key.unwrap(&info.to_bytes()?, wrapped)?;
        KeyMaterial::import(info.algorithm, &material)
    }

    fn signing_key(&self, operation: Operation) -> Result<&SigningKey, CryptoError> {
        match &self.keys {
            Keys::Signing(key) => Ok(key),
            _ => Err(self.unsupported(operation)),
        }
    }

    /// The subkey that the keys of streams come from. AEAD keys only.
    pub(crate) fn stream_subkey(&self) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        match &self.keys {
            Keys::Aead(keys) => subkey::<P, 32>(keys.material().expose(), label::STREAM),
            _ => Err(self.unsupported(Operation::Stream)),
        }
    }

    fn mac_keys(&self, operation: Operation) -> Result<&MacKeys<P>, CryptoError> {
        match &self.keys {
            Keys::Mac(keys) => Ok(keys),
            _ => Err(self.unsupported(operation)),
        }
    }

    fn unsupported(&self, operation: Operation) -> CryptoError {
        CryptoError::OperationNotSupported { algorithm: self.algorithm, operation }
    }
}
