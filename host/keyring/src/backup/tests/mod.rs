//! Backups and restores against stores of every kind.

mod concurrent;
mod conflicts;
mod damage;
mod files;
mod interrupted;
mod moving;
mod readdress;
mod round_trip;
mod unreadable;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use age::secrecy::ExposeSecret;
use keyward_crypto::{Algorithm, Binding, Channel, KeyVersion};

use super::{BackupError, Identities, Recipients, Report, Restore, Scope, walk, write};
use crate::cache::CacheConfig;
use crate::keyring::Keyring;
use crate::names::{KeyName, TenantName};
use crate::store::Store;
use crate::store::memory::MemoryStore;

/// Who opens the backups of a test.
pub(super) struct Owner {
    secret: String,
    public: String,
}

impl Owner {
    fn new() -> Self {
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string().expose_secret().to_owned();
        Self { secret, public: identity.to_public().to_string() }
    }

    fn recipients(&self) -> Recipients {
        Recipients::keys([&self.public]).unwrap()
    }

    fn identities(&self) -> Identities {
        Identities::keys(&self.secret).unwrap()
    }

    async fn back_up(&self, store: &dyn Store, scope: &Scope) -> (Vec<u8>, Report) {
        let mut out = Vec::new();
        let report = write(store, scope, &self.recipients(), &mut out).await.unwrap();
        assert_eq!(report.bytes, out.len() as u64);
        (out, report)
    }

    /// A backup of a store in order.
    async fn all_of(&self, store: &dyn Store) -> Vec<u8> {
        let (bytes, report) = self.back_up(store, &Scope::All).await;
        assert!(report.damaged.is_empty(), "{:?}", report.damaged);
        bytes
    }

    async fn open(&self, bytes: &[u8]) -> Result<Restore<Cursor<Vec<u8>>>, BackupError> {
        Restore::open(Cursor::new(bytes.to_vec()), self.identities(), None).await
    }
}

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

fn key(name: &str) -> KeyName {
    name.parse().unwrap()
}

fn ring(store: &Arc<impl Store>) -> Keyring {
    Keyring::new(store.clone(), CacheConfig::default())
}

async fn create(ring: &Keyring, tenant: &str, name: &str) {
    let (tenant, attributes) = (self::tenant(tenant), BTreeMap::new());
    let algorithm = Algorithm::default();
    ring.create_key(&tenant, &key(name), algorithm, attributes, "tests").await.unwrap();
}

async fn rotate(ring: &Keyring, tenant: &str, name: &str) -> u32 {
    ring.rotate(&self::tenant(tenant), &key(name), "tests").await.unwrap()
}

async fn destroy(ring: &Keyring, tenant: &str, name: &str, version: u32) {
    let tenant = self::tenant(tenant);
    ring.destroy_version(&tenant, &key(name), version, "tests").await.unwrap();
}

/// Every record of a store but those that are its own.
async fn contents(store: &dyn Store) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for path in walk::below(store, "").await.unwrap() {
        if super::scope::is_lasting(&path) {
            let value = store.get(&path).await.unwrap().unwrap().value.to_vec();
            contents.insert(path, value);
        }
    }
    contents
}

/// Two tenants with keys that were rotated and destroyed, a policy, tokens, and what backups leave
/// out.
async fn populated() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let ring = ring(&store);
    for name in ["demo", "other"] {
        ring.create_tenant(&tenant(name)).await.unwrap();
        create(&ring, name, "orders").await;
        rotate(&ring, name, "orders").await;
        rotate(&ring, name, "orders").await;
        destroy(&ring, name, "orders", 2).await;
        create(&ring, name, "mail").await;
    }
    let digest = "a".repeat(64);
    let token = |reach: &str| format!(r#"{{"hash":"00","reach":{reach},"subject":"s"}}"#);
    for (path, value) in [
        ("changes", "{}".to_owned()),
        (&format!("components/{digest}"), r#"{"chunks":1}"#.to_owned()),
        (&format!("components/{digest}/0"), "wasm".to_owned()),
        ("components/bb", "unused".to_owned()),
        ("tenants/demo/policy", format!(r#"{{"digest":"sha256:{digest}"}}"#)),
        ("tenants/demo/keys/orders/usage", "7".to_owned()),
        ("tenants/demo/notes/1", "note".to_owned()),
        ("tokens/01", token(r#"{"tenant":"demo"}"#)),
        ("tokens/02", token(r#"{"tenant":"other"}"#)),
        ("tokens/03", token(r#""operator""#)),
        ("operators/03", "{}".to_owned()),
    ] {
        store.create(path, value.as_bytes()).await.unwrap();
    }
    store
}

fn binding<'a>(tenant: &'a str, key_name: &'a str) -> Binding<'a> {
    Binding { channel: Channel::Payload, tenant, key_name, policy_data: b"", context: b"" }
}

/// A ciphertext of each version of each key that was not destroyed.
async fn ciphertexts(ring: &Keyring) -> Vec<(String, String, u32, Vec<u8>)> {
    let mut made = Vec::new();
    for tenant in ring.list_tenants().await.unwrap() {
        for key in ring.list_keys(&tenant).await.unwrap() {
            for info in key.versions().iter().filter(|info| info.destroyed.is_none()) {
                let version: Arc<KeyVersion> = ring.version(&key, info.version).await.unwrap();
                let binding = binding(tenant.as_str(), key.name().as_str());
                let text = version.seal(None, &binding, b"text").unwrap();
                let (tenant, name) = (tenant.to_string(), key.name().to_string());
                made.push((tenant, name, info.version, text));
            }
        }
    }
    made
}

/// Whether all of them open.
async fn open_all(ring: &Keyring, ciphertexts: &[(String, String, u32, Vec<u8>)]) {
    for (tenant_name, name, version, text) in ciphertexts {
        let found = ring.key(&tenant(tenant_name), &key(name)).await.unwrap();
        let by_id = ring.key_by_id(&tenant(tenant_name), found.id()).await.unwrap();
        assert_eq!(by_id.name(), found.name());
        let version = ring.version(&found, *version).await.unwrap();
        let opened = version.open(&binding(tenant_name, name), text).unwrap();
        assert_eq!(opened.as_slice(), b"text");
    }
}
