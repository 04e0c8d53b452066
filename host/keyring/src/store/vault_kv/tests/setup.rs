//! What is wrong with a Vault's set-up is said at the start, with what to run.

use super::*;
use crate::store::{Store, StoreError};
use crate::vault::VaultError;

async fn checked(store: &VaultStore) -> StoreError {
    store.check().await.expect_err("the check found nothing")
}

/// A store whose token has just this policy beside Vault's default one.
fn with_policy(server: &Server, root: &Client, hcl: &str, settings: VaultConfig) -> VaultStore {
    root.policy("tested", hcl);
    let token = root.create_token(&json!({"policies": ["tested"]}));
    let auth = Auth::Token(zeroize::Zeroizing::new(token));
    over(VaultConfig { address: server.address.clone(), auth, ..settings })
}

fn plain(server: &Server) -> VaultConfig {
    config(&server.address, "", PREFIX)
}

fn wrapped(server: &Server) -> VaultConfig {
    VaultConfig { transit_key: Some("wrapping".to_owned()), ..plain(server) }
}

#[tokio::test]
async fn a_missing_mount() {
    let (server, root) = server();
    for path in ["nowhere/data/e2ee", "deep/nowhere/data/e2ee"] {
        let store = store(&server, path);
        let error = checked(&store).await;
        let mount = path.strip_suffix("/data/e2ee").unwrap();
        assert_eq!(error, VaultError::MountMissing { mount: mount.to_owned() }.into());
        let command = format!("vault secrets enable -version=2 -path={mount} kv");
        assert!(error.to_string().contains(&command), "{error}");
        // It gets ready without a new client, once the command has been run.
        root.mount_kv2(mount);
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_mount_of_another_kind() {
    let (server, root) = server();
    root.post("sys/mounts/old", &json!({"type": "kv", "options": {"version": "1"}})).ok();
    root.post("sys/mounts/transit", &json!({"type": "transit"})).ok();
    let error = checked(&store(&server, "old/data/e2ee")).await;
    assert_eq!(error.code(), "vault-mount-not-kv2");
    assert!(error.to_string().contains("vault kv enable-versioning old"), "{error}");
    let error = checked(&store(&server, "transit/data/e2ee")).await;
    assert_eq!(error.code(), "vault-mount-not-kv2");
    assert!(error.to_string().contains("transit"), "{error}");

    // Even without the check, nothing is taken for written there.
    let error = store(&server, "old/data/e2ee").create("a", b"v").await.unwrap_err();
    assert_eq!(error.code(), "vault-mount-not-kv2");
    let error = store(&server, "old/data/e2ee").get("a").await.err().unwrap();
    assert_eq!(error.code(), "store-corrupted");
}

#[tokio::test]
async fn a_path_whose_mount_is_deeper_or_shallower_than_it_says() {
    let (server, root) = server();
    root.mount_kv2("kv/team");
    let error = checked(&store(&server, "kv/team/e2ee")).await;
    assert!(error.to_string().contains("write the secret path as kv/team/data/e2ee"), "{error}");
    let error = checked(&store(&server, "kv/team")).await;
    assert!(error.to_string().contains("such as kv/team/data/e2ee"), "{error}");
    let error = checked(&store(&server, "secret/x/data/e2ee")).await;
    assert!(error.to_string().contains("secret/data/"), "{error}");
}

#[tokio::test]
async fn the_policy_it_names_is_enough_and_each_part_of_it_is_needed() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let settings = || wrapped(&server);
    let hcl = over(wrapped_with_root(&server)).policy_hcl();
    let store = with_policy(&server, &root, &hcl, settings());
    store.check().await.unwrap();
    assert_eq!(store.vault().status().requests.failed, 0);
    let material = "tenants/demo/keys/orders/versions/1";
    let revision = store.create(material, b"1").await.unwrap();
    store.replace(material, b"2", revision).await.unwrap();
    assert_eq!(store.list("tenants/demo/keys/orders").await.unwrap(), ["versions/"]);
    store.delete(material).await.unwrap();

    let parts = [
        ("secret/data/e2ee/*", "create"),
        ("secret/data/e2ee/*", "read"),
        ("secret/data/e2ee/*", "update"),
        ("secret/metadata/e2ee/*", "read"),
        ("secret/metadata/e2ee/*", "list"),
        ("secret/metadata/e2ee/*", "delete"),
        ("secret/destroy/e2ee/*", "update"),
        ("transit/encrypt/wrapping", "update"),
        ("transit/decrypt/wrapping", "update"),
    ];
    for (path, capability) in parts {
        let lacking: Vec<String> = hcl
            .lines()
            .map(|line| {
                if line.contains(path) {
                    let without = line.replace(&format!("{capability:?}, "), "");
                    let without = without.replace(&format!(", {capability:?}"), "");
                    without.replace(&format!("[{capability:?}]"), "[\"deny\"]")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        assert_ne!(lacking.join("\n"), hcl.trim_end(), "{path} {capability}");
        let error = checked(&with_policy(&server, &root, &lacking.join("\n"), settings())).await;
        let text = error.to_string();
        assert!(text.contains(path.trim_end_matches('*')), "{path} {capability}: {text}");
        assert!(text.contains(capability), "{path} {capability}: {text}");
    }
}

fn wrapped_with_root(server: &Server) -> VaultConfig {
    VaultConfig {
        transit_key: Some("wrapping".to_owned()),
        ..config(&server.address, &server.root_token, PREFIX)
    }
}

#[tokio::test]
async fn a_token_that_may_not_ask_about_itself_is_tried_for_real() {
    let (server, root) = server();
    let deny = r#"path "sys/capabilities-self" { capabilities = ["deny"] }
                  path "sys/internal/ui/mounts/*" { capabilities = ["deny"] }
                  path "secret/config" { capabilities = ["deny"] }"#;
    let hcl = format!("{}{deny}", store(&server, PREFIX).policy_hcl());
    let good = with_policy(&server, &root, &hcl, plain(&server));
    good.check().await.unwrap();
    let status = good.vault().status();
    assert!(status.last_error.is_none(), "{:?}", status.last_error);
    assert_eq!(status.requests.failed, 0, "a question not answered is no failure");
    good.create("a", b"v").await.unwrap();

    let blind = deny.to_owned() + r#" path "secret/metadata/e2ee/*" { capabilities = ["list"] }"#;
    let error = checked(&with_policy(&server, &root, &blind, plain(&server))).await;
    assert!(
        matches!(&error, StoreError::Vault(VaultError::PermissionDenied { path, capability: "read" })
            if path.starts_with("secret/data/e2ee/")),
        "{error}"
    );
    let hcl = store(&server, "nowhere/data/e2ee").policy_hcl();
    let elsewhere = config(&server.address, "", "nowhere/data/e2ee");
    let error = checked(&with_policy(&server, &root, &hcl, elsewhere)).await;
    assert_eq!(error.code(), "vault-mount-missing");
}

#[tokio::test]
async fn a_token_that_ended_before_the_check_is_replaced_and_nothing_is_left_out() {
    let (server, root) = server();
    root.policy("needed", &store(&server, PREFIX).policy_hcl());
    let role = json!({"token_policies": ["needed"], "token_ttl": "1h"});
    let (role_id, secret_id) = root.approle("host", &role);
    let (secret_id, mount) = (zeroize::Zeroizing::new(secret_id), "approle".to_owned());
    let auth = Auth::AppRole { role_id, secret_id, mount };
    let store = over(VaultConfig { auth, ..plain(&server) });
    store.check().await.unwrap();
    let accessors = root.list("auth/token/accessors");
    let lookup = |accessor: &String| {
        let reply = root.post("auth/token/lookup-accessor", &json!({"accessor": accessor}));
        reply.body["data"]["path"] == "auth/approle/login"
    };
    let accessor = accessors.iter().find(|it| lookup(it)).unwrap();
    root.post("auth/token/revoke-accessor", &json!({"accessor": accessor})).ok();
    let narrow = r#"path "secret/*" { capabilities = ["read", "list"] }"#;
    root.policy("needed", narrow);
    let error = checked(&store).await;
    assert!(error.to_string().contains("lacks create, update"), "{error}");
}

#[tokio::test]
async fn a_mount_that_deletes_what_is_written() {
    let (server, root) = server();
    root.post("secret/config", &json!({"delete_version_after": "720h"})).ok();
    let error = checked(&store(&server, PREFIX)).await;
    let text = error.to_string();
    assert!(text.contains("vault write secret/config delete_version_after=0s"), "{text}");
    assert!(text.contains("720h"), "{text}");
    root.post("secret/config", &json!({"delete_version_after": "0s"})).ok();
    store(&server, PREFIX).check().await.unwrap();
}

#[tokio::test]
async fn a_transit_key_that_does_not_serve() {
    let (server, root) = server();
    let error = checked(&wrapping(&server, "wrapping")).await;
    assert!(error.to_string().contains("vault secrets enable -path=transit transit"), "{error}");
    transit_key(&root, "other");
    let error = checked(&wrapping(&server, "wrapping")).await;
    assert!(error.to_string().contains("vault write -f transit/keys/wrapping"), "{error}");
    assert!(root.list("transit/keys") == ["other"], "the check made a key");
    root.post("transit/keys/derived", &json!({"derived": true})).ok();
    let error = checked(&wrapping(&server, "derived")).await;
    assert!(error.to_string().contains("derivation"), "{error}");
    root.post("transit/keys/signing", &json!({"type": "ed25519"})).ok();
    let error = checked(&wrapping(&server, "signing")).await;
    assert!(matches!(error, StoreError::TransitRefused { .. }), "{error}");
    wrapping(&server, "other").check().await.unwrap();
}

#[tokio::test]
async fn a_mount_that_goes_away_under_us() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    store.create("tenants/demo", b"v").await.unwrap();
    root.delete("sys/mounts/secret").ok();
    let errors = [
        store.get("tenants/demo").await.err().unwrap(),
        store.create("tenants/new", b"v").await.unwrap_err(),
        store.replace("tenants/demo", b"v", 1).await.unwrap_err(),
        store.delete("tenants/demo").await.unwrap_err(),
        store.list("tenants").await.unwrap_err(),
        store.ping().await.unwrap_err(),
        checked(&store).await,
    ];
    for error in errors {
        // Never "no such record", never "no children": keys would seem not to exist.
        assert_eq!(error.code(), "vault-mount-missing", "{error}");
        assert!(error.is_unavailable());
    }
    root.mount_kv2("secret");
    store.check().await.unwrap();
    assert!(store.get("tenants/demo").await.unwrap().is_none());
}

#[tokio::test]
async fn a_vault_that_is_sealed_or_gone() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    store.check().await.unwrap();
    root.put("sys/seal", &json!({})).ok();
    for error in [store.get("a").await.err().unwrap(), checked(&store).await] {
        assert!(error.is_unavailable(), "{error}");
        assert!(["vault-sealed", "vault-circuit-open"].contains(&error.code()), "{error}");
    }
}
