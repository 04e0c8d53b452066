//! Random bodies to every route that takes one: never a 5xx, and every error has its code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Answer, Server, Tenant};
use proptest::prelude::*;
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

const DATA: [&str; 13] = [
    "/encrypt",
    "/decrypt",
    "/rewrap",
    "/datakey",
    "/sign",
    "/verify",
    "/mac",
    "/mac/verify",
    "/derive",
    "/random",
    "/hash",
    "/stream/decrypt",
    "/invoke/x",
];

/// Its own: now and then a random body makes a key, which the other tests would see.
static TENANT: LazyLock<Tenant> =
    LazyLock::new(|| SERVER.tenant_with_policy("bad-random", "fields"));

static FIELDS: LazyLock<Tenant> = LazyLock::new(|| {
    let tenant = SERVER.tenant_with_policy("bad-fields", "fields");
    tenant.key("fields");
    tenant.new_key(&json!({ "name": "fields-deterministic", "algorithm": "aes-256-siv" }));
    tenant
});

fn names() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "key",
        "plaintext",
        "ciphertext",
        "input",
        "signature",
        "mac",
        "info",
        "bits",
        "bytes",
        "count",
        "form",
        "key_version",
        "new_key",
        "new_context",
        "context",
        "purpose",
        "reference",
        "items",
        "name",
        "algorithm",
        "attributes",
        "subject",
        "roles",
        "claims",
    ];
    prop_oneof![4 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn texts() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] =
        &["main", "fields", "", "YQ==", "kw1.AQEAAAAAAAAAAAAAAAE", "xaes-256-gcm", "application"];
    prop_oneof![3 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,40}"]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        4 => texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            2 => prop::collection::btree_map(names(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        4 => values().prop_map(|value| value.to_string().into_bytes()),
        2 => (values(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
    ]
}

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert!(answer.status < 500, "{}: {} {}", answer.asked, answer.status, answer.text());
    if answer.status >= 400 {
        prop_assert_eq!(answer.header("content-type"), "application/problem+json");
        let code = answer.json()["code"].clone();
        prop_assert!(code.is_string(), "{}", answer.text());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_break_the_server(body in bodies()) {
        for path in DATA {
            check(&TENANT.app.json(path, &body))?;
        }
        for path in ["/keys", "/tokens", "/keys/absent/rotate"] {
            check(&TENANT.admin.json(path, &body))?;
        }
        check(&SERVER.operator().json("/api/v1/tenants", &body))?;
        for path in ["/encrypt", "/invoke/protect", "/invoke/reveal"] {
            check(&FIELDS.app.json(path, &body))?;
        }
        check(&TENANT.admin.put_policy(&body))?;
        prop_assert_eq!(SERVER.client().get("/livez").status, 200);
    }
}
