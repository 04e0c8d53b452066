//! `mac` and `mac/verify`: message authentication codes by the tenant's HMAC keys.

use keyward_crypto::{KeyVersion, Operation as KeyOperation};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::execute::{Chosen, Verifier};
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// `POST …/mac`.
pub struct Mac;

/// `POST …/mac/verify`.
pub struct VerifyMac;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MacItem")]
pub struct MacFields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    /// Standard base64.
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    input: Text<'a>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Reference>")]
    reference: Option<Text<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VerifyMacItem")]
pub struct VerifyFields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    /// Standard base64.
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    input: Text<'a>,
    /// Standard base64.
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    mac: Text<'a>,
    /// The version to verify with. Absent: every version in use.
    #[schemars(with = "Option<schema::Version>")]
    key_version: Option<u32>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Reference>")]
    reference: Option<Text<'a>>,
}

impl Operation for Mac {
    const NAME: &'static str = "mac";
    const ANSWER: &'static str = "Authenticated";
    type Fields<'a> = MacFields<'a>;
    type Work = Vec<u8>;
    type Ready = Chosen;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("mac", true, schema_of::<schema::Base64>),
            ("key_version", true, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(
        _: Place<'a>,
        fields: MacFields<'a>,
    ) -> Result<Item<'a, Self::Work>, Problem> {
        let MacFields { key, input, purpose, reference } = fields;
        let asked = Asked::read(key, None, purpose)?;
        Item::new(asked, reference, item::base64("/input", &input)?)
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Self::Work>,
        plans: Plans,
    ) -> Result<Chosen, Problem> {
        let (Place { keyring, tenant, .. }, key) = (place, item.asked.key.as_deref());
        Chosen::prepare(keyring, tenant, key, &plans.first, KeyOperation::Mac).await
    }

    async fn execute(
        _: Place<'_>,
        chosen: &Chosen,
        item: &Item<'_, Self::Work>,
        out: &mut String,
    ) -> Result<(), Problem> {
        chosen.check_len(item.work.len())?;
        let mac = chosen.version().mac(&item.work).map_err(Problem::internal)?;
        item::push_base64(out, "mac", &mac);
        item::push_version(out, chosen.version().version());
        Ok(())
    }
}

/// What is to be verified.
pub struct Claim {
    input: Vec<u8>,
    /// As it was sent, decoded.
    tag: Vec<u8>,
    version: Option<u32>,
}

impl Operation for VerifyMac {
    const NAME: &'static str = "verify-mac";
    const ANSWER: &'static str = "VerifiedMac";
    type Fields<'a> = VerifyFields<'a>;
    type Work = Claim;
    type Ready = Verifier;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("valid", true, schema_of::<bool>),
            ("key_version", false, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(
        _: Place<'a>,
        fields: VerifyFields<'a>,
    ) -> Result<Item<'a, Self::Work>, Problem> {
        let VerifyFields { key, input, mac, key_version, purpose, reference } = fields;
        let asked = Asked::read(key, None, purpose)?;
        let claim = Claim {
            input: item::base64("/input", &input)?,
            tag: item::base64("/mac", &mac)?,
            version: key_version,
        };
        Item::new(asked, reference, claim)
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Self::Work>,
        plans: Plans,
    ) -> Result<Verifier, Problem> {
        let (Place { keyring, tenant, .. }, key) = (place, item.asked.key.as_deref());
        Verifier::prepare(keyring, tenant, key, &plans.first, KeyOperation::Mac).await
    }

    async fn execute(
        place: Place<'_>,
        verifier: &Verifier,
        item: &Item<'_, Self::Work>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Claim { input, tag, version } = &item.work;
        let is_by = |version: &KeyVersion| version.verify_mac(input, tag);
        let by =
            verifier.version_of(place.keyring, input.len(), *version, is_by, Problem::internal);
        item::push_valid(out, by.await?);
        Ok(())
    }
}
