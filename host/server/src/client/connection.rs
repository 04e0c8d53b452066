//! Where the server is, who speaks to it and about which tenant.

use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::failure::Failure;

/// Options of every command of the client.
#[derive(Args, Clone)]
#[group(skip)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The server's URL
    #[arg(
        long,
        global = true,
        env = "KEYWARD_ADDR",
        value_name = "URL",
        default_value = "http://127.0.0.1:8480"
    )]
    addr: String,
    /// The tenant [env: KEYWARD_TENANT]
    #[arg(long, global = true, value_name = "NAME")]
    tenant: Option<String>,
    /// A file with the token to use, instead of `KEYWARD_TOKEN` and `KEYWARD_OPERATOR_TOKEN`
    #[arg(long, global = true, env = "KEYWARD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's
    #[arg(long, global = true, env = "KEYWARD_CA_CERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Print the API's answer as it is
    #[arg(long, global = true)]
    json: bool,
}

/// Whose token a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// An application's: `KEYWARD_TOKEN`.
    Application,
    /// An operator's or a tenant-admin's: `KEYWARD_OPERATOR_TOKEN`, else `KEYWARD_TOKEN`.
    Manager,
    /// An operator's: `KEYWARD_OPERATOR_TOKEN`.
    Operator,
}

const TOKEN: &str = "KEYWARD_TOKEN";
const OPERATOR_TOKEN: &str = "KEYWARD_OPERATOR_TOKEN";

impl Connection {
    /// The server's URL as it was given.
    pub fn addr(&self) -> &str {
        self.addr.trim_end_matches('/')
    }

    /// Certificates to trust, if not the system's.
    pub fn ca_cert(&self) -> Option<&Path> {
        self.ca_cert.as_deref()
    }

    /// Whether to print answers as they are.
    pub fn json(&self) -> bool {
        self.json
    }

    /// The tenant of the option, whatever the environment says: where none means all of them.
    pub fn given_tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The tenant that was named, if any was.
    pub fn named_tenant(&self) -> Option<String> {
        let given = self.tenant.clone().or_else(|| std::env::var("KEYWARD_TENANT").ok());
        given.filter(|name| !name.is_empty())
    }

    /// The tenant.
    pub fn tenant(&self) -> Result<String, Failure> {
        let missing = "which tenant? Set KEYWARD_TENANT or give --tenant NAME";
        self.named_tenant().ok_or_else(|| Failure::Usage(missing.into()))
    }

    /// The token to present.
    pub fn token(&self, who: Who) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path).map(Zeroizing::new);
            let text = text.map_err(|error| Failure::file("read", path, &error))?;
            return Ok(Zeroizing::new(text.trim().to_owned()));
        }
        let names: &[&str] = match who {
            Who::Application => &[TOKEN],
            Who::Manager => &[OPERATOR_TOKEN, TOKEN],
            Who::Operator => &[OPERATOR_TOKEN],
        };
        let mut found = names.iter().filter_map(|name| std::env::var(name).ok());
        let found = found.find(|token| !token.trim().is_empty()).map(Zeroizing::new);
        let token = found.ok_or_else(|| {
            let names = names.join(" or ");
            Failure::Usage(format!("no token: set {names}, or give --token-file FILE"))
        })?;
        Ok(Zeroizing::new(token.trim().to_owned()))
    }
}
