//! Tokens, and encryption to recipients' public keys.

use keyward_crypto::{Alphabet, CryptoError, RecipientKey};
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::{recipients, tokens, types};
use crate::instance::Instance;
use crate::keys::KeyResource;
use crate::noting::Plain;
use crate::trace::Value;

impl recipients::Host for Instance {
    fn seal(
        &mut self,
        public_key: Vec<u8>,
        info: Vec<u8>,
        aad: Vec<u8>,
        data: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        let arguments = || [&public_key, &info, &aad, &data].map(|it| Value::bytes(it)).into();
        if let Some(answer) = self.begin("recipients.seal", arguments)? {
            return Ok(answer);
        }
        let sealed =
            RecipientKey::from_der(&public_key).and_then(|key| key.seal(&info, &aad, &data));
        Ok(self.end(sealed.map_err(refusal)))
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
        let arguments = || arguments(&alphabet, &tweak, &text);
        if let Some(answer) = self.begin_on("tokens.tokenize", &key, arguments)? {
            return Ok(answer);
        }
        let key = self.key(&key)?;
        let token = match Alphabet::new(&alphabet) {
            Ok(alphabet) => key.tokenize(&alphabet, &tweak, &text).await.map_err(Into::into),
            Err(error) => Err(refusal(error)),
        };
        Ok(self.end(token))
    }

    async fn reveal(
        &mut self,
        key: Resource<KeyResource>,
        alphabet: String,
        tweak: Vec<u8>,
        token: String,
    ) -> Outcome<String> {
        let arguments = || arguments(&alphabet, &tweak, &token);
        if let Some(answer) = self.begin_on::<Result<Plain, _>>("tokens.reveal", &key, arguments)? {
            return Ok(answer.map(|Plain(text)| text));
        }
        let key = self.key(&key)?;
        let text = match Alphabet::new(&alphabet) {
            Ok(alphabet) => match key.reveal_token(&alphabet, &tweak, &token).await {
                Ok(mut text) => Ok(Plain(std::mem::take(&mut *text))),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(refusal(error)),
        };
        Ok(self.end(text).map(|Plain(text)| text))
    }

    fn random(&mut self, alphabet: String, length: u32) -> Outcome<String> {
        let arguments = || vec![Value::Text(alphabet.clone()), Value::Number(length.into())];
        if let Some(answer) = self.begin("tokens.random", arguments)? {
            return Ok(answer);
        }
        let token = Alphabet::new(&alphabet).and_then(|alphabet| alphabet.random(length as usize));
        Ok(self.end(token.map_err(refusal)))
    }
}

/// The text is what the token stands for, or a token: bytes, as payloads are.
fn arguments(alphabet: &str, tweak: &[u8], text: &str) -> Vec<Value> {
    vec![Value::Text(alphabet.into()), Value::bytes(tweak), Value::bytes(text.as_bytes())]
}

fn refusal(error: CryptoError) -> types::Error {
    match error {
        CryptoError::Random => types::Error::Unavailable(error.to_string()),
        error => types::Error::Invalid(error.to_string()),
    }
}
