//! The contract's records and the values of host calls as JSON. Bytes are standard base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy_host::{
    self as host, Caller, HostCall, HostError, KeyRef, Obligation, PolicyError,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes; base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What a policy was asked.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Request {
    pub id: String,
    pub tenant: String,
    pub subject: String,
    pub roles: Vec<String>,
    pub claims: Vec<(String, String)>,
    pub operation: String,
    pub key: Option<String>,
    pub context: Option<Bytes>,
    pub purpose: Option<String>,
    pub time: u64,
}

impl From<&host::Request> for Request {
    fn from(request: &host::Request) -> Self {
        let host::Request { id, tenant, caller, operation, key, context, purpose, time } =
            request.clone();
        let Caller { subject, roles, claims } = caller;
        let context = context.map(Bytes);
        Self { id, tenant, subject, roles, claims, operation, key, context, purpose, time }
    }
}

impl From<Request> for host::Request {
    fn from(request: Request) -> Self {
        let Request { id, tenant, subject, roles, claims, operation, .. } = request;
        Self {
            id,
            tenant,
            caller: Caller { subject, roles, claims },
            operation,
            key: request.key,
            context: request.context.map(|context| context.0),
            purpose: request.purpose,
            time: request.time,
        }
    }
}

/// A payload.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Body {
    pub content_type: String,
    pub body: Bytes,
}

impl From<&host::Payload> for Body {
    fn from(payload: &host::Payload) -> Self {
        Self { content_type: payload.content_type.clone(), body: Bytes(payload.body.clone()) }
    }
}

impl From<Body> for host::Payload {
    fn from(body: Body) -> Self {
        Self { content_type: body.content_type, body: body.body.0 }
    }
}

/// What was decided.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allowed(Plan),
    Refused(Error),
}

/// A plan.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub key: Option<String>,
    pub version: Option<u32>,
    pub suite: Option<String>,
    pub bound: Bytes,
    pub obligations: Vec<(String, String)>,
}

impl From<&host::Plan> for Plan {
    fn from(plan: &host::Plan) -> Self {
        let pair = |it: &Obligation| (it.name.clone(), it.value.clone());
        Self {
            key: plan.key.clone(),
            version: plan.version,
            suite: plan.suite.map(|suite| keyward_crypto::Algorithm::from(suite).to_string()),
            bound: Bytes(plan.authenticated_data.clone()),
            obligations: plan.obligations.iter().map(pair).collect(),
        }
    }
}

/// A refusal, or a failure.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Error {
    pub code: String,
    pub text: String,
}

impl From<&PolicyError> for Error {
    fn from(error: &PolicyError) -> Self {
        Self { code: error.code().into(), text: error.to_string() }
    }
}

/// A host call.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Call {
    function: String,
    arguments: Vec<Value>,
    result: Value,
}

/// A value that crossed the border.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Value {
    Nothing,
    Bool(bool),
    Number(i128),
    Text(String),
    Bytes(Bytes),
    List(Vec<Value>),
    Key { handle: u32, name: String, version: u32, algorithm: String },
    Refused { kind: String, text: String },
}

impl From<&HostCall> for Call {
    fn from(call: &HostCall) -> Self {
        Self {
            function: call.function.clone(),
            arguments: call.arguments.iter().map(Value::from).collect(),
            result: (&call.result).into(),
        }
    }
}

impl TryFrom<Call> for HostCall {
    type Error = String;

    fn try_from(call: Call) -> Result<Self, String> {
        Ok(Self {
            function: call.function,
            arguments: call
                .arguments
                .into_iter()
                .map(host::Value::try_from)
                .collect::<Result<_, _>>()?,
            result: call.result.try_into()?,
        })
    }
}

impl From<&host::Value> for Value {
    fn from(value: &host::Value) -> Self {
        match value {
            host::Value::Bool(value) => Self::Bool(*value),
            host::Value::Number(value) => Self::Number(*value),
            host::Value::Text(text) => Self::Text(text.clone()),
            host::Value::Bytes(data) => Self::Bytes(Bytes(data.to_vec())),
            // A length is of a run that was watched for lengths only, which nobody records.
            host::Value::Nothing | host::Value::Length(_) => Self::Nothing,
            host::Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            host::Value::Key(KeyRef { handle, name, version, algorithm }) => Self::Key {
                handle: *handle,
                name: name.clone(),
                version: *version,
                algorithm: algorithm.to_string(),
            },
            host::Value::Refused(error) => {
                let kind = match error {
                    HostError::Denied(_) => "denied",
                    HostError::Invalid(_) => "invalid",
                    HostError::NotFound(_) => "not-found",
                    HostError::Conflict(_) => "conflict",
                    HostError::Unavailable(_) => "unavailable",
                };
                Self::Refused { kind: kind.into(), text: error.to_string() }
            }
        }
    }
}

impl TryFrom<Value> for host::Value {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::Nothing => Self::Nothing,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(value) => Self::Number(value),
            Value::Text(text) => Self::Text(text),
            Value::Bytes(data) => Self::Bytes(data.0.into()),
            Value::List(items) => {
                Self::List(items.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            Value::Key { handle, name, version, algorithm } => {
                let unknown = |_| format!("there is no algorithm `{algorithm}`");
                let algorithm = algorithm.parse().map_err(unknown)?;
                Self::Key(KeyRef { handle, name, version, algorithm })
            }
            Value::Refused { kind, text } => Self::Refused(match kind.as_str() {
                "denied" => HostError::Denied(text),
                "invalid" => HostError::Invalid(text),
                "not-found" => HostError::NotFound(text),
                "conflict" => HostError::Conflict(text),
                "unavailable" => HostError::Unavailable(text),
                _ => return Err(format!("there is no refusal `{kind}`")),
            }),
        })
    }
}
