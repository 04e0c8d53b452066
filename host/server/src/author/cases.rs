//! Files of cases: what a policy is asked, and what it has to answer. TOML; described for authors
//! in `docs/policies.md`.

mod either;
mod read;
mod spelling;

use std::collections::BTreeMap;
use std::path::PathBuf;

use keyward_crypto::Algorithm;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use self::either::Or;
pub use self::read::read_all;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it is; relative paths in it start there.
    #[serde(skip)]
    pub path: PathBuf,
    #[serde(default = "default_tenant")]
    pub tenant: String,
    #[serde(default)]
    pub keys: BTreeMap<String, Key>,
    #[serde(default)]
    pub callers: BTreeMap<String, Caller>,
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
    pub properties: Option<Properties>,
}

fn default_tenant() -> String {
    "acme".into()
}

/// A key that exists.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    #[serde(default, deserialize_with = "algorithm")]
    pub algorithm: Algorithm,
    #[serde(default = "one")]
    pub versions: u32,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub disabled: bool,
}

fn one() -> u32 {
    1
}

fn algorithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Algorithm, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|_| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        let hint = spelling::hint(&name, &known);
        serde::de::Error::custom(format!("there is no algorithm `{name}`; {hint}"))
    })
}

/// Who asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
}

/// One question and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub operation: String,
    /// A name of `callers`, or the caller itself.
    pub caller: Option<Or<String, Caller>>,
    pub key: Option<String>,
    pub context: Option<String>,
    pub purpose: Option<String>,
    /// RFC 3339, or milliseconds since 1970.
    pub time: Option<Or<Time, Never>>,
    pub payload: Option<Payload>,
    pub expect: Expect,
}

/// A time as TOML may have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Time(pub u64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let time = keyward_audit::parse_time(&text);
        time.map(Time).ok_or_else(|| {
            serde::de::Error::custom(
                "`time` is \"2026-02-28T12:00:00Z\" or milliseconds since 1970",
            )
        })
    }
}

/// Where there is no long form.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub enum Never {}

/// What is sent: one of the first five.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub text: Option<String>,
    pub json: Option<Value>,
    pub base64: Option<String>,
    pub file: Option<PathBuf>,
    /// The output of an earlier case of the file.
    pub output_of: Option<String>,
    pub content_type: Option<String>,
}

/// What has to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub allow: Option<Or<bool, Allow>>,
    pub refuse: Option<Or<String, Refusal>>,
    /// `"any"`, or what it is.
    pub output: Option<Or<String, Output>>,
    /// An error after the decision: of `invoke`, or of the host that carries out the plan.
    pub fails: Option<Or<String, Refusal>>,
    /// Host calls by function.
    #[serde(default)]
    pub calls: BTreeMap<String, Or<u64, Range>>,
}

/// Members of the plan; those that are left out may be anything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    pub key: Option<String>,
    pub version: Option<u32>,
    pub suite: Option<String>,
    /// The pieces bound with the SDK's `bind`, in order.
    pub binds: Option<Vec<String>>,
    pub binds_base64: Option<String>,
    pub max_bytes: Option<u64>,
    pub notes: Option<Vec<String>>,
}

/// A refusal of the policy's, or an error of the host's.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// `denied`, `invalid`, `not-found`, `conflict`, `unavailable`, or a code of docs/errors.md.
    pub kind: Option<String>,
    /// A part of the text.
    pub text: Option<String>,
}

/// What comes out: one of the first four.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub text: Option<String>,
    pub base64: Option<String>,
    /// The same JSON value.
    pub json: Option<Value>,
    /// JSON that has at least these members, with these values.
    pub includes: Option<Value>,
    pub content_type: Option<String>,
}

/// How often, both ends included.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Range {
    #[serde(default)]
    pub min: u64,
    pub max: Option<u64>,
}

/// What the property checks need to know.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// Who may call the operations: a name of `callers`.
    pub caller: Option<String>,
    /// The key the requests name.
    pub key: Option<String>,
    /// Pairs of operations, the second of which reverses the first.
    pub inverse: Option<Vec<[String; 2]>>,
}

impl File {
    /// A file that sets up nothing.
    pub fn empty() -> Self {
        Self {
            path: PathBuf::new(),
            tenant: default_tenant(),
            keys: BTreeMap::new(),
            callers: BTreeMap::new(),
            cases: Vec::new(),
            properties: None,
        }
    }

    /// The caller of a case: nobody in particular unless it says who.
    pub fn caller<'a>(&'a self, case: &'a Case) -> Caller {
        match &case.caller {
            Some(Or::Long(caller)) => caller.clone(),
            Some(Or::Short(name)) => self.callers.get(name).cloned().unwrap_or_default(),
            None => Caller::default(),
        }
    }
}
