//! `encrypt`: plaintext to ciphertext.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::execute::Sealer;
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// `POST …/encrypt`.
pub struct Encrypt;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EncryptItem")]
pub struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    /// Standard base64.
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    plaintext: Text<'a>,
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

impl Operation for Encrypt {
    const NAME: &'static str = "encrypt";
    const ANSWER: &'static str = "Encrypted";
    type Fields<'a> = Fields<'a>;
    type Work = Vec<u8>;
    type Ready = Sealer;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("ciphertext", true, schema_of::<schema::Ciphertext>),
            ("key_version", true, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(_: Place<'a>, fields: Fields<'a>) -> Result<Item<'a, Self::Work>, Problem> {
        let Fields { key, plaintext, context, purpose, reference } = fields;
        let asked = Asked::read(key, context.as_ref(), purpose)?;
        Item::new(asked, reference, item::base64("/plaintext", &plaintext)?)
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Self::Work>,
        plans: Plans,
    ) -> Result<Sealer, Problem> {
        let requested = item.asked.key.as_deref();
        Sealer::prepare(place.keyring, place.tenant, requested, plans.first).await
    }

    fn expect(sealer: &mut Sealer, items: usize) -> Result<(), Problem> {
        sealer.expect(items)
    }

    async fn execute(
        _: Place<'_>,
        sealer: &Sealer,
        item: &Item<'_, Self::Work>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let ciphertext = sealer.seal(item.asked.bound_context(), &item.work)?;
        item::push_ciphertext(out, &ciphertext);
        item::push_version(out, sealer.version());
        Ok(())
    }
}
