//! The bodies of encrypt and decrypt: one item, or `items`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::json::{Object, Text};

/// Items kept in memory at most, whatever the configured limit: what comes after is counted only.
pub const MAX_KEPT: usize = 100_000;

/// One thing to encrypt or decrypt. Which of `plaintext` and `ciphertext` belongs is the route's
/// to say.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Item<'a> {
    /// Name of the key.
    #[serde(borrow)]
    pub key: Option<Text<'a>>,
    /// Standard base64.
    #[serde(borrow)]
    pub plaintext: Option<Text<'a>>,
    /// `kw1.` and base64url.
    #[serde(borrow)]
    pub ciphertext: Option<Text<'a>>,
    /// Standard base64, bound into the ciphertext.
    #[serde(borrow)]
    pub context: Option<Text<'a>>,
    /// For the policy.
    #[serde(borrow)]
    pub purpose: Option<Text<'a>>,
    /// The caller's own mark, given back as it is.
    #[serde(borrow)]
    pub reference: Option<Text<'a>>,
}

/// A body: either the fields of one item, or `items`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Body<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    plaintext: Option<Text<'a>>,
    #[serde(borrow)]
    ciphertext: Option<Text<'a>>,
    #[serde(borrow)]
    context: Option<Text<'a>>,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    reference: Option<Text<'a>>,
    /// A batch.
    #[serde(borrow)]
    pub items: Option<Items<'a>>,
}

impl<'a> Body<'a> {
    /// The fields outside `items`.
    pub fn into_item(self) -> Item<'a> {
        let Self { key, plaintext, ciphertext, context, purpose, reference, items: _ } = self;
        Item { key, plaintext, ciphertext, context, purpose, reference }
    }

    /// Name of a field that stands beside `items`, where none may.
    pub fn field_beside_items(&self) -> Option<&'static str> {
        [
            ("/key", &self.key),
            ("/plaintext", &self.plaintext),
            ("/ciphertext", &self.ciphertext),
            ("/context", &self.context),
            ("/purpose", &self.purpose),
            ("/reference", &self.reference),
        ]
        .into_iter()
        .find_map(|(field, value)| value.is_some().then_some(field))
    }
}

/// The items of a batch.
pub struct Items<'a> {
    /// The first [`MAX_KEPT`] of them.
    pub kept: Vec<Item<'a>>,
    /// How many there are.
    pub count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;

        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX_KEPT {
                    match seq.next_element()? {
                        Some(Object(item)) => kept.push(item),
                        None => {
                            return Ok(Items { count: kept.len(), kept });
                        }
                    }
                }
                let mut count = kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Items { kept, count })
            }
        }

        deserializer.deserialize_seq(ItemsVisitor)
    }
}
