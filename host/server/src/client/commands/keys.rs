//! `keyward key …`

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};

use super::super::call::{Call, Place};
use super::super::connection::Who;
use super::super::failure::Failure;
use super::super::files::InputArgs;
use super::super::show::Show;

/// Why something is done.
#[derive(Args)]
pub struct Why {
    /// Kept in the key's history, for everybody who may see the key
    #[arg(long)]
    reason: Option<String>,
}

/// What can be done with keys.
#[derive(Subcommand)]
pub enum Command {
    /// Create a key
    Create {
        /// Its name
        name: String,
        /// What it is for, such as xaes-256-gcm (the default), ed25519, hmac-sha-256
        #[arg(long)]
        algorithm: Option<String>,
        /// For the policy; may be given again
        #[arg(long, value_name = "NAME=VALUE")]
        attribute: Vec<String>,
        /// Its material may be exported
        #[arg(long)]
        exportable: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Print the public key of a version (PEM)
    Public {
        /// The key
        name: String,
        /// The version [default: the current one]
        #[arg(long, value_name = "VERSION")]
        version: Option<u32>,
    },
    /// Create a key, or a version, of material that is wrapped to a key of the tenant
    Import {
        /// Its name
        name: String,
        /// What the material is of
        #[arg(long, required_unless_present = "new_version")]
        algorithm: Option<String>,
        /// The key that the material is wrapped to
        #[arg(long, value_name = "KEY")]
        wrapping_key: String,
        /// That key's version [default: the current one]
        #[arg(long, value_name = "VERSION")]
        wrapping_key_version: Option<u32>,
        /// Add a version to a key that was imported
        #[arg(long, conflicts_with_all = ["algorithm", "attribute", "exportable"])]
        new_version: bool,
        /// For the policy; may be given again
        #[arg(long, value_name = "NAME=VALUE")]
        attribute: Vec<String>,
        /// Its material may be exported
        #[arg(long)]
        exportable: bool,
        #[command(flatten)]
        input: InputArgs,
        #[command(flatten)]
        why: Why,
    },
    /// Print the material of a version, wrapped to a public key, in base64
    Export {
        /// The key
        name: String,
        /// The version [default: the current one]
        #[arg(long, value_name = "VERSION")]
        version: Option<u32>,
        /// A file with a public key (PEM)
        #[arg(long, value_name = "FILE", required_unless_present = "wrapping_key")]
        recipient: Option<PathBuf>,
        /// A key of the tenant instead
        #[arg(long, value_name = "KEY", conflicts_with = "recipient")]
        wrapping_key: Option<String>,
        #[command(flatten)]
        why: Why,
    },
    /// List the keys
    List {
        /// Those that are deleted
        #[arg(long)]
        deleted: bool,
        /// Those whose names begin so
        #[arg(long)]
        prefix: Option<String>,
        /// At most so many
        #[arg(long, value_name = "NUMBER")]
        limit: Option<u32>,
        /// Those after this name; `next` of the page before
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
    },
    /// Show a key
    Show {
        /// Its name
        name: String,
    },
    /// Make a new version, which is used from now on
    Rotate {
        /// The key
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Let a disabled key be used again
    Enable {
        /// The key
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Let a key neither encrypt nor decrypt
    Disable {
        /// The key
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Delete a key; it can be restored for a while
    Delete {
        /// The key
        name: String,
        /// For how long it can be restored [default: 7 days]
        #[arg(long, value_name = "SECONDS")]
        window: Option<u64>,
        #[command(flatten)]
        why: Why,
    },
    /// Restore a deleted key
    Restore {
        /// The key
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Destroy a key for good: what is encrypted with it is lost
    Destroy {
        /// The key
        name: String,
        /// Its name once more
        #[arg(long, value_name = "NAME")]
        confirm: String,
        #[command(flatten)]
        why: Why,
    },
    /// Set a key's bounds, labels, owner or description
    Set {
        /// The key
        name: String,
        /// The oldest version that decrypts
        #[arg(long, value_name = "VERSION")]
        min_decrypt: Option<u32>,
        /// The oldest version that encrypts
        #[arg(long, value_name = "VERSION")]
        min_encrypt: Option<u32>,
        /// Its material is never exported again
        #[arg(long)]
        not_exportable: bool,
        /// May be given again
        #[arg(long, value_name = "NAME=VALUE")]
        label: Vec<String>,
        /// May be given again
        #[arg(long, value_name = "NAME")]
        remove_label: Vec<String>,
        /// Whose key it is; empty for nobody's
        #[arg(long)]
        owner: Option<String>,
        /// What it is for; empty for none
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Destroy the material of all versions below one for good
    Trim {
        /// The key
        name: String,
        /// The lowest version that stays; at most the key's min_decrypt_version
        #[arg(long, value_name = "VERSION")]
        below: u32,
        /// Only if none of them was needed for a while
        #[arg(long)]
        safe: bool,
        /// How long a while is
        #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "safe",
              value_parser = clap::value_parser!(u64).range(1..=3650))]
        unused_days: u64,
        #[command(flatten)]
        why: Why,
    },
    /// Show what was done to a key, by whom and why
    History {
        /// The key
        name: String,
    },
    /// List the receipts of what was destroyed, also of keys of this name that are gone
    Receipts {
        /// The key
        name: String,
        /// At most so many
        #[arg(long, value_name = "NUMBER")]
        limit: Option<u32>,
        /// Those after this one; `next` of the page before
        #[arg(long, value_name = "NEXT")]
        after: Option<String>,
    },
    /// Show how much each version was used, and when it last was
    Usage {
        /// The key
        name: String,
    },
    /// Set when a key is rotated by itself
    Rotation {
        /// The key
        name: String,
        /// How old its newest version becomes, such as 30d
        #[arg(long, value_name = "DURATION")]
        every: Option<String>,
        /// How many messages one version seals
        #[arg(long, value_name = "NUMBER")]
        max_messages: Option<u64>,
        /// How many bytes one version seals
        #[arg(long, value_name = "NUMBER")]
        max_bytes: Option<u64>,
        /// It is rotated by call only
        #[arg(long, conflicts_with_all = ["every", "max_messages", "max_bytes"])]
        never: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Use an older version from now on (operators)
    Rollback {
        /// The key
        name: String,
        /// The version
        #[arg(long, value_name = "VERSION")]
        to: u32,
    },
    /// Destroy the material of a version for good (operators)
    DestroyVersion {
        /// The key
        name: String,
        /// The version
        version: u32,
    },
}

impl Command {
    /// The call it makes.
    pub fn call(self) -> Result<Call, Failure> {
        let key = |name: &str, verb: &str| Call::post(&["keys", name, verb]);
        let managed = |method, path: &[&str]| {
            let path = [&["vault", "keys"], path].concat();
            Call::new(method, &path).at(Place::TenantInQuery).who(Who::Operator)
        };
        Ok(match self {
            Self::Public { name, version } => Call::get(&["keys", &name, "public"])
                .query("version", version)
                .show(Show::Bare("public_key")),
            Self::Import {
                name,
                algorithm,
                wrapping_key,
                wrapping_key_version,
                new_version,
                attribute,
                exportable,
                input,
                why,
            } => key(&name, if new_version { "import-version" } else { "import" })
                .field("algorithm", algorithm)
                .field("wrapping_key", Some(wrapping_key))
                .field("wrapping_key_version", wrapping_key_version)
                .field("wrapped_key", Some(STANDARD.encode(input.value()?)))
                .field("attributes", pairs(&attribute)?)
                .field("exportable", exportable.then_some(true))
                .field("reason", why.reason),
            Self::Export { name, version, recipient, wrapping_key, why } => {
                let read = |path: PathBuf| {
                    let text = std::fs::read_to_string(&path);
                    text.map_err(|error| Failure::file("read", &path, &error))
                };
                let recipient = recipient.map(read).transpose()?.or(wrapping_key);
                key(&name, "export")
                    .field("version", version)
                    .field("recipient", recipient)
                    .field("reason", why.reason)
                    .show(Show::Field("wrapped_key"))
            }
            Self::Create { name, algorithm, attribute, exportable, why } => Call::post(&["keys"])
                .field("name", Some(name))
                .field("algorithm", algorithm)
                .field("attributes", pairs(&attribute)?)
                .field("exportable", exportable.then_some(true))
                .field("reason", why.reason),
            Self::List { deleted, prefix, limit, after } => page(&["keys"], limit, after)
                .query("state", deleted.then_some("deleted"))
                .query("prefix", prefix),
            Self::Show { name } => Call::get(&["keys", &name]),
            Self::Rotate { name, why } => key(&name, "rotate").field("reason", why.reason),
            Self::Enable { name, why } => key(&name, "enable").field("reason", why.reason),
            Self::Disable { name, why } => key(&name, "disable").field("reason", why.reason),
            Self::Delete { name, window, why } => Call::new(Method::DELETE, &["keys", &name])
                .query("window_seconds", window)
                .field("reason", why.reason),
            Self::Restore { name, why } => key(&name, "restore").field("reason", why.reason),
            Self::Destroy { name, confirm, why } => {
                key(&name, "destroy").field("confirm", Some(confirm)).field("reason", why.reason)
            }
            Self::Set {
                name,
                min_decrypt,
                min_encrypt,
                not_exportable,
                label,
                remove_label,
                owner,
                description,
                why,
            } => Call::new(Method::PATCH, &["keys", &name])
                .field("min_decrypt_version", min_decrypt)
                .field("min_encrypt_version", min_encrypt)
                .field("exportable", not_exportable.then_some(false))
                .field("labels", labels(&label, &remove_label)?)
                .field("owner", owner.map(or_null))
                .field("description", description.map(or_null))
                .field("reason", why.reason),
            Self::Trim { name, below, safe, unused_days, why } => key(&name, "trim")
                .field("min_available_version", Some(below))
                .field("unused_seconds", safe.then_some(unused_days * 86_400))
                .field("reason", why.reason),
            Self::History { name } => Call::get(&["keys", &name, "history"]),
            Self::Receipts { name, limit, after } => receipts(&name, limit, after),
            Self::Usage { name } => Call::get(&["keys", &name, "usage"]),
            Self::Rotation { name, every, max_messages, max_bytes, never, why } => {
                let method = if never { Method::DELETE } else { Method::PUT };
                Call::new(method, &["keys", &name, "rotation"])
                    .field("every", every)
                    .field("max_messages", max_messages)
                    .field("max_bytes", max_bytes)
                    .field("reason", why.reason)
            }
            Self::Rollback { name, to } => {
                managed(Method::POST, &[&name, "rollback"]).field("target_version", Some(to))
            }
            Self::DestroyVersion { name, version } => {
                managed(Method::DELETE, &[&name, "versions", &version.to_string()])
            }
        })
    }
}

/// One page of a list.
fn page(path: &[&str], limit: Option<u32>, after: Option<String>) -> Call {
    Call::get(path).query("limit", limit).query("after", after)
}

/// One page of what there is of a name's receipts.
fn receipts(name: &str, limit: Option<u32>, after: Option<String>) -> Call {
    page(&["keys", name, "receipts"], limit, after)
}

/// An empty text takes away what is set.
fn or_null(text: String) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// A merge patch of labels; `None` for no change.
fn labels(set: &[String], remove: &[String]) -> Result<Option<Map<String, Value>>, Failure> {
    let mut labels = pairs(set)?.unwrap_or_default();
    labels.extend(remove.iter().map(|name| (name.clone(), Value::Null)));
    Ok((!labels.is_empty()).then_some(labels))
}

/// `NAME=VALUE` each; `None` for none.
pub fn pairs(given: &[String]) -> Result<Option<Map<String, Value>>, Failure> {
    let mut map = Map::new();
    for pair in given {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Failure::Usage(format!("{pair:?} is not NAME=VALUE")));
        };
        map.insert(name.to_owned(), value.into());
    }
    Ok((!map.is_empty()).then_some(map))
}
