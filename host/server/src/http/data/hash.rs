//! `hash`: digests, for callers that have no implementation of their own.

use keyward_crypto::Digest;
use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Keyless;
use crate::http::Problem;
use crate::http::json::Text;

/// `POST …/hash`.
pub struct Hash;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields<'a> {
    /// Standard base64.
    #[serde(borrow)]
    input: Text<'a>,
    /// `sha-256`, `sha-384` or `sha-512`; the first unless said otherwise.
    #[serde(borrow)]
    algorithm: Option<Text<'a>>,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    reference: Option<Text<'a>>,
}

/// What is to be hashed, and how.
pub struct Input {
    bytes: Vec<u8>,
    digest: Digest,
}

impl Operation for Hash {
    const NAME: &'static str = "hash";
    type Fields<'a> = Fields<'a>;
    type Work = Input;
    type Ready = Keyless;

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
