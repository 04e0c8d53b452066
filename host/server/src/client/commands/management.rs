//! `keyward tenant|policy|server …`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use super::super::call::{Call, Place};
use super::super::connection::Who;
use super::super::failure::Failure;

/// What can be done with tenants.
#[derive(Subcommand)]
pub enum TenantCommand {
    /// Create a tenant (operators)
    Create {
        /// Its name
        name: String,
    },
    /// List the tenants (operators)
    List,
    /// Show what happens to the tenant's cached keys while the key store is away
    Outage,
    /// Set what happens to the tenant's cached keys while the key store is away
    SetOutage {
        /// fail-closed, serve-stale=1h, or default for the server's default
        contract: String,
    },
}

impl TenantCommand {
    /// The call it makes.
    pub fn call(self) -> Call {
        match self {
            Self::Create { name } => Call::post(&["tenants"])
                .at(Place::Root)
                .who(Who::Operator)
                .field("name", Some(name)),
            Self::List => Call::get(&["tenants"]).at(Place::Root).who(Who::Operator),
            Self::Outage => Call::get(&["outage"]),
            Self::SetOutage { contract } => {
                let contract = Some(contract).filter(|contract| contract != "default");
                Call::new(Method::PUT, &["outage"]).field("outage", Some(Value::from(contract)))
            }
        }
    }
}

/// What can be done with a policy.
#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Admit a component and make it the tenant's policy
    Activate {
        /// The component (.wasm)
        file: PathBuf,
    },
    /// Show the active policy
    Show,
    #[command(flatten)]
    Author(crate::author::Command),
}

impl PolicyCommand {
    /// The call it makes.
    pub fn call(self) -> Result<Call, Failure> {
        Ok(match self {
            Self::Activate { file } => {
                let wasm = std::fs::read(&file);
                let wasm = wasm.map_err(|error| Failure::file("read", &file, &error))?;
                Call::new(Method::PUT, &["policy"]).bytes("application/wasm", wasm)
            }
            Self::Show => Call::get(&["policy"]),
            Self::Author(_) => {
                return Err(Failure::Usage("this command needs no server".into()));
            }
        })
    }
}

/// What can be done with a server. All of it is for operators.
#[derive(Subcommand)]
pub enum ServerCommand {
    /// Where the keys are, and how that is
    Status,
    /// How the key store is; fails while it is sealed or away
    Health,
    /// Figures of the key store and the cache
    Metrics,
    /// Forget every cached key and token
    ClearCache,
    /// Renew the server's token of Vault's
    RenewToken,
}

impl ServerCommand {
    /// The call it makes.
    pub fn call(self) -> Call {
        let call = match self {
            Self::Status => Call::get(&["vault", "status"]),
            Self::Health => Call::get(&["vault", "health"]),
            Self::Metrics => Call::get(&["vault", "metrics"]),
            Self::ClearCache => Call::post(&["vault", "cache", "clear"]),
            Self::RenewToken => Call::post(&["vault", "token", "renew"]),
        };
        call.at(Place::Root).who(Who::Operator)
    }
}
