//! Handles on the tenant's keys.

use crate::{Algorithm, Ciphertext, Error, Plaintext, SignatureForm, host};

/// A handle on one of the tenant's own keys, at one version. Key bytes never enter a policy.
///
/// What is encrypted through a handle is bound to tenant, key, version and suite by the host, and
/// to `aad` in addition. It opens only through a policy: the host's own `/decrypt` refuses it,
/// and a policy cannot open what the host encrypted for a caller by a plan.
#[derive(Debug)]
pub struct Key(host::Key);

impl Key {
    /// Opens a key at its current version. [`Error::NotFound`] if the tenant has no such key.
    pub fn open(name: &str) -> Result<Self, Error> {
        host::open(name).map(Self)
    }

    /// Opens one version of a key; the handle then encrypts with and opens that version alone.
    pub fn open_version(name: &str, version: u32) -> Result<Self, Error> {
        host::open_version(name, version).map(Self)
    }

    /// The key's name within the tenant.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// The version this handle encrypts with.
    pub fn version(&self) -> u32 {
        self.0.version()
    }

    /// How the key's bytes are used.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// An attribute given to the key by its owner, for instance `context` = `required`.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.0.attribute(name)
    }

    /// Encrypts `data` and binds `aad` to it, with a key of any algorithm that encrypts: the AEADs,
    /// the deterministic one, and those that encrypt to a public key; with any other it is
    /// [`Error::Invalid`]. The result is Keyward's binary ciphertext format.
    pub fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.encrypt(data, aad)
    }

    /// Encrypts many in one call of the host; results in the order of the items.
    pub fn encrypt_many(&self, items: &[Plaintext]) -> Vec<Result<Vec<u8>, Error>> {
        self.0.encrypt_many(items)
    }

    /// Decrypts what [`Key::encrypt`] made under the same key with the same `aad`. Whatever the
    /// reason it does not open, the error is the same [`Error::Invalid`].
    pub fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.decrypt(data, aad)
    }

    /// Decrypts many in one call of the host; results in the order of the items.
    pub fn decrypt_many(&self, items: &[Ciphertext]) -> Vec<Result<Vec<u8>, Error>> {
        self.0.decrypt_many(items)
    }

    /// HMAC tag of `data`, as long as the hash of the key's algorithm: 32, 48 or 64 bytes. With a
    /// key of another algorithm it is [`Error::Invalid`].
    pub fn mac(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.mac(data)
    }

    /// Checks a tag in constant time against the handle's version.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, Error> {
        self.0.verify(data, tag)
    }

    /// The signature of `data` by the handle's version, with a key that signs; with any other, or in
    /// a form its algorithm does not know, it is [`Error::Invalid`].
    ///
    /// It covers these bytes and nothing else: whoever has the public key can verify it. So what a
    /// policy signs for callers should say in itself what it is.
    ///
    /// ```
    /// use keyward_policy::{Error, Key, SignatureForm};
    ///
    /// /// What an operation of a policy does with the body it was sent.
    /// fn countersign(body: &[u8]) -> Result<Vec<u8>, Error> {
    ///     let statement = [b"countersigned by example.org: ", body].concat();
    ///     Key::open("countersign")?.sign(&statement, SignatureForm::Standard)
    /// }
    ///
    /// # #[cfg(feature = "harness")]
    /// # {
    /// use keyward_policy::{Algorithm, harness::Harness};
    ///
    /// let host = Harness::new("acme").key("countersign", Algorithm::Ed25519);
    /// let signature = host.run(|| countersign(b"contract 17")).unwrap();
    /// assert_eq!(signature.len(), 64);
    /// # }
    /// ```
    pub fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, Error> {
        self.0.sign(data, form)
    }

    /// The version whose signature of `data` it is; `None` if it is no version's. Every version in
    /// use is tried, newest first; a handle of [`Key::open_version`] accepts that version alone.
    ///
    /// ```
    /// # #[cfg(feature = "harness")]
    /// # {
    /// use keyward_policy::{Algorithm, Key, SignatureForm, harness::Harness};
    ///
    /// let host = Harness::new("acme").key("countersign", Algorithm::EcdsaP256);
    /// let form = SignatureForm::Fixed;
    /// let sign = || Key::open("countersign")?.sign(b"contract 17", form);
    /// let signature = host.run(sign).unwrap();
    /// host.rotate("countersign");
    /// let by = |data: &[u8]| {
    ///     host.run(|| Key::open("countersign")?.verify_signature(data, &signature, form))
    /// };
    /// assert_eq!(by(b"contract 17"), Ok(Some(1)));
    /// assert_eq!(by(b"contract 18"), Ok(None));
    /// # }
    /// ```
    pub fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, Error> {
        self.0.verify_signature(data, signature, form)
    }

    /// The public half of the handle's version, as DER of an X.509 SubjectPublicKeyInfo: of a key
    /// that signs, or of one that others encrypt to. With a key that has none it is
    /// [`Error::Invalid`].
    ///
    /// ```
    /// # #[cfg(feature = "harness")]
    /// # {
    /// use keyward_policy::{Algorithm, Key, harness::Harness};
    ///
    /// let host = Harness::new("acme").key("countersign", Algorithm::Ed25519);
    /// let public = host.run(|| Key::open("countersign")?.public_key()).unwrap();
    /// assert_eq!(public.len(), 44); // 12 bytes that say Ed25519, then the key's 32
    /// # }
    /// ```
    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        self.0.public_key()
    }

    /// Blind-index term of 32 bytes, with an HMAC key: equal values give equal terms
    /// under one key and label.
    pub fn term(&self, label: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.term(label, value)
    }

    /// A token for `text`: as many characters of the same alphabet, by FF1 (NIST SP 800-38G) with a
    /// key of [`Algorithm::Aes256Siv`]. Equal texts have equal tokens under one version, alphabet
    /// and tweak, so give each field a tweak of its own.
    ///
    /// Nothing authenticates a token, and nothing in it tells the version: keep the version beside
    /// it, and reveal it through [`Key::open_version`]. [`Error::Invalid`] for a text with other
    /// characters, of more than 1,024, or of so few that there are not a million such texts.
    ///
    /// ```
    /// # #[cfg(feature = "harness")]
    /// # {
    /// use keyward_policy::{Algorithm, Key, harness::Harness, tokens::DIGITS};
    ///
    /// let host = Harness::new("acme").key("cards", Algorithm::Aes256Siv);
    /// let number = "4111111111111111";
    /// let token = host.run(|| Key::open("cards")?.tokenize(DIGITS, b"card", number)).unwrap();
    /// assert_eq!(token.len(), 16);
    /// assert_ne!(token, number);
    /// let back = host.run(|| Key::open("cards")?.reveal(DIGITS, b"card", &token));
    /// assert_eq!(back.unwrap(), number);
    /// # }
    /// ```
    pub fn tokenize(&self, alphabet: &str, tweak: &[u8], text: &str) -> Result<String, Error> {
        self.0.tokenize(alphabet, tweak, text)
    }

    /// The text of a token that [`Key::tokenize`] made by the handle's version with the same
    /// alphabet and tweak; of any other token, some text.
    pub fn reveal(&self, alphabet: &str, tweak: &[u8], token: &str) -> Result<String, Error> {
        self.0.reveal(alphabet, tweak, token)
    }

    /// The terms by every version still in use, newest first: what to search for while old terms
    /// have not been rewritten after a rotation.
    pub fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.0.terms(label, value)
    }
}
