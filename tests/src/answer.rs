//! An HTTP response, and what tests ask of one.

use serde_json::Value;
use ureq::http::HeaderMap;

/// The code of every ciphertext that does not open.
pub const UNIFORM: &str = "ciphertext_invalid";

/// A response, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// What was asked, for messages.
    pub asked: String,
}

impl Answer {
    /// A header's value, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: not JSON ({error}): {}", self.asked, self.text()))
    }

    /// The string at a JSON Pointer of the body.
    #[track_caller]
    pub fn str(&self, pointer: &str) -> String {
        let json = self.json();
        let Some(text) = json.pointer(pointer).and_then(Value::as_str) else {
            panic!("{}: no text at {pointer}: {}", self.asked, self.text())
        };
        text.to_owned()
    }

    /// Fails unless the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        self
    }

    /// Fails unless this is a problem of this status and code, in the form all of them have.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let got = (self.status, self.header("content-type"));
        let about = format!("{}: {}", self.asked, self.text());
        assert_eq!(got, (status, "application/problem+json"), "{about}");
        let body = self.json();
        assert_eq!(body["code"], code, "{about}");
        assert_eq!(body["status"], status, "{about}");
        for member in ["type", "title", "detail", "request_id"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{about}");
        }
        assert_eq!(body["request_id"], self.header("x-request-id"), "{about}");
        self
    }

    /// Fails unless the problem blames the field at this JSON Pointer.
    #[track_caller]
    pub fn field(self, pointer: &str) -> Self {
        assert_eq!(self.json()["field"], pointer, "{}: {}", self.asked, self.text());
        self
    }

    /// Fails unless the problem's detail has this text in it.
    #[track_caller]
    pub fn detail(self, part: &str) -> Self {
        let detail = self.str("/detail");
        assert!(detail.contains(part), "{}: {part:?} is not in {detail:?}", self.asked);
        self
    }
}
