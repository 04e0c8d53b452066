//! `random`: bytes from the host's cryptographic generator.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Keyless;
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// Most bytes of one answer.
const MAX_BYTES: usize = 64 << 10;

/// `POST …/random`.
pub struct Random;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RandomItem")]
pub struct Fields<'a> {
    /// How many; 32 unless said otherwise.
    #[serde(default = "default_bytes")]
    #[schemars(range(min = 1, max = 65536))]
    bytes: usize,
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

impl Operation for Random {
    const NAME: &'static str = "random";
    const ANSWER: &'static str = "RandomBytes";
    type Fields<'a> = Fields<'a>;
    type Work = usize;
    type Ready = Keyless;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[("random", true, schema_of::<schema::Base64>)];
        schema::object(generator, fields)
    }

    async fn read<'a>(_: Place<'a>, fields: Fields<'a>) -> Result<Item<'a, usize>, Problem> {
        let Fields { bytes, purpose, reference } = fields;
        if !(1..=MAX_BYTES).contains(&bytes) {
            let detail = format!("must be 1 to {MAX_BYTES}");
            return Err(Problem::field(Code::InvalidField, "/bytes", detail));
        }
        Item::new(Asked::read(None, None, purpose)?, reference, bytes)
    }

    async fn prepare(_: Place<'_>, _: &Item<'_, usize>, plans: Plans) -> Result<Keyless, Problem> {
        Keyless::prepare(&plans.first)
    }

    async fn execute(
        _: Place<'_>,
        plan: &Keyless,
        item: &Item<'_, usize>,
        out: &mut String,
    ) -> Result<(), Problem> {
        plan.check_len(item.work)?;
        let mut bytes = Zeroizing::new(vec![0; item.work]);
        keyward_crypto::random_bytes(&mut bytes).map_err(Problem::internal)?;
        item::push_base64(out, "random", &bytes);
        Ok(())
    }
}
