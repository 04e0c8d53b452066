//! `sign` and `verify`: signatures by the tenant's private keys.

use keyward_crypto::{CryptoError, KeyVersion, Operation as KeyOperation, SignatureForm};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::{Chosen, Verifier};
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// `POST …/sign`.
pub struct Sign;

/// `POST …/verify`.
pub struct Verify;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SignItem")]
pub struct SignFields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    /// Standard base64.
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    input: Text<'a>,
    /// `standard` unless said otherwise.
    #[serde(borrow)]
    #[schemars(with = "Option<schema::SignatureForm>")]
    form: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    #[schemars(with = "Option<schema::Reference>")]
    reference: Option<Text<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VerifyItem")]
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
    signature: Text<'a>,
    /// `standard` unless said otherwise.
    #[serde(borrow)]
    #[schemars(with = "Option<schema::SignatureForm>")]
    form: Option<Text<'a>>,
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

/// What is to be signed.
pub struct Input {
    bytes: Vec<u8>,
    form: SignatureForm,
}

/// What is to be verified.
pub struct Claim {
    input: Input,
    signature: Vec<u8>,
    version: Option<u32>,
}

impl Operation for Sign {
    const NAME: &'static str = "sign";
    const ANSWER: &'static str = "Signed";
    type Fields<'a> = SignFields<'a>;
    type Work = Input;
    type Ready = Chosen;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let fields: schema::Fields = &[
            ("signature", true, schema_of::<schema::Base64>),
            ("key_version", true, schema_of::<schema::Version>),
        ];
        schema::object(generator, fields)
    }

    async fn read<'a>(_: Place<'a>, fields: SignFields<'a>) -> Result<Item<'a, Input>, Problem> {
        let SignFields { key, input, form, purpose, reference } = fields;
        let asked = Asked::read(key, None, purpose)?;
        let bytes = item::base64("/input", &input)?;
        Item::new(asked, reference, Input { bytes, form: read_form(form.as_ref())? })
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Input>,
        plans: Plans,
    ) -> Result<Chosen, Problem> {
        let (Place { keyring, tenant, .. }, key) = (place, item.asked.key.as_deref());
        Chosen::prepare(keyring, tenant, key, &plans.first, KeyOperation::Sign).await
    }

    async fn execute(
        _: Place<'_>,
        chosen: &Chosen,
        item: &Item<'_, Input>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Input { bytes, form } = &item.work;
        chosen.check_len(bytes.len())?;
        let signature = chosen.version().sign(bytes, *form).map_err(form_problem)?;
        item::push_base64(out, "signature", &signature);
        item::push_version(out, chosen.version().version());
        Ok(())
    }
}

impl Operation for Verify {
    const NAME: &'static str = "verify";
    const ANSWER: &'static str = "Verified";
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

    async fn read<'a>(_: Place<'a>, fields: VerifyFields<'a>) -> Result<Item<'a, Claim>, Problem> {
        let VerifyFields { key, input, signature, form, key_version, purpose, reference } = fields;
        let asked = Asked::read(key, None, purpose)?;
        let claim = Claim {
            input: Input {
                bytes: item::base64("/input", &input)?,
                form: read_form(form.as_ref())?,
            },
            signature: item::base64("/signature", &signature)?,
            version: key_version,
        };
        Item::new(asked, reference, claim)
    }

    async fn prepare(
        place: Place<'_>,
        item: &Item<'_, Claim>,
        plans: Plans,
    ) -> Result<Verifier, Problem> {
        let (Place { keyring, tenant, .. }, key) = (place, item.asked.key.as_deref());
        Verifier::prepare(keyring, tenant, key, &plans.first, KeyOperation::Verify).await
    }

    async fn execute(
        place: Place<'_>,
        verifier: &Verifier,
        item: &Item<'_, Claim>,
        out: &mut String,
    ) -> Result<(), Problem> {
        let Claim { input: Input { bytes, form }, signature, version } = &item.work;
        let is_by = |version: &KeyVersion| version.verify(bytes, signature, *form);
        let by = verifier.version_of(place.keyring, bytes.len(), *version, is_by, form_problem);
        item::push_valid(out, by.await?);
        Ok(())
    }
}

/// The form of that name. (As an enum of serde's, a number in its place would pass for bad JSON.)
fn read_form(name: Option<&Text<'_>>) -> Result<SignatureForm, Problem> {
    match name.map(Text::as_str) {
        None | Some("standard") => Ok(SignatureForm::Standard),
        Some("fixed") => Ok(SignatureForm::Fixed),
        Some("pkcs1") => Ok(SignatureForm::Pkcs1),
        Some(_) => {
            let detail = "must be standard, fixed or pkcs1";
            Err(Problem::field(Code::InvalidField, "/form", detail))
        }
    }
}

fn form_problem(error: CryptoError) -> Problem {
    match error {
        CryptoError::SignatureFormNotAllowed { .. } => {
            Problem::field(Code::InvalidField, "/form", error.to_string())
        }
        error => Problem::internal(error),
    }
}
