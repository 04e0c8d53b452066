//! The real host, through the component's imports.

use crate::component::bindings::keyward::policy as wit;
use crate::log::Level;
use crate::state::Entry;
use crate::{Algorithm, Ciphertext, Error, Plaintext, SignatureForm};

#[derive(Debug)]
pub struct Key(wit::keys::Key);

pub fn open(name: &str) -> Result<Key, Error> {
    wit::keys::open(name).map(Key)
}

pub fn open_version(name: &str, version: u32) -> Result<Key, Error> {
    wit::keys::open_version(name, version).map(Key)
}

impl Key {
    pub fn name(&self) -> String {
        self.0.name()
    }

    pub fn version(&self) -> u32 {
        self.0.version()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    pub fn attribute(&self, name: &str) -> Option<String> {
        self.0.attribute(name)
    }

    pub fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        wit::sealing::encrypt(&self.0, data, aad)
    }

    pub fn encrypt_many(&self, items: &[Plaintext]) -> Vec<Result<Vec<u8>, Error>> {
        wit::sealing::encrypt_many(&self.0, items)
    }

    pub fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        wit::opening::decrypt(&self.0, data, aad)
    }

    pub fn decrypt_many(&self, items: &[Ciphertext]) -> Vec<Result<Vec<u8>, Error>> {
        wit::opening::decrypt_many(&self.0, items)
    }

    pub fn mac(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        wit::macs::mac(&self.0, data)
    }

    pub fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, Error> {
        wit::macs::verify(&self.0, data, tag)
    }

    pub fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, Error> {
        wit::signing::sign(&self.0, data, form)
    }

    pub fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, Error> {
        wit::verifying::verify(&self.0, data, signature, form)
    }

    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        wit::verifying::public_key(&self.0)
    }

    pub fn term(&self, label: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        wit::index::term(&self.0, label, value)
    }

    pub fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        wit::index::terms(&self.0, label, value)
    }

    pub fn tokenize(&self, alphabet: &str, tweak: &[u8], text: &str) -> Result<String, Error> {
        wit::tokens::tokenize(&self.0, alphabet, tweak, text)
    }

    pub fn reveal(&self, alphabet: &str, tweak: &[u8], token: &str) -> Result<String, Error> {
        wit::tokens::reveal(&self.0, alphabet, tweak, token)
    }
}

pub fn random_token(alphabet: &str, length: u32) -> Result<String, Error> {
    wit::tokens::random(alphabet, length)
}

pub fn seal_to(public_key: &[u8], info: &[u8], aad: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    wit::recipients::seal(public_key, info, aad, data)
}

pub fn state_get(name: &str) -> Result<Option<Entry>, Error> {
    let entry = wit::state::get(name)?;
    Ok(entry.map(|entry| Entry { value: entry.value, revision: entry.revision }))
}

pub fn state_put(name: &str, value: &[u8], ttl: Option<u64>) -> Result<u64, Error> {
    wit::state::put(name, value, ttl)
}

pub fn state_put_if(
    name: &str,
    value: &[u8],
    ttl: Option<u64>,
    revision: u64,
) -> Result<u64, Error> {
    wit::state::put_if(name, value, ttl, revision)
}

pub fn state_add(name: &str, amount: i64, ttl: Option<u64>) -> Result<i64, Error> {
    wit::state::add(name, amount, ttl)
}

pub fn state_remove(name: &str, revision: Option<u64>) -> Result<(), Error> {
    wit::state::remove(name, revision)
}

pub fn random_bytes(len: u32) -> Vec<u8> {
    wit::random::bytes(len)
}

pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Debug => wit::log::Level::Debug,
        Level::Info => wit::log::Level::Info,
        Level::Warn => wit::log::Level::Warn,
        Level::Error => wit::log::Level::Error,
    };
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    wit::log::write(level, message, &fields);
}
