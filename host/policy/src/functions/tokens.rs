//! Tokens, and encryption to recipients' public keys.

use keyward_crypto::{Alphabet, CryptoError, RecipientKey};
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::{recipients, tokens, types};
use crate::instance::Instance;
use crate::keys::KeyResource;

impl recipients::Host for Instance {
    fn seal(
        &mut self,
        public_key: Vec<u8>,
        info: Vec<u8>,
        aad: Vec<u8>,
        data: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        self.count()?;
        let sealed =
            RecipientKey::from_der(&public_key).and_then(|key| key.seal(&info, &aad, &data));
        Ok(sealed.map_err(refusal))
    }
}

impl tokens::Host for Instance {
    async fn tokenize(
        &mut self,
        key: Resource<KeyResource>,
        alphabet: String,
        tweak: Vec<u8>,
        text: String,
    ) -> Outcome<String> {
        let key = self.key(&key)?;
        let alphabet = match Alphabet::new(&alphabet) {
            Ok(alphabet) => alphabet,
            Err(error) => return Ok(Err(refusal(error))),
        };
        Ok(key.tokenize(&alphabet, &tweak, &text).await.map_err(Into::into))
    }

    async fn reveal(
        &mut self,
        key: Resource<KeyResource>,
        alphabet: String,
        tweak: Vec<u8>,
        token: String,
    ) -> Outcome<String> {
        let key = self.key(&key)?;
        let alphabet = match Alphabet::new(&alphabet) {
            Ok(alphabet) => alphabet,
            Err(error) => return Ok(Err(refusal(error))),
        };
        Ok(match key.reveal_token(&alphabet, &tweak, &token).await {
            Ok(mut text) => Ok(std::mem::take(&mut *text)),
            Err(error) => Err(error.into()),
        })
    }

    fn random(&mut self, alphabet: String, length: u32) -> Outcome<String> {
        self.count()?;
        let token = Alphabet::new(&alphabet).and_then(|alphabet| alphabet.random(length as usize));
        Ok(token.map_err(refusal))
    }
}

fn refusal(error: CryptoError) -> types::Error {
    match error {
        CryptoError::Random => types::Error::Unavailable(error.to_string()),
        error => types::Error::Invalid(error.to_string()),
    }
}
