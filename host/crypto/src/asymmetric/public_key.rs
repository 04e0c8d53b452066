//! The half of a key that anyone may have.

use super::{SignatureForm, signing};
use crate::{Algorithm, CryptoError, Operation, pem};

/// The public half of a key version, as SubjectPublicKeyInfo (RFC 5280). That of a KEM ends with
/// the public key as HPKE (RFC 9180) serialises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads a DER document. [`CryptoError::PublicKeyInvalid`] when it is none of a key of
    /// `algorithm`, [`CryptoError::OperationNotSupported`] when such keys do not sign.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, CryptoError> {
        if !algorithm.supports(Operation::Verify) {
            let operation = Operation::Verify;
            return Err(CryptoError::OperationNotSupported { algorithm, operation });
        }
        // The parser would take a bare key too.
        if der.first() != Some(&0x30) {
            return Err(CryptoError::PublicKeyInvalid { algorithm });
        }
        signing::check_public_key(algorithm, der)?;
        Ok(Self { algorithm, der: der.to_vec() })
    }

    /// Reads the same in text form (RFC 7468), label `PUBLIC KEY`, one document and no more. Errors
    /// as [`from_der`](Self::from_der).
    pub fn from_pem(algorithm: Algorithm, text: &str) -> Result<Self, CryptoError> {
        let der = pem::public_key_der(text).ok_or(CryptoError::PublicKeyInvalid { algorithm })?;
        Self::from_der(algorithm, &der)
    }

    pub(crate) const fn new(algorithm: Algorithm, der: Vec<u8>) -> Self {
        Self { algorithm, der }
    }

    /// Algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The document, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The document in text form (RFC 7468), label `PUBLIC KEY`.
    pub fn pem(&self) -> String {
        pem::pem("PUBLIC KEY", &self.der)
    }

    /// Whether `signature` is one of `input` in this form.
    /// [`CryptoError::SignatureFormNotAllowed`] when the algorithm does not know the form.
    pub fn verify(
        &self,
        input: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<bool, CryptoError> {
        signing::verify(self.algorithm, &self.der, input, signature, form)
    }
}
