//! Card numbers and their tokens.

use keyward_policy::{Error, Key, tokens};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::parse;

/// The key for tokens, of `aes256-siv`.
const KEY: &str = "cards";
/// Digits at the end that a token keeps.
const KEPT: usize = 4;
/// Keeps these tokens apart from any others of the key.
const DOMAIN: &str = "keyward cards v1 ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    number: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: String,
    key_version: u32,
}

/// `invoke/tokenize`.
pub fn tokenize(body: &[u8]) -> Result<Value, Error> {
    let Number { number } = parse(body)?;
    check(&number)?;
    let key = Key::open(KEY)?;
    let (hidden, kept) = split(&number)?;
    let token = key.tokenize(tokens::DIGITS, &tweak(kept), hidden)?;
    let token = [token.as_str(), kept].concat();
    Ok(json!({ "token": token, "key_version": key.version() }))
}

/// `invoke/reveal`.
pub fn reveal(body: &[u8]) -> Result<Value, Error> {
    let Token { token, key_version } = parse(body)?;
    let (hidden, kept) = split(&token)?;
    let key = Key::open_version(KEY, key_version)?;
    let number = [&*key.reveal(tokens::DIGITS, &tweak(kept), hidden)?, kept].concat();
    // Nothing authenticates a token; of nine made up, one passes this.
    check(&number).map_err(|_| Error::invalid("this is no token of this key version"))?;
    Ok(json!({ "number": number }))
}

/// Refuses what is no card number (ISO/IEC 7812): 13 to 19 digits, the last one right.
pub fn check(number: &str) -> Result<(), Error> {
    split(number)?;
    let doubled = |digit: u32| if digit < 5 { 2 * digit } else { 2 * digit - 9 };
    let sum: u32 = number
        .bytes()
        .rev()
        .map(|byte| u32::from(byte - b'0'))
        .enumerate()
        .map(|(nth, digit)| if nth.is_multiple_of(2) { digit } else { doubled(digit) })
        .sum();
    if !sum.is_multiple_of(10) {
        return Err(Error::invalid("this is no card number: its check digit is another"));
    }
    Ok(())
}

/// What a token hides, and what it keeps.
fn split(number: &str) -> Result<(&str, &str), Error> {
    if !(13..=19).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::invalid("a card number or a token is of 13 to 19 digits, no spaces"));
    }
    Ok(number.split_at(number.len() - KEPT))
}

fn tweak(kept: &str) -> Vec<u8> {
    [DOMAIN, kept].concat().into_bytes()
}
