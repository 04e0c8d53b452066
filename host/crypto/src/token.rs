//! Format-preserving tokens: FF1 of NIST SP 800-38G with AES-256.

use std::collections::HashMap;

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString, NumeralStringError};
use zeroize::{Zeroize, Zeroizing};

use crate::{CryptoError, random_bytes};

/// The characters that a text and its token are made of, in the order of their numerals.
pub struct Alphabet {
    characters: Vec<char>,
    numerals: HashMap<char, u16>,
}

impl Alphabet {
    /// Most characters of a text: FF1 takes time that grows with the square of its length.
    pub const LONGEST: usize = 1_024;

    /// [`CryptoError::AlphabetInvalid`] unless these are 2 to 65,536 characters, each once.
    pub fn new(characters: &str) -> Result<Self, CryptoError> {
        let characters: Vec<char> = characters.chars().take((1 << 16) + 1).collect();
        let mut numerals = HashMap::with_capacity(characters.len());
        for (numeral, character) in characters.iter().enumerate() {
            let numeral = u16::try_from(numeral).map_err(|_| CryptoError::AlphabetInvalid)?;
            if numerals.insert(*character, numeral).is_some() {
                return Err(CryptoError::AlphabetInvalid);
            }
        }
        if characters.len() < 2 {
            return Err(CryptoError::AlphabetInvalid);
        }
        Ok(Self { characters, numerals })
    }

    /// `length` random characters, each as likely as the next. [`CryptoError::TooLong`] unless they
    /// are 1 to [`Alphabet::LONGEST`], [`CryptoError::Random`] when there is no randomness.
    pub fn random(&self, length: usize) -> Result<String, CryptoError> {
        if !(1..=Self::LONGEST).contains(&length) {
            return Err(CryptoError::TooLong);
        }
        // Draws above the last multiple of the radix would favour the first characters.
        let radix = self.radix();
        let fair = (1 << 16) - (1 << 16) % radix;
        let mut text = String::with_capacity(length * 4);
        let mut missing = length;
        while missing > 0 {
            let mut drawn = Zeroizing::new(vec![0; missing * 2]);
            random_bytes(drawn.as_mut_slice())?;
            for pair in drawn.chunks_exact(2) {
                let draw = u32::from(pair[0]) << 8 | u32::from(pair[1]);
                if draw < fair
                    && let Some(character) = self.characters.get((draw % radix) as usize)
                {
                    text.push(*character);
                    missing -= 1;
                }
            }
        }
        Ok(text)
    }

    fn radix(&self) -> u32 {
        // At most 65,536 by construction.
        u32::try_from(self.characters.len()).unwrap_or(1 << 16)
    }

    fn numerals(&self, text: &str) -> Result<Zeroizing<Vec<u16>>, CryptoError> {
        let mut numerals = Zeroizing::new(Vec::with_capacity(text.len().min(Self::LONGEST)));
        for (index, character) in text.chars().enumerate() {
            if index == Self::LONGEST {
                return Err(CryptoError::TooLong);
            }
            let numeral = self.numerals.get(&character);
            numerals.push(*numeral.ok_or(CryptoError::NotInAlphabet { position: index + 1 })?);
        }
        Ok(numerals)
    }

    fn text(&self, numerals: &[u16]) -> Zeroizing<String> {
        // Reserved for the longest characters: a string that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(numerals.len() * 4));
        text.extend(numerals.iter().filter_map(|n| self.characters.get(usize::from(*n))));
        text
    }
}

/// The subkey for tokens of one key version.
pub(crate) struct TokenKey(Zeroizing<[u8; 32]>);

impl TokenKey {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    pub(crate) fn tokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        text: &str,
    ) -> Result<String, CryptoError> {
        let mut token = self.run(alphabet, text, |ff1, text| ff1.encrypt(tweak, text))?;
        Ok(std::mem::take(&mut *token))
    }

    pub(crate) fn detokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        token: &str,
    ) -> Result<Zeroizing<String>, CryptoError> {
        self.run(alphabet, token, |ff1, token| ff1.decrypt(tweak, token))
    }

    fn run(
        &self,
        alphabet: &Alphabet,
        text: &str,
        work: impl FnOnce(
            &FF1<Aes256>,
            &FlexibleNumeralString,
        ) -> Result<FlexibleNumeralString, NumeralStringError>,
    ) -> Result<Zeroizing<String>, CryptoError> {
        let mut numerals = alphabet.numerals(text)?;
        let ff1 = FF1::<Aes256>::new(self.0.as_slice(), alphabet.radix())
            .map_err(|_| CryptoError::AlphabetInvalid)?;
        let given = FlexibleNumeralString::from(std::mem::take(&mut *numerals));
        let made = work(&ff1, &given);
        Vec::from(given).zeroize();
        let made = made.map_err(|error| match error {
            NumeralStringError::TooShort { min_len, .. } => {
                CryptoError::TokenTooShort { shortest: min_len }
            }
            NumeralStringError::TooLong { .. } => CryptoError::TooLong,
            // Every numeral came from the alphabet.
            NumeralStringError::InvalidForRadix(_) => CryptoError::AlphabetInvalid,
        })?;
        Ok(alphabet.text(&Zeroizing::new(Vec::from(made))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &str = "0123456789";

    fn nist_key() -> TokenKey {
        let key = "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94";
        TokenKey::new(Zeroizing::new(hex::decode(key).unwrap().try_into().unwrap()))
    }

    /// NIST's examples for SP 800-38G, FF1samples.pdf: the three with AES-256.
    #[test]
    fn nist_samples_7_to_9() {
        let letters = format!("{DIGITS}abcdefghijklmnopqrstuvwxyz");
        for (alphabet, tweak, text, token) in [
            (DIGITS, "", "0123456789", "6657667009"),
            (DIGITS, "39383736353433323130", "0123456789", "1001623463"),
            (&letters, "3737373770717273373737", "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
        ] {
            let alphabet = Alphabet::new(alphabet).unwrap();
            let tweak = hex::decode(tweak).unwrap();
            assert_eq!(nist_key().tokenize(&alphabet, &tweak, text).unwrap(), token);
            assert_eq!(nist_key().detokenize(&alphabet, &tweak, token).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_cannot_be_a_token_says_why() {
        for alphabet in ["", "a", "aba"] {
            assert_eq!(Alphabet::new(alphabet).err(), Some(CryptoError::AlphabetInvalid));
        }
        let all: String = (0_u32..).filter_map(char::from_u32).take(1 << 16).collect();
        assert!(Alphabet::new(&all).is_ok());
        let more: String = (0_u32..).filter_map(char::from_u32).take((1 << 16) + 1).collect();
        assert_eq!(Alphabet::new(&more).err(), Some(CryptoError::AlphabetInvalid));

        let digits = Alphabet::new(DIGITS).unwrap();
        let tokenize = |text: &str| nist_key().tokenize(&digits, b"", text);
        assert_eq!(tokenize("12345"), Err(CryptoError::TokenTooShort { shortest: 6 }));
        assert_eq!(tokenize(""), Err(CryptoError::TokenTooShort { shortest: 6 }));
        assert_eq!(tokenize("1234 5678"), Err(CryptoError::NotInAlphabet { position: 5 }));
        assert!(tokenize(&"7".repeat(Alphabet::LONGEST)).is_ok());
        assert_eq!(tokenize(&"7".repeat(Alphabet::LONGEST + 1)), Err(CryptoError::TooLong));
    }

    #[test]
    fn random_tokens_use_every_character_alike() {
        // 40,000 does not divide 65,536: unfair draws would give the first 25,536 twice as often.
        let all: String = (0_u32..).filter_map(char::from_u32).take(40_000).collect();
        let alphabet = Alphabet::new(&all).unwrap();
        let mut low = 0;
        for _ in 0..100 {
            let token = alphabet.random(Alphabet::LONGEST).unwrap();
            assert_eq!(token.chars().count(), Alphabet::LONGEST);
            low += token.chars().filter(|c| u32::from(*c) < 20_000).count();
        }
        // Half of 102,400, give or take six standard deviations.
        assert!((50_240..52_160).contains(&low), "{low}");
        assert_eq!(alphabet.random(0), Err(CryptoError::TooLong));
        assert_eq!(alphabet.random(Alphabet::LONGEST + 1), Err(CryptoError::TooLong));
    }

    proptest! {
        #[test]
        fn a_token_has_the_form_of_its_text_and_leads_back(
            alphabet in proptest::collection::hash_set(any::<char>(), 2..80),
            numerals in proptest::collection::vec(any::<usize>(), 20..60),
            tweak in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let characters: Vec<char> = alphabet.into_iter().collect();
            let text: String = numerals.iter().map(|n| characters[n % characters.len()]).collect();
            let alphabet = Alphabet::new(&characters.iter().collect::<String>()).unwrap();
            let token = nist_key().tokenize(&alphabet, &tweak, &text).unwrap();
            prop_assert_eq!(token.chars().count(), text.chars().count());
            prop_assert!(token.chars().all(|c| characters.contains(&c)));
            let back = nist_key().detokenize(&alphabet, &tweak, &token).unwrap();
            prop_assert_eq!(back.as_str(), &text);
        }
    }
}
