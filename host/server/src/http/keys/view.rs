//! A key as the API shows it. Never its bytes.

use std::collections::BTreeMap;

use keyward_keyring::Key;
use schemars::JsonSchema;
use serde::Serialize;

use super::rotation;
use crate::clock;
use crate::http::openapi::schema;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(super) struct KeyView<'a> {
    #[schemars(with = "schema::KeyName")]
    name: &'a str,
    #[schemars(with = "schema::KeyId")]
    id: String,
    #[schemars(with = "schema::Algorithm")]
    algorithm: &'static str,
    #[schemars(with = "schema::Version")]
    current_version: u32,
    #[schemars(with = "Option<schema::Version>")]
    min_available_version: Option<u32>,
    #[schemars(with = "schema::Version")]
    min_decrypt_version: u32,
    #[schemars(with = "schema::Version")]
    min_encrypt_version: u32,
    #[schemars(with = "schema::KeyState")]
    state: &'static str,
    enabled: bool,
    exportable: bool,
    #[schemars(with = "schema::Timestamp")]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<DeletionView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<rotation::View>,
    versions: Vec<VersionView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyVersion")]
struct VersionView {
    #[schemars(with = "schema::Version")]
    version: u32,
    #[schemars(with = "schema::Timestamp")]
    created_at: String,
    /// Whether a caller brought the material; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    imported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    destroyed_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyDeletion")]
struct DeletionView<'a> {
    #[schemars(with = "schema::Timestamp")]
    at: String,
    by: &'a str,
    /// Until when it can be restored.
    #[schemars(with = "schema::Timestamp")]
    purge_at: String,
}

impl<'a> KeyView<'a> {
    pub(super) fn of(key: &'a Key) -> Self {
        let versions = key.versions().iter().map(|info| VersionView {
            version: info.version,
            created_at: clock::rfc3339(info.created_at),
            imported: info.imported,
            destroyed_at: info.destroyed.as_ref().map(|stamp| clock::rfc3339(stamp.at)),
        });
        let about = key.about();
        Self {
            name: key.name().as_str(),
            id: key.id().to_string(),
            algorithm: key.algorithm().name(),
            current_version: key.current_version(),
            min_available_version: key.min_available_version(),
            min_decrypt_version: key.min_decrypt_version(),
            min_encrypt_version: key.min_encrypt_version(),
            state: key.state().name(),
            enabled: key.enabled(),
            exportable: key.exportable(),
            deleted: key.deleted().map(|deletion| DeletionView {
                at: clock::rfc3339(deletion.at),
                by: &deletion.by,
                purge_at: clock::rfc3339(deletion.purge_at),
            }),
            created_at: clock::rfc3339(key.created_at()),
            owner: about.owner.as_deref(),
            description: about.description.as_deref(),
            labels: &about.labels,
            attributes: key.attributes(),
            rotation: key.rotation().map(Into::into),
            versions: versions.collect(),
        }
    }
}
