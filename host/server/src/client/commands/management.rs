//! `keyward tenant|server …`

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use super::super::call::{Call, Place};
use super::super::connection::Who;

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
