//! `decrypt`: ciphertext to plaintext.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Ciphertext, Item};
use super::operation::{Operation, Place, Plans};
use crate::execute::Opener;
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// `POST …/decrypt`.
pub struct Decrypt;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DecryptItem")]
pub struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::KeyName>")]
    key: Option<Text<'a>>,
    /// `kw1.` and base64url.
    #[serde(borrow)]
    #[schemars(with = "schema::Ciphertext")]
    ciphertext: Text<'a>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Context>")]
    context: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Reference>")]
    reference: Option<Text<'a>>,
}

impl Operation for Decrypt {
    const NAME: &'static str = "decrypt";
    const ANSWER: &'static str = "Decrypted";
    type Fields<'a> = Fields<'a>;
    type Work = Ciphertext;
    type Ready = Opener;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("plaintext", true, schema_of::<schema::Base64>),
            ("key_version", true, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(
        place: Place<'a>,
        fields: Fields<'a>,
    ) -> Result<Item<'a, Self::Work>, Problem> {
        let Fields { key, ciphertext, context, purpose, reference } = fields;
        let mut asked = Asked::read(key, context.as_ref(), purpose)?;
        let work = Ciphertext::read(place, &ciphertext, asked.key.as_deref()).await?;
        asked.key = Some(work.key.name().to_string().into());
        Item::new(asked, reference, work)
    }

    async fn prepare(
        _: Place<'_>,
        item: &Item<'_, Self::Work>,
        plans: Plans,
    ) -> Result<Opener, Problem> {
        Opener::prepare(Arc::clone(&item.work.key), plans.first)
    }

    fn expect(opener: &mut Opener, _: usize) -> Result<(), Problem> {
        opener.expect_several();
        Ok(())
    }

    async fn execute(
        place: Place<'_>,
        opener: &Opener,
        item: &Item<'_, Self::Work>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Ciphertext { bytes, header, .. } = &item.work;
        let context = item.asked.bound_context();
        let (plaintext, version) = opener.open(place.keyring, header, context, bytes).await?;
        item::push_base64(out, "plaintext", &plaintext);
        item::push_version(out, version);
        Ok(())
    }
}
