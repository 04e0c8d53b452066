//! The harness itself: what the other tests rely on.
#![allow(missing_docs, reason = "a test")]

use keyward_test_vault::{Options, Vault};
use serde_json::json;

#[test]
fn a_vault_stores_what_it_is_given_and_ends_when_dropped() {
    let vault = Vault::start(Options::default());
    let root = vault.root();
    root.mount_kv2("secret");
    root.post("secret/data/e2ee/one", &json!({ "options": { "cas": 0 }, "data": { "a": 1 } })).ok();
    let again = json!({ "options": { "cas": 0 }, "data": { "a": 2 } });
    root.post("secret/data/e2ee/one", &again).expect(400);
    assert_eq!(root.get("secret/data/e2ee/one").ok()["data"]["data"]["a"], 1);
    assert_eq!(root.list("secret/metadata/e2ee"), ["one"]);
    let (role_id, secret_id) = root.approle("keyward", &json!({ "token_ttl": "5s" }));
    let login = json!({ "role_id": role_id, "secret_id": secret_id });
    let auth = root.token("").post("auth/approle/login", &login).ok();
    assert_eq!(auth["auth"]["lease_duration"], 5);
    root.token("wrong").get("secret/data/e2ee/one").expect(403);
    drop(vault);
    assert!(root.send("GET", "sys/health", None).is_err());
}
