//! One call of the API.

use reqwest::Method;
use serde_json::{Map, Value};

use super::connection::Who;
use super::show::Show;

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below `/api/v1`.
    Root,
    /// Below `/api/v1/tenants/{tenant}`.
    Tenant,
    /// Below `/api/v1`, with the tenant, if one is named, as a query parameter.
    TenantInQuery,
}

/// What a call sends.
pub enum Sent {
    /// Nothing.
    Nothing,
    /// JSON.
    Json(Map<String, Value>),
    /// Bytes of a media type.
    Bytes(&'static str, Vec<u8>),
}

/// One call of the API.
pub struct Call {
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) sent: Sent,
    pub(super) who: Who,
    pub(super) show: Show,
}

impl Call {
    /// A call below the tenant, as a manager, without a body, its answer shown as it comes.
    pub fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            place: Place::Tenant,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            query: Vec::new(),
            headers: Vec::new(),
            sent: Sent::Nothing,
            who: Who::Manager,
            show: Show::Auto,
        }
    }

    /// GET.
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// POST.
    pub fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// The same elsewhere.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The same with another token.
    pub fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// The same, shown so.
    pub fn show(mut self, show: Show) -> Self {
        self.show = show;
        self
    }

    /// The same with a query parameter, unless it is `None`.
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// The same with a header of its own.
    pub fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a JSON object as its body, whatever fields are given.
    pub fn object(mut self) -> Self {
        self.sent = Sent::Json(Map::new());
        self
    }

    /// The same with a field of its JSON body, unless it is `None`.
    pub fn field(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            if !matches!(self.sent, Sent::Json(_)) {
                self.sent = Sent::Json(Map::new());
            }
            if let Sent::Json(fields) = &mut self.sent {
                fields.insert(name.to_owned(), value.into());
            }
        }
        self
    }

    /// The same with these fields of its JSON body.
    pub fn fields(mut self, fields: Map<String, Value>) -> Self {
        self.sent = Sent::Json(fields);
        self
    }

    /// The same with these bytes as its body.
    pub fn bytes(mut self, media_type: &'static str, bytes: Vec<u8>) -> Self {
        self.sent = Sent::Bytes(media_type, bytes);
        self
    }
}
