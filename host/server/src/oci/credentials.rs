//! Who we are to a registry: the file that Docker and its kin keep.
//!
//! Only what stands in the file is used. Programs that it may name to ask for credentials
//! (`credHelpers`, `credsStore`) are not run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::OciError;

/// A file larger than this is none.
const MAX_FILE: u64 = 1 << 20;

/// What a file says. Neither shown nor compared: it is secret.
pub struct Credentials(HashMap<String, Entry>);

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Default, Deserialize)]
struct Entry {
    /// Base64 of a user, a colon and a password.
    #[serde(default, deserialize_with = "secret")]
    auth: Zeroizing<String>,
    #[serde(default)]
    username: String,
    #[serde(default, deserialize_with = "secret")]
    password: Zeroizing<String>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

impl Credentials {
    /// None at all.
    pub fn none() -> Self {
        Self(HashMap::new())
    }

    /// Reads a file: anew each time, for others replace it.
    pub fn read(path: &Path) -> Result<Self, OciError> {
        let shown = path.display();
        let failed = |error: &dyn std::fmt::Display| {
            OciError::Local(format!("cannot read the registries' credentials, {shown}: {error}"))
        };
        let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
        if size > MAX_FILE {
            return Err(failed(&"it is larger than such a file is"));
        }
        let text = std::fs::read(path).map(Zeroizing::new).map_err(|error| failed(&error))?;
        // What serde says of a place in it could show what is there.
        let file: File = serde_json::from_slice(&text)
            .map_err(|_| failed(&"it is not JSON of the form {\"auths\": …}"))?;
        Ok(Self(file.auths.into_iter().map(|(name, entry)| (host(&name), entry)).collect()))
    }

    /// Who we are to this registry; nobody, unless the file says.
    pub fn of(&self, registry: &str) -> RegistryAuth {
        let Some(entry) = self.0.get(registry) else { return RegistryAuth::Anonymous };
        let decoded = STANDARD.decode(entry.auth.as_bytes()).map(Zeroizing::new).ok();
        let decoded = decoded.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        match decoded.and_then(|text| text.split_once(':')) {
            Some((user, password)) => RegistryAuth::Basic(user.to_owned(), password.to_owned()),
            None if !entry.username.is_empty() => {
                RegistryAuth::Basic(entry.username.clone(), entry.password.to_string())
            }
            None => RegistryAuth::Anonymous,
        }
    }
}

/// The registry that an entry's name means: some have a scheme and a path.
fn host(name: &str) -> String {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// Where a person's own file is, if there is one: as podman and Docker look for it.
pub fn default_file() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = from("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let docker = || from("DOCKER_CONFIG").map(|dir| Path::new(&dir).join("config.json"));
    let home = || from("HOME").map(|dir| Path::new(&dir).join(".docker/config.json"));
    named.or_else(docker).or_else(home).filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credentials, OciError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Credentials::read(file.path())
    }

    #[test]
    fn the_file_is_as_docker_writes_it() {
        let auth = STANDARD.encode("keyward:hush:hush");
        let text = format!(
            r##"{{"auths":{{"https://registry.example/v1/":{{"auth":"{auth}"}},
                "localhost:5000":{{"username":"u","password":"p"}},"odd.example":{{"auth":"#"}}}},
                "credsStore":"desktop"}}"##
        );
        let credentials = read(&text).unwrap();
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.into(), password.into());
        assert_eq!(credentials.of("registry.example"), basic("keyward", "hush:hush"));
        assert_eq!(credentials.of("localhost:5000"), basic("u", "p"));
        for nobody in ["odd.example", "other.example", "localhost"] {
            assert_eq!(credentials.of(nobody), RegistryAuth::Anonymous, "{nobody}");
        }
    }

    #[test]
    fn what_is_wrong_with_it_does_not_show_it() {
        for bad in [r#"{"auths":{"a":{"auth":7}},"x":"hush"}"#, "hush", r#"{"auths":"hush"}"#] {
            let error = read(bad).err().unwrap().to_string();
            assert!(!error.contains("hush") && error.contains("credentials"), "{error}");
        }
        assert!(Credentials::read(Path::new("/nowhere/config.json")).is_err());
    }
}
