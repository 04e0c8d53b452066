//! HTTP to others: to those the operator named, and to nobody they might name.

use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

/// A client for the address in `setting`, which may take `timeout` to answer. Certificates are checked
/// against the authorities in a PEM file, which the second setting names, or the system's. Redirections
/// are not followed. An error names the setting and is for the operator.
pub fn client(
    setting: &str,
    timeout: Duration,
    authorities: Option<(&str, &Path)>,
) -> Result<Client, String> {
    let builder = builder(authorities)?.timeout(timeout);
    builder.build().map_err(|error| format!("`{setting}`: cannot set up TLS: {error}"))
}

/// The same, for who has more to say of it.
pub fn builder(authorities: Option<(&str, &Path)>) -> Result<ClientBuilder, String> {
    let builder = Client::builder()
        .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .tls_backend_rustls();
    let Some((authorities, path)) = authorities else { return Ok(builder) };
    let shown = path.display();
    let pem = std::fs::read(path)
        .map_err(|error| format!("`{authorities}`: cannot read {shown}: {error}"))?;
    let found = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
    let found =
        found.ok_or_else(|| format!("`{authorities}`: {shown} holds no certificate (PEM)"))?;
    Ok(builder.tls_certs_only(found))
}
