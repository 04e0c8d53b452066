//! The way to registries: which ones, by whose certificates, as whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oci_client::Client;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::{Allowed, Credentials, Location, OciError, Registry};

/// How long a connection may take to come about, and an answer to go on.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);
/// A proxy that is not there: no port has this number.
const NOWHERE: &str = "http://127.0.0.1:0";

/// What an operator set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What may be pulled from.
    pub allow: Allowed,
    /// Credentials, as Docker writes them; `None`: nobody's.
    pub auth_file: Option<PathBuf>,
    /// Authorities of registries' certificates (PEM) instead of the system's.
    pub ca_cert: Option<PathBuf>,
}

/// The way to the registries that an operator lists.
pub struct Access {
    settings: Arc<Settings>,
    way: Way,
    /// Largest component, in bytes.
    largest: usize,
}

impl Access {
    /// No network yet. An error names the setting and is for the operator.
    pub fn new(settings: Settings, largest: usize) -> Result<Self, String> {
        let way = Way::new("policy.registry.ca_cert", settings.ca_cert.as_deref())?;
        Ok(Self { settings: Arc::new(settings), way, largest })
    }

    /// The registry of an artefact, if the tenant may have it pulled from there.
    pub async fn open(&self, location: &Location, tenant: &str) -> Result<Registry, OciError> {
        let plain = self.settings.allow.find(location, tenant)?;
        let settings = Arc::clone(&self.settings);
        let read = move || match &settings.auth_file {
            Some(file) => Credentials::read(file),
            None => Ok(Credentials::none()),
        };
        let credentials = tokio::task::spawn_blocking(read).await;
        let credentials = credentials.map_err(|error| OciError::Local(error.to_string()))??;
        self.way.to(location, plain, &credentials, self.largest)
    }
}

/// How registries are spoken to.
pub struct Way {
    /// Authorities of their certificates; none: the system's.
    authorities: Vec<Certificate>,
}

impl Way {
    /// Believes the authorities in this file (PEM), or the system's. `setting` is what named it.
    pub fn new(setting: &str, authorities: Option<&Path>) -> Result<Self, String> {
        let Some(path) = authorities else { return Ok(Self { authorities: Vec::new() }) };
        let shown = path.display();
        let pem = std::fs::read(path)
            .map_err(|error| format!("`{setting}`: cannot read {shown}: {error}"))?;
        let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let found = found.ok().filter(|found| !found.is_empty());
        let found =
            found.ok_or_else(|| format!("`{setting}`: {shown} holds no certificate (PEM)"))?;
        let der = |found: CertificateDer<'_>| Certificate {
            encoding: CertificateEncoding::Der,
            data: found.to_vec(),
        };
        Ok(Self { authorities: found.into_iter().map(der).collect() })
    }

    /// The registry of an artefact; without TLS if it is `plain`. Nothing is asked of it yet.
    ///
    /// A registry may send its client elsewhere, for a token or for bytes, but to nobody who needs no
    /// certificate, which could be anything inside the operator's network: what is not TLS has a proxy
    /// that is not there.
    pub fn to(
        &self,
        location: &Location,
        plain: bool,
        credentials: &Credentials,
        largest: usize,
    ) -> Result<Registry, OciError> {
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            tls_certs_only: self.authorities.clone(),
            http_proxy: (!plain).then(|| NOWHERE.to_owned()),
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("keyward/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let failed = |_| OciError::Local("TLS for registries cannot be set up".into());
        let client = Client::try_from(config).map_err(failed)?;
        Ok(Registry::new(client, location, credentials.of(location.registry()), largest))
    }
}
