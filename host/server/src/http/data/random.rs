//! `random`: bytes from the host's cryptographic generator.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Keyless;
use crate::http::Problem;
use crate::http::json::Text;

/// Most bytes of one answer.
const MAX_BYTES: usize = 64 << 10;

/// `POST …/random`.
pub struct Random;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields<'a> {
    /// How many; 32 unless said otherwise.
    #[serde(default = "default_bytes")]
    bytes: usize,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    reference: Option<Text<'a>>,
}

fn default_bytes() -> usize {
    32
}

impl Operation for Random {
    const NAME: &'static str = "random";
    type Fields<'a> = Fields<'a>;
    type Work = usize;
    type Ready = Keyless;

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
