//! `keyward key …`

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value};

use super::super::call::{Call, Place};
use super::super::connection::Who;
use super::super::failure::Failure;

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
    },
    /// List the keys
    List {
        /// Those that are deleted
        #[arg(long)]
        deleted: bool,
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
    },
    /// Let a disabled key be used again
    Enable {
        /// The key
        name: String,
    },
    /// Let a key neither encrypt nor decrypt
    Disable {
        /// The key
        name: String,
    },
    /// Delete a key; it can be restored for a while
    Delete {
        /// The key
        name: String,
        /// For how long it can be restored [default: 7 days]
        #[arg(long, value_name = "SECONDS")]
        window: Option<u64>,
    },
    /// Restore a deleted key
    Restore {
        /// The key
        name: String,
    },
    /// Destroy a key for good: what is encrypted with it is lost
    Destroy {
        /// The key
        name: String,
        /// Its name once more
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Show the versions of a key (operators)
    History {
        /// The key
        name: String,
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
            Self::Create { name, algorithm, attribute } => Call::post(&["keys"])
                .field("name", Some(name))
                .field("algorithm", algorithm)
                .field("attributes", pairs(&attribute)?),
            Self::List { deleted } => {
                Call::get(&["keys"]).query("state", deleted.then_some("deleted"))
            }
            Self::Show { name } => Call::get(&["keys", &name]),
            Self::Rotate { name } => key(&name, "rotate"),
            Self::Enable { name } => key(&name, "enable"),
            Self::Disable { name } => key(&name, "disable"),
            Self::Delete { name, window } => {
                Call::new(Method::DELETE, &["keys", &name]).query("window_seconds", window)
            }
            Self::Restore { name } => key(&name, "restore"),
            Self::Destroy { name, confirm } => {
                key(&name, "destroy").field("confirm", Some(confirm))
            }
            Self::History { name } => managed(Method::GET, &[&name, "history"]),
            Self::Rollback { name, to } => {
                managed(Method::POST, &[&name, "rollback"]).field("target_version", Some(to))
            }
            Self::DestroyVersion { name, version } => {
                managed(Method::DELETE, &[&name, "versions", &version.to_string()])
            }
        })
    }
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
