//! `encrypt`: plaintext to ciphertext.

use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::execute::Sealer;
use crate::http::Problem;
use crate::http::json::Text;

/// `POST …/encrypt`.
pub struct Encrypt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    /// Standard base64.
    #[serde(borrow)]
    plaintext: Text<'a>,
    #[serde(borrow)]
    context: Option<Text<'a>>,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    reference: Option<Text<'a>>,
}

impl Operation for Encrypt {
    const NAME: &'static str = "encrypt";
    type Fields<'a> = Fields<'a>;
    type Work = Vec<u8>;
    type Ready = Sealer;

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
