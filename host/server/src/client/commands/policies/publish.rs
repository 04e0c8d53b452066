//! `keyward policy publish`: a component and its signatures, into a registry. No server is needed.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueHint};
use serde_json::json;

use super::super::super::connection::Connection;
use super::super::super::failure::Failure;
use super::super::super::show::{Printer, Show};
use super::signing;
use crate::oci::simple_signing::Statement;
use crate::oci::{Credentials, Location, OciError, Signed, Way, default_file};
use crate::policies::ComponentDigest;

/// What is published, where, and whose signatures it has.
#[derive(Args)]
pub struct Publish {
    /// The component (.wasm)
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Where it goes
    #[arg(value_name = "oci://REGISTRY/REPOSITORY:TAG")]
    to: String,
    /// Sign it with this private key (Ed25519, PKCS #8, PEM), as cosign does; may be given again
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    sign: Vec<PathBuf>,
    /// Sign it for this tenant alone
    #[arg(long, value_name = "TENANT", requires = "sign")]
    only_for: Option<String>,
    /// Your credentials for registries, as Docker writes them [default: those of podman or Docker]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    registry_auth: Option<PathBuf>,
    /// Certificates (PEM) to trust the registry by, instead of the system's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    registry_ca: Option<PathBuf>,
    /// Speak to the registry without TLS
    #[arg(long)]
    plain_http: bool,
}

impl Publish {
    /// Pushes the artefact, then its signatures: whoever finds one of those finds what it is of.
    pub async fn run(self, connection: &Connection) -> Result<(), Failure> {
        let failed = |error: OciError| match error {
            OciError::Reference(reason) => Failure::Usage(format!("{}: {reason}", self.to)),
            error @ OciError::Local(_) => Failure::Local(error.to_string()),
            error => Failure::Connection(format!("{}: {error}", error.code())),
        };
        let to: Location = self.to.parse().map_err(failed)?;
        if to.digest().is_some() {
            let text = "a new artefact has a tag, not a digest: its digest is what comes of it";
            return Err(Failure::Usage(text.into()));
        }
        let wasm = std::fs::read(&self.file);
        let wasm = wasm.map_err(|error| Failure::file("read", &self.file, &error))?;
        let component = ComponentDigest::of(&wasm);
        let file = self.registry_auth.clone().or_else(default_file);
        let credentials = file.map_or(Ok(Credentials::none()), |file| Credentials::read(&file));
        let credentials = credentials.map_err(failed)?;
        let way = Way::new("--registry-ca", self.registry_ca.as_deref());
        let way = way.map_err(Failure::Usage)?;
        let registry = way.to(&to, self.plain_http, &credentials, wasm.len()).map_err(failed)?;
        let published = registry.publish(&to, Bytes::from(wasm)).await.map_err(failed)?;
        let repository = format!("{}/{}", to.registry(), to.repository());
        let digest = published.digest().unwrap_or_default().to_owned();
        let statement = Statement::new(repository, digest.clone(), self.only_for.as_deref());
        let statement = statement.to_bytes();
        let mut signed = Vec::new();
        let mut signers = Vec::new();
        for key in &self.sign {
            let signature = signing::sign_bytes(key, &statement)?;
            signers.push(signature.keyid);
            let statement = String::from_utf8_lossy(&statement).into_owned();
            signed.push(Signed { statement, signature: signature.signature });
        }
        if !signed.is_empty() {
            registry.attach(&published, signed).await.map_err(failed)?;
        }
        let answer = json!({
            "artefact": published.to_string(),
            "tag": to.to_string(),
            "digest": component.as_str(),
            "signed_by": signers,
        });
        Printer::new(connection).answer(answer.to_string().as_bytes(), Show::Auto)
    }
}
