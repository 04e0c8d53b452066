//! Which versions of a key may still be used.

use crate::about::Edit;
use crate::error::KeyringError;

const DECRYPT: &str = "min_decrypt_version";
const ENCRYPT: &str = "min_encrypt_version";

/// The lowest versions that decrypt and that encrypt:
/// 1 ≤ lowest to decrypt ≤ lowest to encrypt ≤ current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min_decrypt: u32,
    /// `None`: whatever decrypts.
    pub(crate) own_min_encrypt: Option<u32>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min_decrypt: 1, own_min_encrypt: None }
    }
}

impl Bounds {
    pub(crate) fn min_encrypt(self) -> u32 {
        self.own_min_encrypt.unwrap_or(self.min_decrypt)
    }

    pub(crate) fn are_sound(self, current: u32) -> bool {
        1 <= self.min_decrypt
            && self.min_decrypt <= self.min_encrypt()
            && self.min_encrypt() <= current
    }

    /// These bounds with the edits done. Fails with [`KeyringError::OutOfRange`], which blames a
    /// bound that was edited.
    pub(crate) fn edited(
        self,
        min_decrypt: Edit<u32>,
        min_encrypt: Edit<u32>,
        current: u32,
    ) -> Result<Self, KeyringError> {
        let decrypt_is_kept = min_decrypt == Edit::Keep;
        let after = Self {
            min_decrypt: min_decrypt.apply(Some(self.min_decrypt)).unwrap_or(1),
            own_min_encrypt: min_encrypt.apply(self.own_min_encrypt),
        };
        let within = |field, value, min, max| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(KeyringError::OutOfRange { field, min, max })
        };
        within(DECRYPT, after.min_decrypt, 1, current)?;
        let Some(encrypt) = after.own_min_encrypt else { return Ok(after) };
        if decrypt_is_kept {
            within(ENCRYPT, encrypt, after.min_decrypt, current)?;
        } else {
            within(ENCRYPT, encrypt, 1, current)?;
            within(DECRYPT, after.min_decrypt, 1, encrypt)?;
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit() -> impl Strategy<Value = Edit<u32>> {
        prop_oneof![Just(Edit::Keep), Just(Edit::Remove), (0_u32..9).prop_map(Edit::Set)]
    }

    proptest! {
        #[test]
        fn bounds_stay_sound_and_who_is_blamed_was_edited(
            edits in prop::collection::vec((edit(), edit()), 1..12),
            current in 1_u32..7,
        ) {
            let mut bounds = Bounds::default();
            for (decrypt, encrypt) in edits {
                match bounds.edited(decrypt, encrypt, current) {
                    Ok(after) => {
                        prop_assert!(after.are_sound(current), "{after:?}");
                        if let Edit::Set(set) = decrypt {
                            prop_assert_eq!(after.min_decrypt, set);
                        }
                        if let Edit::Set(set) = encrypt {
                            prop_assert_eq!(after.min_encrypt(), set);
                        }
                        bounds = after;
                    }
                    Err(KeyringError::OutOfRange { field, min, max }) => {
                        let blamed = if field == DECRYPT { decrypt } else { encrypt };
                        let Edit::Set(set) = blamed else {
                            return Err(TestCaseError::fail(format!("{field} was not set")));
                        };
                        prop_assert!(!(min..=max).contains(&set) && min <= max);
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
        }
    }
}
