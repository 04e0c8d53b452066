//! `derive`: secret bytes from a key of the tenant, the same each time for the same input.
//!
//! What is derived follows from key, version, context and `info`, and from what the policy binds.

use keyward_crypto::Operation as KeyOperation;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Chosen;
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// Most bytes of one answer.
const MAX_BYTES: usize = 1 << 10;
/// Longest `info`, in bytes.
const MAX_INFO: usize = 64 << 10;

/// `POST …/derive`.
pub struct Derive;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeriveItem")]
pub struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    /// Standard base64: what the bytes are for.
    #[serde(borrow)]
    #[schemars(with = "schema::Context")]
    info: Text<'a>,
    /// How many; 32 unless said otherwise.
    #[serde(default = "default_bytes")]
    #[schemars(range(min = 1, max = 1024))]
    bytes: usize,
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

fn default_bytes() -> usize {
    32
}

/// What is wanted.
pub struct Wanted {
    info: Vec<u8>,
    bytes: usize,
}

impl Operation for Derive {
    const NAME: &'static str = "derive";
    const ANSWER: &'static str = "Derived";
    type Fields<'a> = Fields<'a>;
    type Work = Wanted;
    type Ready = Chosen;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("derived", true, schema_of::<schema::Base64>),
            ("key_version", true, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(_: Place<'a>, fields: Fields<'a>) -> Result<Item<'a, Wanted>, Problem> {
        let Fields { key, info, bytes, context, purpose, reference } = fields;
        if !(1..=MAX_BYTES).contains(&bytes) {
            let detail = format!("must be 1 to {MAX_BYTES}");
            return Err(Problem::field(Code::InvalidField, "/bytes", detail));
        }
        let info = item::base64("/info", &info)?;
        if info.len() > MAX_INFO {
            return Err(item::too_long("/info", MAX_INFO));
        }
        let asked = Asked::read(key, context.as_ref(), purpose)?;
        Item::new(asked, reference, Wanted { info, bytes })
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Wanted>,
        plans: Plans,
    ) -> Result<Chosen, Problem> {
        let (Place { keyring, tenant, .. }, key) = (place, item.asked.key.as_deref());
        Chosen::prepare(keyring, tenant, key, &plans.first, KeyOperation::Derive).await
    }

    async fn execute(
        _: Place<'_>,
        chosen: &Chosen,
        item: &Item<'_, Wanted>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Wanted { info, bytes } = &item.work;
        chosen.check_len(*bytes)?;
        let derived = chosen.derive(item.asked.bound_context(), info, *bytes)?;
        item::push_base64(out, "derived", &derived);
        item::push_version(out, chosen.version().version());
        Ok(())
    }
}
