//! `keyward tenant|server …`

use clap::{Args, Subcommand};
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
    /// Show what the tenant may, and what it uses
    Quotas,
    /// Set what the tenant may (operators). Replaces all of it: what is left out is as the server's
    /// settings say
    SetQuotas(Box<SetQuotas>),
    /// Let the tenant have what all have (operators)
    RemoveQuotas,
}

/// Quotas as options.
#[derive(Args)]
pub struct SetQuotas {
    /// A key that the tenant's policies may use; * is any text; may be given again
    #[arg(long, value_name = "PATTERN")]
    key: Vec<String>,
    /// Its policies may use no key
    #[arg(long, conflicts_with = "key")]
    no_keys: bool,
    /// Requests: a rate such as 100/s, 600/m or "100/s burst 200", or off
    #[arg(long, value_name = "RATE")]
    requests: Option<String>,
    /// Items of batches
    #[arg(long, value_name = "RATE")]
    items: Option<String>,
    /// Requests of one kind, such as invoke=10/s; may be given again
    #[arg(long, value_name = "KIND=RATE", value_parser = pair)]
    operation: Vec<(String, String)>,
    /// Requests under way at once
    #[arg(long, value_name = "COUNT")]
    in_flight: Option<u32>,
    /// How many other tenants it is worth when several want more than there is
    #[arg(long, value_name = "COUNT")]
    weight: Option<u32>,
    /// Policy instances at once
    #[arg(long, value_name = "COUNT")]
    instances: Option<u32>,
    /// Host calls of one policy run
    #[arg(long, value_name = "COUNT")]
    host_calls: Option<u32>,
    /// Bytes that one host call passes
    #[arg(long, value_name = "BYTES")]
    host_call_bytes: Option<u32>,
    /// Memory of one policy run
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u32>,
    /// CPU time of all policy runs in each second
    #[arg(long, value_name = "MILLISECONDS")]
    cpu_ms_per_second: Option<u32>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (kind, rate) = text.split_once('=').ok_or("must be KIND=RATE, such as invoke=10/s")?;
    Ok((kind.to_owned(), rate.to_owned()))
}

impl SetQuotas {
    fn call(self) -> Call {
        let keys = (!self.key.is_empty() || self.no_keys).then_some(self.key);
        let operations = (!self.operation.is_empty()).then(|| {
            let all = self.operation.into_iter().map(|(kind, rate)| (kind, Value::from(rate)));
            Value::Object(all.collect())
        });
        Call::new(Method::PUT, &["quotas"])
            .who(Who::Operator)
            .object()
            .field("keys", keys)
            .field("requests", self.requests)
            .field("items", self.items)
            .field("operations", operations)
            .field("in_flight", self.in_flight)
            .field("weight", self.weight)
            .field("instances", self.instances)
            .field("host_calls", self.host_calls)
            .field("host_call_bytes", self.host_call_bytes)
            .field("memory_bytes", self.memory_bytes)
            .field("cpu_ms_per_second", self.cpu_ms_per_second)
    }
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
            Self::Quotas => Call::get(&["quotas"]),
            Self::SetQuotas(quotas) => quotas.call(),
            Self::RemoveQuotas => Call::new(Method::DELETE, &["quotas"]).who(Who::Operator),
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
    /// Show what the server logs, or have it log more or less
    LogLevel(LogLevel),
}

/// What is to be logged.
#[derive(Args)]
pub struct LogLevel {
    /// A level (off, error, warn, info, debug, trace) or directives such as info,keyward=debug; none
    /// shows what is in force
    level: Option<String>,
    /// For how long, such as 10m; then the configured level is in force again
    #[arg(long = "for", value_name = "DURATION", requires = "level")]
    time: Option<String>,
    /// Log what the server's configuration says
    #[arg(long, conflicts_with_all = ["level", "time"])]
    reset: bool,
}

impl LogLevel {
    fn call(self) -> Call {
        let Self { level, time, reset } = self;
        let method = match (&level, reset) {
            (Some(_), _) => Method::PUT,
            (None, true) => Method::DELETE,
            (None, false) => Method::GET,
        };
        let call = Call::new(method, &["log"]);
        if level.is_some() { call.field("level", level).field("for", time) } else { call }
    }
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
            Self::LogLevel(level) => level.call(),
        };
        call.at(Place::Root).who(Who::Operator)
    }
}
