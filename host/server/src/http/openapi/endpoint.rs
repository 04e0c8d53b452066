//! What the API's description says of one route.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::problems;
use crate::errors::Code;

/// The schema of a type, or a reference to it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub fn schema_of<T: JsonSchema + ?Sized>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What routes are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Work on data.
    Data,
    /// A tenant's keys.
    Keys,
    /// Tenants, their tokens and policies.
    Tenants,
    /// The management API.
    Management,
    /// The audit log.
    Audit,
    /// Backup and restore.
    Backup,
    /// Health, figures and this description.
    Server,
}

impl Tag {
    /// Every tag with its name and what it is.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Data, "data", "Encrypt, decrypt, sign and the like, as the tenant's policy allows."),
        (Self::Keys, "keys", "A tenant's keys: create, see, change, rotate, delete, destroy."),
        (Self::Tenants, "tenants", "Tenants, their policies, tokens and outage contracts."),
        (Self::Management, "management", "Keys and key store, as operators see them."),
        (Self::Audit, "audit", "Who did what."),
        (Self::Backup, "backup", "Backup and restore."),
        (Self::Server, "server", "Health, metrics and this description."),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(tag, ..)| *tag == self).map_or("", |(_, name, _)| name)
    }
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, without a credential.
    Anybody,
    /// Whoever has a credential, of whatever tenant.
    Authenticated,
    /// The tenant's own tokens; what they may do is the policy's to say.
    TenantOnly,
    /// The tenant's own tokens, and operators.
    Readers,
    /// Tenant-admins, and operators.
    Managers,
    /// Tenant-admins, and no operators: it shows what a tenant encrypted.
    TenantAdmins,
    /// Operators.
    Operators,
}

/// A parameter of the query, or a header.
pub struct Parameter {
    /// `query` or `header`.
    pub place: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its form.
    pub schema: SchemaOf,
}

/// What a body is made of.
pub struct Content {
    /// The media type.
    pub media_type: &'static str,
    /// The form; none for bytes that have none.
    pub schema: Option<SchemaOf>,
    /// One that works.
    pub example: Option<Value>,
}

/// A request's body.
#[derive(Default)]
pub struct RequestBody {
    /// Whether it must be there.
    pub required: bool,
    /// In which forms.
    pub contents: Vec<Content>,
}

/// A successful answer.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// What it says.
    pub about: &'static str,
    /// In which forms; none without a body.
    pub contents: Vec<Content>,
    /// Headers of its own: name and meaning.
    pub headers: Vec<(&'static str, &'static str)>,
    /// What may follow: name, operation, and where its parameters or fields come from.
    pub links: Vec<Link>,
}

/// That an operation can follow, and with what.
pub struct Link {
    /// The operation's identifier.
    pub operation: &'static str,
    /// Fields of its body, with runtime expressions (OpenAPI 3.1 section 4.8.20.4).
    pub body: Value,
}

/// One route, described.
pub struct Endpoint {
    /// What it is grouped by.
    pub tag: Tag,
    /// Its identifier, unique and stable: clients are generated from it.
    pub id: &'static str,
    /// In a few words.
    pub summary: &'static str,
    /// More of it.
    pub about: &'static str,
    /// Who may ask.
    pub who: Who,
    /// Parameters beside those of the path.
    pub parameters: Vec<Parameter>,
    /// The body.
    pub body: Option<RequestBody>,
    /// What it answers.
    pub answers: Vec<Answer>,
    /// What it fails with.
    pub fails: Vec<&'static [Code]>,
}

impl Endpoint {
    /// A route for `who`, with the errors that follow from that.
    pub fn new(tag: Tag, who: Who, id: &'static str, summary: &'static str) -> Self {
        let mut fails = vec![problems::ALWAYS];
        if who != Who::Anybody {
            fails.extend([problems::CREDENTIAL, problems::STORE]);
        }
        if matches!(who, Who::Readers | Who::Managers | Who::TenantAdmins) {
            fails.push(problems::TENANT);
        }
        Self {
            tag,
            id,
            summary,
            about: "",
            who,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            fails,
        }
    }

    /// Says more.
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Takes a query parameter.
    pub fn query<T: JsonSchema>(mut self, name: &'static str, about: &'static str) -> Self {
        self.parameters.push(Parameter { place: "query", name, about, schema: schema_of::<T> });
        self.fails(&[Code::InvalidRequest])
    }

    /// Takes a header.
    pub fn header<T: JsonSchema>(mut self, name: &'static str, about: &'static str) -> Self {
        self.parameters.push(Parameter { place: "header", name, about, schema: schema_of::<T> });
        self.fails(&[Code::InvalidRequest])
    }

    /// Takes a JSON body.
    pub fn json<T: JsonSchema>(self, example: Value) -> Self {
        self.body(true, "application/json", Some(schema_of::<T>), Some(example))
            .fails(problems::JSON)
    }

    /// Takes a JSON body that may be left out.
    pub fn optional_json<T: JsonSchema>(self, example: Value) -> Self {
        self.body(false, "application/json", Some(schema_of::<T>), Some(example))
            .fails(problems::JSON)
    }

    /// Takes a body; more than once for one of several media types.
    pub fn body(
        mut self,
        required: bool,
        media_type: &'static str,
        schema: Option<SchemaOf>,
        example: Option<Value>,
    ) -> Self {
        let body = self.body.get_or_insert_default();
        body.required = required;
        body.contents.push(Content { media_type, schema, example });
        self.fails(problems::BODY)
    }

    /// Answers JSON.
    pub fn answers<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        self.answers_with(status, about, "application/json", Some(schema_of::<T>))
    }

    /// Answers in some media type; more than once with the same status for one of several.
    pub fn answers_with(
        mut self,
        status: u16,
        about: &'static str,
        media_type: &'static str,
        schema: Option<SchemaOf>,
    ) -> Self {
        let content = Content { media_type, schema, example: None };
        match self.answers.last_mut() {
            Some(answer) if answer.status == status => answer.contents.push(content),
            _ => self.answers.push(Answer {
                status,
                about,
                contents: vec![content],
                headers: Vec::new(),
                links: Vec::new(),
            }),
        }
        self
    }

    /// Answers without a body.
    pub fn answers_nothing(mut self, status: u16, about: &'static str) -> Self {
        let (contents, headers, links) = Default::default();
        self.answers.push(Answer { status, about, contents, headers, links });
        self
    }

    /// Takes queries so long that the URI may be too long for HTTP.
    pub fn with_long_query(self) -> Self {
        self.answers_nothing(414, "The URI has over 65,534 bytes. Such an answer has no body")
    }

    /// The last answer has a header.
    pub fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// Another operation can follow the last answer.
    pub fn then(mut self, operation: &'static str, body: Value) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.links.push(Link { operation, body });
        }
        self
    }

    /// Fails with these as well.
    pub fn fails(mut self, codes: &'static [Code]) -> Self {
        self.fails.push(codes);
        self
    }
}
