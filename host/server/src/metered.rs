//! A key version whose every use is counted. The one way from the keyring to a version's bytes:
//! what works on data takes a [`Metered`], and cannot leave the count out.
//!
//! What fails is not counted: that somebody sends ciphertexts that do not open makes a version no
//! more used than it was. A policy's run that is thrown away and begun anew (see
//! docs/architecture.md) counts what it did as well: rather a message too many.

use std::sync::Arc;

use keyward_crypto::stream::{StreamHeader, StreamOpener, StreamSealer};
use keyward_crypto::{
    Alphabet, Batch, Binding, CryptoError, KeyMaterial, KeyVersion, Mac, OpeningBatch, PublicKey,
    SignatureForm, Suite, Wrapping, WrappingInfo, WrappingKey,
};
use keyward_keyring::{Key, Keyring, KeyringError, Meter};
use zeroize::Zeroizing;

use crate::audit;
use crate::metrics::Crypto;

/// One version of a key, and what counts its uses.
#[derive(Clone)]
pub struct Metered {
    version: Arc<KeyVersion>,
    meter: Meter,
}

impl Metered {
    /// Version `number` of the key; fails as [`Keyring::version`].
    pub async fn of(keyring: &Keyring, key: &Key, number: u32) -> Result<Self, KeyringError> {
        audit::uses(key.name().as_str(), Some(number));
        let version = keyring.version(key, number).await?;
        Ok(Self { version, meter: keyring.meter(key, number) })
    }

    /// Version `number` of the key, which was in use when the key was looked up; none if that has
    /// changed since.
    pub async fn if_in_use(
        keyring: &Keyring,
        key: &Key,
        number: u32,
    ) -> Result<Option<Self>, KeyringError> {
        match Self::of(keyring, key, number).await {
            Ok(version) => Ok(Some(version)),
            Err(
                KeyringError::VersionDestroyed { .. } | KeyringError::VersionBelowMinDecrypt { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its number.
    pub fn version(&self) -> u32 {
        self.version.version()
    }

    fn sealed<T>(&self, bytes: usize, done: Result<T, CryptoError>) -> Result<T, CryptoError> {
        if done.is_ok() {
            self.meter.sealed(bytes);
        }
        done
    }

    fn opened<T>(&self, done: Result<T, CryptoError>) -> Result<T, CryptoError> {
        if done.is_ok() {
            self.meter.opened();
        }
        done
    }

    /// See [`KeyVersion::seal`].
    pub fn seal(
        &self,
        suite: Option<Suite>,
        binding: &Binding<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.sealed(
            plaintext.len(),
            Crypto::Encrypt.time(|| self.version.seal(suite, binding, plaintext)),
        )
    }

    /// See [`KeyVersion::begin_batch`].
    pub fn begin_batch(
        &self,
        suite: Option<Suite>,
        messages: usize,
    ) -> Result<Option<Batch>, CryptoError> {
        self.version.begin_batch(suite, messages)
    }

    /// See [`KeyVersion::seal_in`].
    pub fn seal_in(
        &self,
        batch: &Batch,
        binding: &Binding<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let sealed = Crypto::Encrypt.time(|| self.version.seal_in(batch, binding, plaintext));
        self.sealed(plaintext.len(), sealed)
    }

    /// See [`KeyVersion::open`].
    pub fn open(
        &self,
        binding: &Binding<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.opened(Crypto::Decrypt.time(|| self.version.open(binding, ciphertext)))
    }

    /// See [`KeyVersion::open_in`].
    pub fn open_in(
        &self,
        batch: &OpeningBatch,
        binding: &Binding<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.opened(Crypto::Decrypt.time(|| self.version.open_in(batch, binding, ciphertext)))
    }

    /// See [`KeyVersion::mac`].
    pub fn mac(&self, data: &[u8]) -> Result<Mac, CryptoError> {
        self.sealed(data.len(), Crypto::Mac.time(|| self.version.mac(data)))
    }

    /// See [`KeyVersion::sign`].
    pub fn sign(&self, input: &[u8], form: SignatureForm) -> Result<Vec<u8>, CryptoError> {
        self.sealed(input.len(), Crypto::Sign.time(|| self.version.sign(input, form)))
    }

    /// See [`KeyVersion::public_key`]. No use of the key: it is not counted.
    pub fn public_key(&self) -> Result<PublicKey, CryptoError> {
        self.version.public_key()
    }

    /// See [`KeyVersion::derive`]. What is counted are the bytes derived.
    pub fn derive(&self, info: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.sealed(length, Crypto::Derive.time(|| self.version.derive(info, length)))
    }

    /// See [`KeyVersion::index_term`]: a term to store.
    pub fn index_term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], CryptoError> {
        self.sealed(value.len(), Crypto::Index.time(|| self.version.index_term(label, value)))
    }

    /// See [`KeyVersion::index_term`]: a term to look for what was stored earlier.
    pub fn lookup_term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], CryptoError> {
        self.opened(Crypto::Index.time(|| self.version.index_term(label, value)))
    }

    /// See [`KeyVersion::tokenize`].
    pub fn tokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        text: &str,
    ) -> Result<String, CryptoError> {
        let token = Crypto::Tokenize.time(|| self.version.tokenize(alphabet, tweak, text));
        self.sealed(text.len(), token)
    }

    /// See [`KeyVersion::detokenize`].
    pub fn detokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        token: &str,
    ) -> Result<Zeroizing<String>, CryptoError> {
        self.opened(Crypto::Detokenize.time(|| self.version.detokenize(alphabet, tweak, token)))
    }

    /// See [`KeyVersion::unwrap_key`].
    pub fn unwrap_key(
        &self,
        info: &WrappingInfo<'_>,
        wrapped: &[u8],
    ) -> Result<KeyMaterial, CryptoError> {
        self.opened(Crypto::UnwrapKey.time(|| self.version.unwrap_key(info, wrapped)))
    }

    /// Wraps material to the public half of this version; see [`WrappingKey::wrap`].
    pub fn wrap_key(
        &self,
        info: &WrappingInfo<'_>,
        material: &KeyMaterial,
    ) -> Result<(Wrapping, Vec<u8>), CryptoError> {
        let key = WrappingKey::from_der(self.version.public_key()?.der())?;
        let wrapped = Crypto::WrapKey.time(|| key.wrap(info, material));
        Ok((key.wrapping(), self.sealed(material.expose().len(), wrapped)?))
    }

    /// Whether a signature or MAC is by this version, as `is_by` says. One that is not, is not
    /// counted: it is held against every version.
    pub fn is_by(
        &self,
        is_by: impl FnOnce(&KeyVersion) -> Result<bool, CryptoError>,
    ) -> Result<bool, CryptoError> {
        let valid = Crypto::Verify.time(|| is_by(&self.version))?;
        if valid {
            self.meter.opened();
        }
        Ok(valid)
    }

    /// Begins to seal a stream, which is one message; see [`StreamSealer::new`].
    pub fn seal_stream(
        &self,
        binding: &Binding<'_>,
    ) -> Result<([u8; StreamHeader::LEN], MeteredSealer), CryptoError> {
        let (header, chunks) = self.sealed(0, StreamSealer::new(&self.version, binding))?;
        Ok((header, MeteredSealer { chunks, meter: self.meter.clone() }))
    }

    /// Begins to open a stream; see [`StreamOpener::new`].
    pub fn open_stream(
        &self,
        binding: &Binding<'_>,
        header: &[u8],
    ) -> Result<MeteredOpener, CryptoError> {
        let chunks = StreamOpener::new(&self.version, binding, header)?;
        Ok(MeteredOpener { chunks, meter: Some(self.meter.clone()) })
    }
}

/// Seals a stream and counts its bytes.
pub struct MeteredSealer {
    chunks: StreamSealer,
    meter: Meter,
}

impl MeteredSealer {
    /// See [`StreamSealer::seal_chunk_into`].
    pub fn seal_chunk_into(
        &mut self,
        chunk: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        Crypto::EncryptChunk.time(|| self.chunks.seal_chunk_into(chunk, is_last, out))?;
        self.meter.sealed_more(chunk.len());
        Ok(())
    }
}

/// Opens a stream, which is counted with the first chunk that opens.
pub struct MeteredOpener {
    chunks: StreamOpener,
    meter: Option<Meter>,
}

impl MeteredOpener {
    /// See [`StreamOpener::open_chunk_in_place`].
    pub fn open_chunk_in_place<'a>(
        &mut self,
        chunk: &'a mut [u8],
        is_last: bool,
    ) -> Result<&'a [u8], CryptoError> {
        let opened =
            Crypto::DecryptChunk.time(|| self.chunks.open_chunk_in_place(chunk, is_last))?;
        if let Some(meter) = self.meter.take() {
            meter.opened();
        }
        Ok(opened)
    }

    /// See [`StreamOpener::open_chunk_at`].
    pub fn open_chunk_at<'a>(
        &mut self,
        number: u64,
        chunk: &'a mut [u8],
        is_last: bool,
    ) -> Result<&'a [u8], CryptoError> {
        let opened =
            Crypto::DecryptChunk.time(|| self.chunks.open_chunk_at(number, chunk, is_last))?;
        if let Some(meter) = self.meter.take() {
            meter.opened();
        }
        Ok(opened)
    }

    /// See [`StreamOpener::is_complete`].
    pub fn is_complete(&self) -> bool {
        self.chunks.is_complete()
    }
}
