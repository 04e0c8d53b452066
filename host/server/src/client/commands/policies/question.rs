//! What a policy is asked, beside the operation: of the commands that ask and do nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::client::failure::Failure;

/// Its options.
#[derive(Args)]
#[group(skip)]
pub struct Question {
    /// The key that would be asked for
    #[arg(long)]
    key: Option<String>,
    /// The context that would be sent
    #[arg(long, value_name = "TEXT")]
    context: Option<String>,
    /// The purpose that would be given
    #[arg(long)]
    purpose: Option<String>,
    /// Who would ask; else you
    #[arg(long)]
    subject: Option<String>,
    /// A role of who would ask; may be given again
    #[arg(long, value_name = "ROLE", requires = "subject")]
    role: Vec<String>,
    /// A statement about who would ask; may be given again
    #[arg(long, value_name = "NAME=VALUE", requires = "subject")]
    claim: Vec<String>,
}

impl Question {
    /// As fields of JSON; what was not given is not among them.
    pub fn fields(&self) -> Result<Map<String, Value>, Failure> {
        let context = self.context.as_ref().map(|text| STANDARD.encode(text));
        let caller = self.subject.as_ref().map(|subject| self.asking(subject)).transpose()?;
        let given = [
            ("key", self.key.clone().map(Value::from)),
            ("context", context.map(Value::from)),
            ("purpose", self.purpose.clone().map(Value::from)),
            ("caller", caller),
        ];
        Ok(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }

    fn asking(&self, subject: &str) -> Result<Value, Failure> {
        let claims = self.claim.iter().map(|given| {
            let (name, value) = given
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("{given:?} is not NAME=VALUE")))?;
            Ok((name.to_owned(), value.into()))
        });
        let claims = claims.collect::<Result<Map<String, Value>, Failure>>()?;
        Ok(json!({ "subject": subject, "roles": self.role, "claims": claims }))
    }
}
