//! `datakey`: fresh keys for callers to encrypt with themselves, sealed under a key of the tenant.
//!
//! `decrypt` with the same context opens the sealed form. Key pairs are made the same way: the
//! private half is what is sealed.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Sealer;
use crate::http::Problem;
use crate::http::json::Text;

/// Most data keys of one item.
const MAX_COUNT: usize = 100;
/// Lengths a data key may have.
const BITS: [usize; 3] = [128, 256, 512];

/// `POST …/datakey`.
pub struct Datakey;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    /// 128, 256 or 512; 256 unless said otherwise.
    bits: Option<usize>,
    /// Leaves the plaintext out: the caller stores the key and does not use it now.
    #[serde(default)]
    wrapped_only: bool,
    /// That many, as `datakeys`; one, without a list, unless said otherwise.
    count: Option<usize>,
    #[serde(borrow)]
    context: Option<Text<'a>>,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    reference: Option<Text<'a>>,
}

/// What is wanted.
pub struct Wanted {
    bytes: usize,
    wrapped_only: bool,
    count: Option<usize>,
}

impl Operation for Datakey {
    const NAME: &'static str = "datakey";
    type Fields<'a> = Fields<'a>;
    type Work = Wanted;
    type Ready = Sealer;

    async fn read<'a>(_: Place<'a>, fields: Fields<'a>) -> Result<Item<'a, Wanted>, Problem> {
        let Fields { key, bits, wrapped_only, count, context, purpose, reference } = fields;
        let bits = bits.unwrap_or(256);
        if !BITS.contains(&bits) {
            return Err(Problem::field(Code::InvalidField, "/bits", "must be 128, 256 or 512"));
        }
        if count.is_some_and(|count| !(1..=MAX_COUNT).contains(&count)) {
            let detail = format!("must be 1 to {MAX_COUNT}");
            return Err(Problem::field(Code::InvalidField, "/count", detail));
        }
        let asked = Asked::read(key, context.as_ref(), purpose)?;
        Item::new(asked, reference, Wanted { bytes: bits / 8, wrapped_only, count })
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Wanted>,
        plans: Plans,
    ) -> Result<Sealer, Problem> {
        let requested = item.asked.key.as_deref();
        Sealer::prepare(place.keyring, place.tenant, requested, plans.first).await
    }

    async fn execute(
        _: Place<'_>,
        sealer: &Sealer,
        item: &Item<'_, Wanted>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Wanted { bytes, wrapped_only, count } = item.work;
        let context = item.asked.bound_context();
        let one = |out: &mut String| -> Result<(), Problem> {
            let mut key = Zeroizing::new(vec![0; bytes]);
            keyward_crypto::random_bytes(&mut key).map_err(Problem::internal)?;
            if !wrapped_only {
                item::push_base64(out, "plaintext", &key);
                out.push(',');
            }
            item::push_ciphertext(out, &sealer.seal(context, &key)?);
            Ok(())
        };
        match count {
            None => one(out)?,
            Some(count) => {
                out.push_str("\"datakeys\":[");
                for index in 0..count {
                    out.push_str(if index == 0 { "{" } else { ",{" });
                    one(out)?;
                    out.push('}');
                }
                out.push(']');
            }
        }
        item::push_version(out, sealer.version());
        Ok(())
    }
}
