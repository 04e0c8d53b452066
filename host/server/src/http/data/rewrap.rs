//! `rewrap`: a ciphertext to another version, key or context, without showing the plaintext.
//!
//! The policy is asked `rewrap` for the key and context the ciphertext has, and, where it gets
//! another key or context, `rewrap` again for those. Both have to be allowed.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Ciphertext, Item};
use super::operation::{Operation, Place, Plans};
use crate::execute::{Opener, Sealer};
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// `POST …/rewrap`.
pub struct Rewrap;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RewrapItem")]
pub struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::KeyName>")]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "schema::Ciphertext")]
    ciphertext: Text<'a>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Context>")]
    context: Option<Text<'a>>,
    /// The context of the new ciphertext. Absent: that of the old one.
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Context>")]
    new_context: Option<Text<'a>>,
    /// The key of the new ciphertext. Absent: that of the old one.
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    new_key: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Reference>")]
    reference: Option<Text<'a>>,
}

/// Both ends of the move.
pub struct Ready {
    from: Opener,
    to: Sealer,
}

impl Operation for Rewrap {
    const NAME: &'static str = "rewrap";
    const ANSWER: &'static str = "Rewrapped";
    type Fields<'a> = Fields<'a>;
    type Work = Ciphertext;
    type Ready = Ready;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("ciphertext", true, schema_of::<schema::Ciphertext>),
            ("key_version", true, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(
        place: Place<'a>,
        fields: Fields<'a>,
    ) -> Result<Item<'a, Self::Work>, Problem> {
        let Fields { key, ciphertext, context, new_context, new_key, purpose, reference } = fields;
        let mut asked = Asked::read(key, context.as_ref(), purpose.clone())?;
        let new_context = item::decode_context("/new_context", new_context.as_ref())?;
        let work = Ciphertext::read(place, &ciphertext, asked.key.as_deref()).await?;
        asked.key = Some(work.key.name().to_string().into());
        let moves = new_context.is_some() || new_key.is_some();
        let also = moves.then(|| Asked {
            key: new_key.map_or_else(|| asked.key.clone(), |name| Some(name.into_inner())),
            context: new_context.or_else(|| asked.context.clone()),
            purpose,
        });
        let also = also.filter(|also| *also != asked);
        Ok(Item { also, ..Item::new(asked, reference, work)? })
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Self::Work>,
        plans: Plans,
    ) -> Result<Ready, Problem> {
        let Plans { first, second } = plans;
        let target = item.also.as_ref().unwrap_or(&item.asked);
        let to_plan = second.unwrap_or_else(|| first.clone());
        let from = Opener::prepare(Arc::clone(&item.work.key), first)?;
        let requested = target.key.as_deref();
        let to = Sealer::prepare(place.keyring, place.tenant, requested, to_plan).await;
        let to = to.map_err(|problem| match problem.field.as_deref() {
            Some("/key") if item.also.is_some() => {
                Problem { field: Some("/new_key".into()), ..problem }
            }
            _ => problem,
        })?;
        Ok(Ready { from, to })
    }

    fn expect(ready: &mut Ready, items: usize) -> Result<(), Problem> {
        ready.from.expect_several();
        ready.to.expect(items)
    }

    async fn execute(
        place: Place<'_>,
        ready: &Ready,
        item: &Item<'_, Self::Work>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Ciphertext { bytes, header, .. } = &item.work;
        let old = item.asked.bound_context();
        let new = item.also.as_ref().unwrap_or(&item.asked).bound_context();
        let (plaintext, _) = ready.from.open(place.keyring, header, old, bytes).await?;
        item::push_ciphertext(out, &ready.to.seal(new, &plaintext)?);
        item::push_version(out, ready.to.version());
        Ok(())
    }
}
