//! No host: a native build without the `harness` feature has no keys.

use std::convert::Infallible;

use crate::log::Level;
use crate::state::Entry;
use crate::{Algorithm, Ciphertext, Error, Plaintext, SignatureForm};

/// There are none.
#[derive(Debug)]
pub struct Key(Infallible);

pub fn open(_name: &str) -> Result<Key, Error> {
    Err(no_host())
}

fn no_host() -> Error {
    Error::unavailable("no host: a native build needs the feature `harness`")
}

pub fn open_version(name: &str, _version: u32) -> Result<Key, Error> {
    open(name)
}

impl Key {
    pub fn name(&self) -> String {
        match self.0 {}
    }

    pub fn version(&self) -> u32 {
        match self.0 {}
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.0 {}
    }

    pub fn attribute(&self, _name: &str) -> Option<String> {
        match self.0 {}
    }

    pub fn encrypt(&self, _data: &[u8], _aad: &[u8]) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn encrypt_many(&self, _items: &[Plaintext]) -> Vec<Result<Vec<u8>, Error>> {
        match self.0 {}
    }

    pub fn decrypt(&self, _data: &[u8], _aad: &[u8]) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn decrypt_many(&self, _items: &[Ciphertext]) -> Vec<Result<Vec<u8>, Error>> {
        match self.0 {}
    }

    pub fn mac(&self, _data: &[u8]) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn verify(&self, _data: &[u8], _tag: &[u8]) -> Result<bool, Error> {
        match self.0 {}
    }

    pub fn sign(&self, _data: &[u8], _form: SignatureForm) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn verify_signature(
        &self,
        _data: &[u8],
        _signature: &[u8],
        _form: SignatureForm,
    ) -> Result<Option<u32>, Error> {
        match self.0 {}
    }

    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn term(&self, _label: &str, _value: &[u8]) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn terms(&self, _label: &str, _value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        match self.0 {}
    }

    pub fn tokenize(&self, _alphabet: &str, _tweak: &[u8], _text: &str) -> Result<String, Error> {
        match self.0 {}
    }

    pub fn reveal(&self, _alphabet: &str, _tweak: &[u8], _token: &str) -> Result<String, Error> {
        match self.0 {}
    }
}

pub fn random_token(_alphabet: &str, _length: u32) -> Result<String, Error> {
    Err(no_host())
}

pub fn seal_to(
    _public_key: &[u8],
    _info: &[u8],
    _aad: &[u8],
    _data: &[u8],
) -> Result<Vec<u8>, Error> {
    Err(no_host())
}

pub fn state_get(_name: &str) -> Result<Option<Entry>, Error> {
    Err(no_host())
}

pub fn state_put(_name: &str, _value: &[u8], _ttl: Option<u64>) -> Result<u64, Error> {
    Err(no_host())
}

pub fn state_put_if(
    _name: &str,
    _value: &[u8],
    _ttl: Option<u64>,
    _revision: u64,
) -> Result<u64, Error> {
    Err(no_host())
}

pub fn state_add(_name: &str, _amount: i64, _ttl: Option<u64>) -> Result<i64, Error> {
    Err(no_host())
}

pub fn state_remove(_name: &str, _revision: Option<u64>) -> Result<(), Error> {
    Err(no_host())
}

pub fn random_bytes(_len: u32) -> Vec<u8> {
    unreachable!("no host: a native build needs the feature `harness`")
}

pub fn log(_level: Level, _message: &str, _fields: &[(&str, &str)]) {}
