//! `hash`: digests, for callers that have no implementation of their own.

use keyward_crypto::Digest;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Keyless;
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// `POST …/hash`.
pub struct Hash;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HashItem")]
pub struct Fields<'a> {
    /// Standard base64.
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    input: Text<'a>,
    /// `sha-256`, `sha-384` or `sha-512`; the first unless said otherwise.
    #[serde(borrow)]
    #[schemars(with = "Option<schema::DigestName>")]
    algorithm: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Reference>")]
    reference: Option<Text<'a>>,
}

/// What is to be hashed, and how.
pub struct Input {
    bytes: Vec<u8>,
    digest: Digest,
}

impl Operation for Hash {
    const NAME: &'static str = "hash";
    const ANSWER: &'static str = "Hashed";
    type Fields<'a> = Fields<'a>;
    type Work = Input;
    type Ready = Keyless;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[("hash", true, schema_of::<schema::Base64>)];
        schema::object(generator, fields)
    }

    async fn read<'a>(_: Place<'a>, fields: Fields<'a>) -> Result<Item<'a, Input>, Problem> {
        let Fields { input, algorithm, purpose, reference } = fields;
        let digest = match &algorithm {
            None => Digest::Sha256,
            Some(name) => name.as_str().parse().map_err(|error: keyward_crypto::CryptoError| {
                Problem::field(Code::InvalidField, "/algorithm", error.to_string())
            })?,
        };
        let bytes = item::base64("/input", &input)?;
        Item::new(Asked::read(None, None, purpose)?, reference, Input { bytes, digest })
    }

    async fn prepare(_: Place<'_>, _: &Item<'_, Input>, plans: Plans) -> Result<Keyless, Problem> {
        Keyless::prepare(&plans.first)
    }

    async fn execute(
        _: Place<'_>,
        plan: &Keyless,
        item: &Item<'_, Input>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Input { bytes, digest } = &item.work;
        plan.check_len(bytes.len())?;
        item::push_base64(out, "hash", &digest.of(bytes));
        Ok(())
    }
}
