//! TLS from PEM files, which may be replaced while the server runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{ClientAuth, TlsFiles};

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be used.
    #[error("`{setting}`: {} cannot be used: {reason}", path.display())]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("`tls.cert` and `tls.key` cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// What connections are accepted with.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// End of the certificate in use, in seconds since 1970.
    expires: AtomicU64,
    /// The files as they were when last looked at.
    seen: Mutex<Vec<Option<Stamp>>>,
    reloaded: AtomicU64,
    failed: AtomicU64,
}

/// Tells a file from what it was: a replaced one may be as old and as long.
type Stamp = (SystemTime, u64, u64);

/// How it is with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// End of the certificate in use, in seconds since 1970.
    pub expires: u64,
    /// How often new files were taken.
    pub reloaded: u64,
    /// How often new files could not be used.
    pub failed: u64,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = stamps(&files);
        let (config, expires) = read(&files)?;
        Ok(Self {
            files,
            config: ArcSwap::from_pointee(config),
            expires: AtomicU64::new(expires),
            seen: Mutex::new(seen),
            reloaded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Accepts a connection with what is in use now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Takes the files as they are now. What cannot be used leaves everything as it was.
    pub fn reload(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamps(&self.files);
        match read(&self.files) {
            Ok((config, expires)) => {
                self.config.store(Arc::new(config));
                self.expires.store(expires, Ordering::Relaxed);
                self.reloaded.fetch_add(1, Ordering::Relaxed);
                tracing::info!("TLS: new certificate, key and authorities are in use");
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "TLS: the new files cannot be used; the old ones stay");
            }
        }
    }

    /// The same, if one of them is another than when last looked at.
    pub fn reload_if_changed(&self) {
        let now = stamps(&self.files);
        // A file that is missing is about to be replaced.
        let is_new = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != now;
        if is_new && now.iter().all(Option::is_some) {
            self.reload();
        }
    }

    /// Looks for new files each `period`, without an end.
    pub async fn follow(&self, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            self.reload_if_changed();
        }
    }

    /// How it is with them.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            expires: self.expires.load(Ordering::Relaxed),
            reloaded: self.reloaded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

fn stamps(files: &TlsFiles) -> Vec<Option<Stamp>> {
    use std::os::unix::fs::MetadataExt;
    let all = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len(), about.ino()))
    };
    all.into_iter().flatten().map(stamp).collect()
}

/// Reads certificate chain, key and authorities; offers HTTP/1.1. Beside it the certificate's end, in
/// seconds since 1970.
fn read(files: &TlsFiles) -> Result<(ServerConfig, u64), TlsError> {
    let chain = certificates("tls.cert", &files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable("tls.key", &files.key, &error))?;
    let expires = chain.first().and_then(|leaf| {
        let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
        u64::try_from(leaf.validity().not_after.timestamp()).ok()
    });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = if files.only_tls13 {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let builder = match client_verifier(files, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, expires.unwrap_or_default()))
}

fn client_verifier(
    files: &TlsFiles,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let (Some(path), true) = (&files.client_ca, files.client_auth != ClientAuth::Off) else {
        return Ok(None);
    };
    let failed = |reason: &dyn std::fmt::Display| unusable("tls.client_ca", path, reason);
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.client_ca", path)? {
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if files.client_auth == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    Ok(Some(builder.build().map_err(|error| failed(&error))?))
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(setting, path, &error))?;
    if found.is_empty() {
        return Err(unusable(setting, path, &"it has no certificate"));
    }
    Ok(found)
}

fn unusable(setting: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { setting, path: path.to_owned(), reason: reason.to_string() }
}
