//! `keyward token …`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};

use super::super::call::{Call, Place};
use super::super::connection::Who;
use super::super::failure::Failure;
use super::keys::pairs;

/// What can be done with tokens.
#[derive(Subcommand)]
pub enum Command {
    /// Make a token; it is shown this once
    Create {
        /// Whom it speaks for
        #[arg(long)]
        subject: String,
        /// A role, such as application or tenant-admin; may be given again
        #[arg(long, conflicts_with = "operators")]
        role: Vec<String>,
        /// For the policy; may be given again
        #[arg(long, value_name = "NAME=VALUE", conflicts_with = "operators")]
        claim: Vec<String>,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        end: End,
        /// Limit it to operations, such as encrypt or key.*; may be given again
        #[arg(long, value_name = "PATTERN")]
        only_operation: Vec<String>,
        /// Limit it to keys, such as orders-*; may be given again
        #[arg(long, value_name = "PATTERN")]
        only_key: Vec<String>,
        /// Limit an operator's token to tenants; may be given again
        #[arg(long, value_name = "PATTERN", requires = "operators")]
        only_tenant: Vec<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// List tokens, those that ended within 30 days included
    List {
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// Go on after this one, which the page before names
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Show what a token stands for, and when it was last used
    Show {
        /// Its identifier
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// End a token at once, for good
    Revoke {
        /// Its identifier
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Put a new token in the place of another; it is shown this once
    Rotate {
        /// The identifier of the old one
        id: String,
        /// How long the old one stays valid, such as 1h [default: it ends at once]
        #[arg(long, value_name = "DURATION")]
        overlap: Option<String>,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose tokens.
#[derive(Args)]
pub struct Whose {
    /// Of operators, not of the tenant
    #[arg(long)]
    operators: bool,
}

impl Whose {
    fn place(&self, call: Call) -> Call {
        if self.operators { call.at(Place::Root).who(Who::Operator) } else { call }
    }
}

/// When a token ends.
#[derive(Args)]
pub struct End {
    /// How long it is valid, such as 12h or 90d [default: it does not end by itself]
    #[arg(long, value_name = "DURATION", conflicts_with = "expires_at")]
    ttl: Option<String>,
    /// When it ends, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

impl End {
    fn of(self, call: Call) -> Call {
        call.field("ttl", self.ttl).field("expires_at", self.expires_at)
    }
}

impl Command {
    /// The call it makes.
    pub fn call(self) -> Result<Call, Failure> {
        Ok(match self {
            Self::Create {
                subject,
                role,
                claim,
                name,
                description,
                end,
                only_operation,
                only_key,
                only_tenant,
                whose,
            } => {
                let is_tenants = !whose.operators;
                let call = Call::post(&["tokens"])
                    .field("subject", Some(subject))
                    .field("roles", is_tenants.then_some(role))
                    .field("claims", pairs(&claim)?)
                    .field("name", name)
                    .field("description", description)
                    .field("scope", scope(only_operation, only_key, only_tenant));
                whose.place(end.of(call))
            }
            Self::List { limit, after, whose } => {
                whose.place(Call::get(&["tokens"]).query("limit", limit).query("after", after))
            }
            Self::Show { id, whose } => whose.place(Call::get(&["tokens", &id])),
            Self::Revoke { id, whose } => whose.place(Call::new(Method::DELETE, &["tokens", &id])),
            Self::Rotate { id, overlap, end, whose } => {
                let call = Call::post(&["tokens", &id, "rotate"]).object();
                whose.place(end.of(call.field("overlap", overlap)))
            }
        })
    }
}

/// What is limited; none: nothing.
fn scope(operations: Vec<String>, keys: Vec<String>, tenants: Vec<String>) -> Option<Value> {
    let mut scope = Map::new();
    for (name, patterns) in [("operations", operations), ("keys", keys), ("tenants", tenants)] {
        if !patterns.is_empty() {
            scope.insert(name.to_owned(), patterns.into());
        }
    }
    (!scope.is_empty()).then_some(Value::Object(scope))
}
