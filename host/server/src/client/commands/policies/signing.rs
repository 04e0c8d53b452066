//! Keys that policies are signed with, and signatures. No server is needed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::{Algorithm, KeyId, KeyMaterial, KeyVersion, SignatureForm};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::super::super::failure::Failure;
use super::super::super::show::Printer;
use crate::policies::ComponentDigest;
use crate::policies::signature::{self, Signature};

/// Signs a component for a tenant.
pub fn sign(path: &Path, tenant: &str, wasm: &[u8]) -> Result<Signature, Failure> {
    let digest = ComponentDigest::of(wasm);
    sign_bytes(path, &signature::statement(tenant, digest.as_str(), wasm.len()))
}

/// Signs these bytes.
pub fn sign_bytes(path: &Path, bytes: &[u8]) -> Result<Signature, Failure> {
    let pem = std::fs::read(path).map(Zeroizing::new);
    let pem = pem.map_err(|error| Failure::file("read", path, &error))?;
    let none = || {
        let path = path.display();
        Failure::Usage(format!(
            "{path} holds no Ed25519 private key (PKCS #8, PEM); `keyward policy keygen` makes one"
        ))
    };
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| none())?;
    let material = KeyMaterial::import(Algorithm::Ed25519, der.secret_pkcs8_der());
    let key = expand(&material.map_err(|_| none())?)?;
    let failed = |error| Failure::local("cannot sign", &error);
    let bytes = key.sign(bytes, SignatureForm::Standard).map_err(failed)?;
    let public_key = key.public_key().map_err(failed)?;
    Ok(Signature::new(signature::key_id(&public_key), &bytes))
}

/// Makes a key, writes both halves, and says what to call it.
pub fn keygen(path: &Path, public: Option<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::local("cannot make a key", &error);
    let material = KeyMaterial::generate(Algorithm::Ed25519).map_err(failed)?;
    let public_key = expand(&material)?.public_key().map_err(failed)?;
    let der = material.pkcs8(Algorithm::Ed25519).unwrap_or_default();
    let text = Zeroizing::new(STANDARD.encode(&*der));
    let parts = ["-----BEGIN PRIVATE KEY-----\n", &text, "\n-----END PRIVATE KEY-----\n"];
    write_new(path, 0o600, &parts)?;
    let public = public.unwrap_or_else(|| {
        let mut name = path.as_os_str().to_owned();
        name.push(".pub");
        name.into()
    });
    write_new(&public, 0o644, &[&public_key.pem()])?;
    Printer::text(&format!(
        "keyid        {}\nprivate key  {}\npublic key   {}\n",
        signature::key_id(&public_key),
        path.display(),
        public.display()
    ))
}

fn expand(material: &KeyMaterial) -> Result<KeyVersion, Failure> {
    let key = KeyVersion::new(Algorithm::Ed25519, KeyId(0), 1, material);
    key.map_err(|error| Failure::local("cannot use the key", &error))
}

/// Writes a file that is not there yet: a key that somebody relies on is not replaced.
fn write_new(path: &Path, mode: u32, parts: &[&str]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    let write = |mut file: std::fs::File| {
        parts.iter().try_for_each(|part| file.write_all(part.as_bytes()))?;
        file.sync_all()
    };
    file.and_then(write).map_err(|error| Failure::file("write", path, &error))
}
