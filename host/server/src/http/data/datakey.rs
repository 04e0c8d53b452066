//! `datakey`: fresh keys for callers to encrypt with themselves, sealed under a key of the tenant.
//!
//! `decrypt` with the same context opens the sealed form. Key pairs are made the same way: the
//! private half is what is sealed.

use std::str::FromStr;

use keyward_crypto::{Algorithm, KeyId, KeyVersion};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::item::{self, Asked, Item};
use super::operation::{Operation, Place, Plans};
use crate::errors::Code;
use crate::execute::Sealer;
use crate::http::Problem;
use crate::http::json::Text;
use crate::http::openapi::{schema, schema_of};

/// Most data keys of one item.
const MAX_COUNT: usize = 100;
/// Lengths a data key may have.
const BITS: [usize; 3] = [128, 256, 512];

/// `POST …/datakey`.
pub struct Datakey;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DatakeyItem")]
pub struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    /// 128, 256 or 512; 256 unless said otherwise.
    #[schemars(with = "Option<schema::Bits>")]
    bits: Option<usize>,
    /// A key pair of this algorithm instead of a symmetric key.
    #[serde(borrow)]
    #[schemars(with = "Option<schema::PairAlgorithm>")]
    pair: Option<Text<'a>>,
    /// Leaves the plaintext out: the caller stores the key and does not use it now.
    #[serde(default)]
    wrapped_only: bool,
    /// That many, as `datakeys`; one, without a list, unless said otherwise.
    #[schemars(range(min = 1, max = 100))]
    count: Option<usize>,
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

/// What is wanted.
pub struct Wanted {
    kind: Kind,
    wrapped_only: bool,
    count: Option<usize>,
}

enum Kind {
    Bytes(usize),
    Pair(Algorithm),
}

impl Kind {
    fn read(bits: Option<usize>, pair: Option<&Text<'_>>) -> Result<Self, Problem> {
        let Some(pair) = pair else {
            let bits = bits.unwrap_or(256);
            if !BITS.contains(&bits) {
                return Err(Problem::field(Code::InvalidField, "/bits", "must be 128, 256 or 512"));
            }
            return Ok(Self::Bytes(bits / 8));
        };
        if bits.is_some() {
            let detail = "a key pair has the length of its algorithm: leave `bits` out";
            return Err(Problem::field(Code::InvalidField, "/bits", detail));
        }
        let algorithm = Algorithm::from_str(pair.as_str())
            .map_err(|error| Problem::field(Code::InvalidField, "/pair", error.to_string()))?;
        if !algorithm.is_asymmetric() {
            let detail = format!("{algorithm} has no key pairs; leave `pair` out and give `bits`");
            return Err(Problem::field(Code::InvalidField, "/pair", detail));
        }
        Ok(Self::Pair(algorithm))
    }
}

impl Operation for Datakey {
    const NAME: &'static str = "datakey";
    const ANSWER: &'static str = "Datakeys";
    type Fields<'a> = Fields<'a>;
    type Work = Wanted;
    type Ready = Sealer;

    fn answer(generator: &mut SchemaGenerator) -> Schema {
        let one: schema::Fields = &[
            ("plaintext", false, schema_of::<schema::Base64>),
            ("public_key", false, schema_of::<schema::PublicKey>),
            ("private_key", false, schema_of::<schema::Base64>),
            ("ciphertext", true, schema_of::<schema::Ciphertext>),
        ];
        let one = schema::object(generator, one);
        let one = schema::define(generator, "MadeKey", one);
        let version = schema_of::<schema::Version>(generator);
        let mut single = generator.definitions()["MadeKey"].clone();
        single["properties"]["key_version"] = version.clone().to_value();
        single["required"] = json!(["ciphertext", "key_version"]);
        let many = json!({
            "type": "object",
            "properties": { "datakeys": schema::list_of(&one, 1), "key_version": version },
            "required": ["datakeys", "key_version"],
        });
        json_schema!({ "anyOf": [single, many] })
    }

    async fn read<'a>(_: Place<'a>, fields: Fields<'a>) -> Result<Item<'a, Wanted>, Problem> {
        let Fields { key, bits, pair, wrapped_only, count, context, purpose, reference } = fields;
        let kind = Kind::read(bits, pair.as_ref())?;
        if matches!(kind, Kind::Pair(algorithm) if algorithm.is_rsa()) && count.is_some() {
            let detail = "RSA key pairs are made one at a time";
            return Err(Problem::field(Code::InvalidField, "/count", detail));
        }
        if count.is_some_and(|count| !(1..=MAX_COUNT).contains(&count)) {
            let detail = format!("must be 1 to {MAX_COUNT}");
            return Err(Problem::field(Code::InvalidField, "/count", detail));
        }
        let asked = Asked::read(key, context.as_ref(), purpose)?;
        Item::new(asked, reference, Wanted { kind, wrapped_only, count })
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
        let Wanted { kind, wrapped_only, count } = &item.work;
        let context = item.asked.bound_context();
        let one = async |out: &mut String| -> Result<(), Problem> {
            let (name, secret) = match *kind {
                Kind::Bytes(length) => ("plaintext", random(length)?),
                Kind::Pair(algorithm) => ("private_key", pair(algorithm, out).await?),
            };
            if !wrapped_only {
                item::push_base64(out, name, &secret);
                out.push(',');
            }
            item::push_ciphertext(out, &sealer.seal(context, &secret)?);
            Ok(())
        };
        match *count {
            None => one(out).await?,
            Some(count) => {
                out.push_str("\"datakeys\":[");
                for index in 0..count {
                    out.push_str(if index == 0 { "{" } else { ",{" });
                    one(out).await?;
                    out.push('}');
                }
                out.push(']');
            }
        }
        item::push_version(out, sealer.version());
        Ok(())
    }
}

fn random(length: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut key = Zeroizing::new(vec![0; length]);
    keyward_crypto::random_bytes(&mut key).map_err(Problem::internal)?;
    Ok(key)
}

/// Makes a pair, appends `"public_key":"…",` (PEM), and returns the private key (PKCS#8).
async fn pair(algorithm: Algorithm, out: &mut String) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let material = keyward_keyring::generate(algorithm).await.map_err(Problem::internal)?;
    // The pair is no key of the keyring: the id and the number mean nothing.
    let version = KeyVersion::new(algorithm, KeyId(0), 1, &material).map_err(Problem::internal)?;
    let pem = version.public_key().map_err(Problem::internal)?.pem();
    out.push_str("\"public_key\":");
    out.push_str(&serde_json::to_string(&pem).map_err(Problem::internal)?);
    out.push(',');
    material.pkcs8(algorithm).ok_or_else(|| Problem::internal("no private key"))
}
