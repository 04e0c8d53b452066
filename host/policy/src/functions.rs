//! The functions a policy may call: one impl for each interface of the contract.
//!
//! Each call is counted. An error meant for the policy is a value of the contract's `error`; only
//! an exceeded limit or a forged handle ends the instance.

mod state;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use keyward_crypto::Algorithm as KeyAlgorithm;
use tracing::Instrument;
use wasmtime::component::Resource;

use crate::bindings::{
    Algorithm, index, keys, log, macs, opening, random, sealing, signing, types, verifying,
};
use crate::error::Limit;
use crate::instance::{Instance, LogLine};
use crate::keys::{KeyHandle, KeyResource};
use crate::noting::{Opened, form_name, key_ref, level_name, pair};
use crate::trace::Value;
use crate::watch::replayed_key;

type Outcome<T> = wasmtime::Result<Result<T, types::Error>>;

/// Most random bytes in one call.
const MAX_RANDOM: u32 = 64 << 10;
/// Longest log message or field value, in bytes; the rest is cut off.
const MAX_LOG_TEXT: usize = 1_024;
/// Most fields of one log line; the rest is cut off.
const MAX_LOG_FIELDS: usize = 16;

impl Instance {
    fn key(&self, key: &Resource<KeyResource>) -> wasmtime::Result<&Arc<dyn KeyHandle>> {
        Ok(&self.handles.get(key)?.0)
    }

    async fn open_key(
        &mut self,
        function: &'static str,
        name: &str,
        version: Option<u32>,
    ) -> Outcome<Resource<KeyResource>> {
        let arguments = || {
            [Some(Value::Text(name.into())), version.map(|it| Value::Number(it.into()))]
                .into_iter()
                .flatten()
        };
        let opened = match self.begin(function, || arguments().collect())? {
            Some(Opened::Key(key)) => Ok(replayed_key(key)),
            Some(Opened::Refused(error)) => Err(error),
            None => {
                let opening = self.services.keys.open(&self.tenant, name, version);
                opening.instrument(self.call.clone()).await
            }
        };
        match opened {
            Ok(handle) => {
                let key = self.handles.push(KeyResource(handle))?;
                if self.watch.is_some() {
                    let opened = Opened::Key(key_ref(&key, &**self.key(&key)?));
                    self.end(opened);
                }
                Ok(Ok(key))
            }
            Err(error) => {
                self.end(Opened::Refused(error.clone()));
                Ok(Err(error.into()))
            }
        }
    }
}

impl types::Host for Instance {}

impl keys::Host for Instance {
    async fn open(&mut self, name: String) -> Outcome<Resource<KeyResource>> {
        self.open_key("keys.open", &name, None).await
    }

    async fn open_version(&mut self, name: String, version: u32) -> Outcome<Resource<KeyResource>> {
        self.open_key("keys.open-version", &name, Some(version)).await
    }
}

impl keys::HostKey for Instance {
    fn name(&mut self, key: Resource<KeyResource>) -> wasmtime::Result<String> {
        if let Some(answer) = self.begin_on("keys.name", &key, Vec::new)? {
            return Ok(answer);
        }
        let name = self.key(&key)?.name().to_owned();
        Ok(self.end(name))
    }

    fn version(&mut self, key: Resource<KeyResource>) -> wasmtime::Result<u32> {
        if let Some(answer) = self.begin_on("keys.version", &key, Vec::new)? {
            return Ok(answer);
        }
        let version = self.key(&key)?.version();
        Ok(self.end(version))
    }

    fn algorithm(&mut self, key: Resource<KeyResource>) -> wasmtime::Result<Algorithm> {
        if let Some(answer) = self.begin_on("keys.algorithm", &key, Vec::new)? {
            return Ok(answer);
        }
        let algorithm = self.key(&key)?.algorithm().into();
        Ok(self.end(algorithm))
    }

    fn attribute(
        &mut self,
        key: Resource<KeyResource>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        let arguments = || vec![Value::Text(name.clone())];
        if let Some(answer) = self.begin_on("keys.attribute", &key, arguments)? {
            return Ok(answer);
        }
        let value = self.key(&key)?.attribute(&name).map(str::to_owned);
        Ok(self.end(value))
    }

    fn drop(&mut self, key: Resource<KeyResource>) -> wasmtime::Result<()> {
        self.handles.delete(key)?;
        Ok(())
    }
}

impl sealing::Host for Instance {
    async fn encrypt(
        &mut self,
        key: Resource<KeyResource>,
        data: Vec<u8>,
        aad: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        let arguments = || vec![Value::bytes(&data), Value::bytes(&aad)];
        if let Some(answer) = self.begin_on("sealing.encrypt", &key, arguments)? {
            return Ok(answer);
        }
        let result = match self.bound.before(&aad) {
            Some(aad) => self.key(&key)?.encrypt(&data, &aad).await.map_err(Into::into),
            None => Err(pretends()),
        };
        Ok(self.end(result))
    }

    async fn encrypt_many(
        &mut self,
        key: Resource<KeyResource>,
        items: Vec<sealing::Plaintext>,
    ) -> wasmtime::Result<Vec<Result<Vec<u8>, types::Error>>> {
        let arguments = || items.iter().flat_map(|it| pair(&it.data, &it.aad)).collect();
        if let Some(answer) = self.begin_on("sealing.encrypt-many", &key, arguments)? {
            return Ok(answer);
        }
        let key = self.key(&key)?;
        let mut results = Vec::with_capacity(items.len());
        for item in &items {
            results.push(match self.bound.before(&item.aad) {
                Some(aad) => key.encrypt(&item.data, &aad).await.map_err(Into::into),
                None => Err(pretends()),
            });
        }
        Ok(self.end(results))
    }
}

/// What a policy is told whose authenticated data begins as only a baseline's may.
fn pretends() -> types::Error {
    types::Error::Invalid(
        "authenticated data may not begin as an operator's baseline's does".into(),
    )
}

async fn open(
    key: &dyn KeyHandle,
    data: &[u8],
    aad: Option<Cow<'_, [u8]>>,
) -> Result<Vec<u8>, types::Error> {
    let aad = aad.ok_or_else(pretends)?;
    let mut plaintext = key.decrypt(data, &aad).await?;
    Ok(std::mem::take(&mut *plaintext))
}

impl opening::Host for Instance {
    async fn decrypt(
        &mut self,
        key: Resource<KeyResource>,
        data: Vec<u8>,
        aad: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        let arguments = || vec![Value::bytes(&data), Value::bytes(&aad)];
        if let Some(answer) = self.begin_on("opening.decrypt", &key, arguments)? {
            return Ok(answer);
        }
        let key = self.key(&key)?;
        wait_if_slow(&**key).await;
        let result = open(&**key, &data, self.bound.before(&aad)).await;
        Ok(self.end(result))
    }

    async fn decrypt_many(
        &mut self,
        key: Resource<KeyResource>,
        items: Vec<opening::Ciphertext>,
    ) -> wasmtime::Result<Vec<Result<Vec<u8>, types::Error>>> {
        let arguments = || items.iter().flat_map(|it| pair(&it.data, &it.aad)).collect();
        if let Some(answer) = self.begin_on("opening.decrypt-many", &key, arguments)? {
            return Ok(answer);
        }
        let key = self.key(&key)?;
        wait_if_slow(&**key).await;
        let mut results = Vec::with_capacity(items.len());
        for item in &items {
            results.push(open(&**key, &item.data, self.bound.before(&item.aad)).await);
        }
        Ok(self.end(results))
    }
}

impl macs::Host for Instance {
    async fn mac(&mut self, key: Resource<KeyResource>, data: Vec<u8>) -> Outcome<Vec<u8>> {
        let arguments = || vec![Value::bytes(&data)];
        if let Some(answer) = self.begin_on("macs.mac", &key, arguments)? {
            return Ok(answer);
        }
        let result = self.key(&key)?.mac(&data).await.map(Vec::from).map_err(Into::into);
        Ok(self.end(result))
    }

    async fn verify(
        &mut self,
        key: Resource<KeyResource>,
        data: Vec<u8>,
        tag: Vec<u8>,
    ) -> Outcome<bool> {
        let arguments = || vec![Value::bytes(&data), Value::bytes(&tag)];
        if let Some(answer) = self.begin_on("macs.verify", &key, arguments)? {
            return Ok(answer);
        }
        let result = self.key(&key)?.verify(&data, &tag).await.map_err(Into::into);
        Ok(self.end(result))
    }
}

impl signing::Host for Instance {
    async fn sign(
        &mut self,
        key: Resource<KeyResource>,
        data: Vec<u8>,
        form: types::SignatureForm,
    ) -> Outcome<Vec<u8>> {
        let arguments = || vec![Value::bytes(&data), form_name(form)];
        if let Some(answer) = self.begin_on("signing.sign", &key, arguments)? {
            return Ok(answer);
        }
        let key = self.key(&key)?;
        wait_if_slow(&**key).await;
        let result = key.sign(&data, form.into()).await.map_err(Into::into);
        Ok(self.end(result))
    }
}

impl verifying::Host for Instance {
    async fn verify(
        &mut self,
        key: Resource<KeyResource>,
        data: Vec<u8>,
        signature: Vec<u8>,
        form: types::SignatureForm,
    ) -> Outcome<Option<u32>> {
        let arguments = || vec![Value::bytes(&data), Value::bytes(&signature), form_name(form)];
        if let Some(answer) = self.begin_on("verifying.verify", &key, arguments)? {
            return Ok(answer);
        }
        let result = self
            .key(&key)?
            .verify_signature(&data, &signature, form.into())
            .await
            .map_err(Into::into);
        Ok(self.end(result))
    }

    async fn public_key(&mut self, key: Resource<KeyResource>) -> Outcome<Vec<u8>> {
        if let Some(answer) = self.begin_on("verifying.public-key", &key, Vec::new)? {
            return Ok(answer);
        }
        let result = self.key(&key)?.public_key().await.map_err(Into::into);
        Ok(self.end(result))
    }
}

/// Suspends before a private key of RSA is used, which takes longer than a run that does not wait
/// may: the run goes to a fiber (see [`crate::at_once`]) before the work is done, not after.
async fn wait_if_slow(key: &dyn KeyHandle) {
    if is_slow(key.algorithm()) {
        tokio::task::yield_now().await;
    }
}

/// Whether signing or decrypting takes about as long as a tick, or longer.
fn is_slow(algorithm: KeyAlgorithm) -> bool {
    use KeyAlgorithm as A;
    matches!(
        algorithm,
        A::Rsa2048 | A::Rsa3072 | A::Rsa4096 | A::RsaOaep2048 | A::RsaOaep3072 | A::RsaOaep4096
    )
}

impl index::Host for Instance {
    async fn term(
        &mut self,
        key: Resource<KeyResource>,
        label: String,
        value: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        let arguments = || vec![Value::Text(label.clone()), Value::bytes(&value)];
        if let Some(answer) = self.begin_on("index.term", &key, arguments)? {
            return Ok(answer);
        }
        let result = self.key(&key)?.term(&label, &value).await.map(Vec::from).map_err(Into::into);
        Ok(self.end(result))
    }

    async fn terms(
        &mut self,
        key: Resource<KeyResource>,
        label: String,
        value: Vec<u8>,
    ) -> Outcome<Vec<Vec<u8>>> {
        let arguments = || vec![Value::Text(label.clone()), Value::bytes(&value)];
        if let Some(answer) = self.begin_on("index.terms", &key, arguments)? {
            return Ok(answer);
        }
        let result: Result<Vec<Vec<u8>>, _> = match self.key(&key)?.terms(&label, &value).await {
            Ok(terms) => Ok(terms.into_iter().map(Vec::from).collect()),
            Err(error) => Err(error.into()),
        };
        Ok(self.end(result))
    }
}

impl random::Host for Instance {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        if let Some(answer) = self.begin("random.bytes", || vec![Value::Number(len.into())])? {
            return Ok(answer);
        }
        if len > MAX_RANDOM {
            return Err(wasmtime::Error::new(Limit::RandomBytes(MAX_RANDOM)));
        }
        let mut bytes = vec![0; len as usize];
        keyward_crypto::random_bytes(&mut bytes)?;
        Ok(self.end(bytes))
    }
}

impl log::Host for Instance {
    fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        // A replayed run has log lines of its own: they are what it says, not what it is told.
        let arguments = || {
            let fields = fields.iter().flat_map(|(name, value)| [name.as_str(), value]);
            let texts = [level_name(level), &message].into_iter().chain(fields);
            texts.map(|text| Value::Text(text.to_owned())).collect()
        };
        self.begin::<()>("log.write", arguments)?;
        let message = printable(&message);
        let fields = fields
            .iter()
            .take(MAX_LOG_FIELDS)
            .map(|(name, value)| format!("{}={}", printable(name), printable(value)))
            .collect::<Vec<_>>()
            .join(" ");
        let Some(left) = self.log_bytes_left.checked_sub(message.len() + fields.len()) else {
            self.log_lines_dropped = self.log_lines_dropped.saturating_add(1);
            return Ok(());
        };
        self.log_bytes_left = left;
        self.log_lines.push(LogLine { level, message, fields });
        Ok(())
    }
}

/// A guest's text made safe for a log: one line, bounded, nothing a terminal would obey.
fn printable(text: &str) -> String {
    let mut end = text.len().min(MAX_LOG_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_text_is_one_bounded_line() {
        assert_eq!(printable("a\nb\x1b[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(printable(&"é".repeat(2_000)).len(), MAX_LOG_TEXT);
    }
}
