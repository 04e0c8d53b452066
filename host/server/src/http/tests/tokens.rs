//! Tokens over HTTP: what is granted, what a scope keeps out, and how a token ends.

use super::*;
use crate::tokens::TokenError;

const TOKENS: &str = "/api/v1/tenants/acme/tokens";
const OPERATORS: &str = "/api/v1/tokens";
const TENANT: &str = "/api/v1/tenants/acme";

impl World {
    /// A token made with `by`'s, and its identifier.
    async fn make(&self, path: &str, by: &str, body: Value) -> (String, String) {
        let made = self.post(path, by, body).await;
        let made = made.ok(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }

    async fn application(&self, scope: Value) -> String {
        let body = json!({ "subject": "s", "roles": ["application"], "scope": scope });
        self.make(TOKENS, &self.admin, body).await.0
    }

    async fn delete(&self, path: &str, by: &str) -> Answer {
        self.call(Method::DELETE, path, by, "").await
    }
}

#[tokio::test]
async fn what_a_token_stands_for_is_shown_and_the_token_never() {
    let world = World::new().await;
    let body = json!({
        "subject": "orders", "roles": ["application", "billing"], "claims": { "team": "shop" },
        "name": "orders, production", "description": "for the shop", "ttl": "1h",
        "scope": { "operations": ["encrypt", "key.*"], "keys": ["orders-*"] },
    });
    let (token, id) = world.make(TOKENS, &world.admin, body.clone()).await;
    let shown = world.get(&format!("{TOKENS}/{id}"), &world.admin).await;
    let shown = shown.ok(200);
    for field in ["subject", "roles", "claims", "name", "description", "scope"] {
        assert_eq!(shown[field], body[field], "{field}");
    }
    assert_eq!((&shown["tenant"], &shown["created_by"]), (&json!("acme"), &json!("tenant-admin")));
    assert_eq!((&shown["expired"], &shown["last_used_at"]), (&json!(false), &Value::Null));
    assert!(shown["expires_at"].as_str() > shown["created_at"].as_str());
    let text = world.get(TOKENS, &world.operator).await.ok(200).to_string();
    assert!(text.contains(&id) && !text.contains("kw_") && !text.contains(&token));
    world.get(KEYS, &token).await.ok(200);
    let shown = world.get(&format!("{TOKENS}/{id}"), &world.admin).await;
    assert!(shown.ok(200)["last_used_at"].is_string());
}

#[tokio::test]
async fn tokens_are_listed_page_by_page() {
    let world = World::new().await;
    for _ in 0..4 {
        world.application(json!({})).await;
    }
    let (mut seen, mut path) = (Vec::new(), format!("{TOKENS}?limit=2"));
    loop {
        let page = world.get(&path, &world.admin).await.ok(200).clone();
        let tokens = page["tokens"].as_array().unwrap();
        seen.extend(tokens.iter().map(|token| token["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{TOKENS}?limit=2&after={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    sorted.dedup();
    // Admin and application of the tenant beside them.
    assert_eq!((seen.len(), &seen), (6, &sorted));
    world.get(&format!("{TOKENS}?limit=0"), &world.admin).await.problem(Code::InvalidRequest);
    let operators = world.get(OPERATORS, &world.operator).await;
    assert_eq!(operators.ok(200)["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_ends_by_time_by_revocation_and_by_rotation() {
    let world = World::new().await;
    let body = json!({ "subject": "s", "roles": [], "ttl": "1s" });
    let (token, _) = world.make(TOKENS, &world.admin, body).await;
    world.get(KEYS, &token).await.ok(200);
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let ended = world.get(KEYS, &token).await;
    ended.problem(Code::TokenExpired);
    assert!(ended.headers.contains_key("www-authenticate"));

    let body = json!({ "subject": "s", "roles": ["r"], "claims": { "a": "b" } });
    let (token, id) = world.make(TOKENS, &world.admin, body).await;
    let path = format!("{TOKENS}/{id}");
    let (fresh, _) =
        world.make(&format!("{path}/rotate"), &world.admin, json!({ "overlap": "1h" })).await;
    for token in [&token, &fresh] {
        world.get(KEYS, token).await.ok(200);
    }
    let before = world.app.tokens.verify(&token).await.unwrap().unwrap();
    let after = world.app.tokens.verify(&fresh).await.unwrap().unwrap();
    assert_eq!((&before.caller, &before.scope), (&after.caller, &after.scope));
    world.delete(&path, &world.admin).await.ok(200);
    world.get(KEYS, &token).await.problem(Code::Unauthenticated);
    world.get(KEYS, &fresh).await.ok(200);
    world.delete(&path, &world.admin).await.problem(Code::TokenNotFound);
    let rotate = format!("{path}/rotate");
    world.post(&rotate, &world.admin, "").await.problem(Code::TokenNotFound);

    // Without an overlap the old one ends with the answer; then it has ended, and is told so.
    let after_id = &after.id;
    let rotate = format!("{TOKENS}/{after_id}/rotate");
    world.post(&rotate, &world.admin, "").await.ok(201);
    world.get(KEYS, &fresh).await.problem(Code::TokenExpired);
    world.post(&rotate, &world.admin, "").await.problem(Code::TokenEnded);
}

#[tokio::test]
async fn a_rotated_tokens_life_is_as_long_as_the_old_ones() {
    let world = World::new().await;
    let body = json!({ "subject": "s", "roles": [], "ttl": "10h" });
    let (_, id) = world.make(TOKENS, &world.admin, body).await;
    let rotate = format!("{TOKENS}/{id}/rotate");
    let life = |token: &Value| {
        let time = |name: &str| keyward_audit::parse_time(token[name].as_str().unwrap()).unwrap();
        time("expires_at") - time("created_at")
    };
    let hour = 3_600_000;
    let rotated = world.post(&rotate, &world.admin, json!({ "overlap": "1h" })).await;
    assert!(life(rotated.ok(201)).abs_diff(10 * hour) < 60_000);
    let rotated = world.post(&rotate, &world.admin, json!({ "overlap": "1h", "ttl": "2h" })).await;
    assert!(life(rotated.ok(201)).abs_diff(2 * hour) < 60_000);
}

#[tokio::test]
async fn out_of_scope_operations_are_refused_before_anything_else() {
    let world = World::new().await;
    world.post(KEYS, &world.admin, json!({ "name": "orders" })).await.ok(201);
    let token = world.application(json!({ "operations": ["encrypt", "key.show"] })).await;
    let refused = world.post(&format!("{TENANT}/decrypt"), &token, "no json").await;
    refused.problem(Code::OutOfScope);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("`operations`") && detail.contains("decrypt"), "{detail}");
    world.get(KEYS, &token).await.problem(Code::OutOfScope);
    world.get(&format!("{KEYS}/orders"), &token).await.ok(200);
    let encrypt = json!({ "key": "orders", "plaintext": "" });
    // In scope, and so the policy's to say.
    let encrypted = world.post(&format!("{TENANT}/encrypt"), &token, encrypt).await;
    encrypted.problem(Code::PolicyMissing);
    // However the path writes it.
    for path in ["invoke/encrypt", "invoke/%65ncrypt", "stream/encrypt"] {
        let refused = world.post(&format!("{TENANT}/{path}"), &token, "").await;
        refused.problem(Code::OutOfScope);
    }
}

#[tokio::test]
async fn out_of_scope_keys_are_refused_wherever_they_are_named() {
    let world = World::new().await;
    for name in ["orders-1", "other"] {
        world.post(KEYS, &world.admin, json!({ "name": name })).await.ok(201);
    }
    let body = json!({
        "subject": "s", "roles": ["tenant-admin"], "scope": { "keys": ["orders-*"] },
    });
    let (token, _) = world.make(TOKENS, &world.admin, body).await;
    world.get(&format!("{KEYS}/orders-1"), &token).await.ok(200);
    let listed = world.get(KEYS, &token).await;
    let names: Vec<_> =
        listed.ok(200)["keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["orders-1"]);
    let wrapped = json!({
        "algorithm": "aes-256-gcm", "wrapping_key": "other", "wrapped_key": "AAAA",
    });
    let export = json!({ "recipient": "other" });
    let confirm = json!({ "confirm": "other" });
    for (method, path, body) in [
        (Method::GET, "/other", Value::Null),
        (Method::GET, "/%6Fther", Value::Null),
        (Method::GET, "/other/history", Value::Null),
        (Method::GET, "/other/usage", Value::Null),
        (Method::GET, "/other/public", Value::Null),
        (Method::GET, "/other/receipts", Value::Null),
        (Method::POST, "", json!({ "name": "another" })),
        (Method::PATCH, "/other", json!({ "owner": "me" })),
        (Method::POST, "/other/rotate", json!({})),
        (Method::POST, "/other/disable", json!({})),
        (Method::POST, "/other/destroy", confirm),
        (Method::DELETE, "/other", json!({})),
        (Method::POST, "/orders-2/import", wrapped),
        (Method::POST, "/orders-1/export", export),
    ] {
        let refused = world.call(method.clone(), &format!("{KEYS}{path}"), &token, body).await;
        assert_eq!(refused.body["code"], "out_of_scope", "{method} {path}: {}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap().contains("`keys`"));
    }
    world.get(&format!("{KEYS}/other"), &world.admin).await.ok(200);
}

#[tokio::test]
async fn an_operator_may_be_limited_to_tenants() {
    let world = World::new().await;
    let body = json!({ "subject": "oncall", "scope": { "tenants": ["acme", "acme-*"] } });
    let (token, _) = world.make(OPERATORS, &world.operator, body).await;
    world.get(KEYS, &token).await.ok(200);
    world.post("/api/v1/tenants", &token, json!({ "name": "acme-2" })).await.ok(201);
    let tenants = world.get("/api/v1/tenants", &token).await;
    assert_eq!(tenants.ok(200)["tenants"], json!([{ "name": "acme" }, { "name": "acme-2" }]));
    let recipients = json!(["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]);
    for (method, path, body) in [
        (Method::GET, "/api/v1/tenants/other/keys", Value::Null),
        (Method::POST, "/api/v1/tenants/other/keys", json!({ "name": "k" })),
        (Method::GET, "/api/v1/vault/keys/k/versions?tenant=other", Value::Null),
        (Method::POST, "/api/v1/tenants", json!({ "name": "more" })),
        (Method::GET, "/api/v1/audit", Value::Null),
        (Method::GET, "/api/v1/audit?tenant=other", Value::Null),
        (Method::POST, "/api/v1/backup", json!({ "recipients": recipients })),
        (Method::POST, "/api/v1/backup", json!({ "recipients": recipients, "tenant": "other" })),
        (Method::POST, "/api/v1/restore", Value::Null),
        (Method::POST, OPERATORS, json!({ "subject": "s" })),
        (Method::POST, OPERATORS, json!({ "subject": "s", "scope": { "tenants": ["*"] } })),
    ] {
        let refused = world.call(method.clone(), path, &token, body).await;
        assert_eq!(refused.body["code"], "out_of_scope", "{method} {path}: {}", refused.body);
    }
    world.get("/api/v1/audit?tenant=acme", &token).await.ok(200);
    let narrower = json!({ "subject": "s", "scope": { "tenants": ["acme-2"] } });
    world.make(OPERATORS, &token, narrower).await;
}

#[tokio::test]
async fn nobody_grants_more_than_they_hold() {
    let world = World::new().await;
    let body = json!({
        "subject": "lead", "roles": ["tenant-admin"], "ttl": "1h",
        "scope": { "operations": ["encrypt", "token.*"], "keys": ["orders-*"] },
    });
    let (lead, _) = world.make(TOKENS, &world.admin, body).await;
    let ask = |roles: Value, scope: Value, ttl: Value| {
        let body = json!({ "subject": "s", "roles": roles, "scope": scope, "ttl": ttl });
        let (world, lead) = (&world, &lead);
        async move { world.post(TOKENS, lead, body).await }
    };
    let own = json!({ "operations": ["encrypt", "token.*"], "keys": ["orders-*"] });
    let less = json!({ "operations": ["encrypt"], "keys": ["orders-1"] });
    ask(json!(["application"]), less.clone(), Value::Null).await.ok(201);
    ask(json!(["application"]), own.clone(), Value::Null).await.ok(201);
    for more in [
        Value::Null,
        json!({ "operations": ["encrypt"] }),
        json!({ "keys": ["orders-1"] }),
        json!({ "operations": ["decrypt"], "keys": ["orders-1"] }),
        json!({ "operations": ["encrypt"], "keys": ["orders*"] }),
    ] {
        let refused = ask(json!(["application"]), more.clone(), Value::Null).await;
        refused.problem(Code::OutOfScope).field("/scope");
    }
    for ttl in [Value::Null, json!("2h")] {
        let refused = ask(json!(["tenant-admin"]), own.clone(), ttl).await;
        refused.problem(Code::Forbidden).field("/expires_at");
    }
    ask(json!(["tenant-admin"]), own.clone(), json!("30m")).await.ok(201);
    ask(json!(["operator"]), own, Value::Null).await.problem(Code::InvalidField);
    // A rotation would give them another's token.
    let (_, id) = world.make(TOKENS, &world.admin, json!({ "subject": "s", "roles": [] })).await;
    let rotate = format!("{TOKENS}/{id}/rotate");
    world.post(&rotate, &lead, "").await.problem(Code::OutOfScope);
    // A tenant-admin has no part in operators' tokens, and none in another tenant's.
    let operator = world.get(OPERATORS, &world.operator).await.ok(200)["tokens"][0]["id"].clone();
    let operator = operator.as_str().unwrap();
    for by in [&world.admin, &world.application, &world.stranger] {
        world.get(OPERATORS, by).await.problem(Code::Forbidden);
        world.delete(&format!("{OPERATORS}/{operator}"), by).await.problem(Code::Forbidden);
    }
    let theirs = format!("{TOKENS}/{operator}");
    world.get(&theirs, &world.admin).await.problem(Code::TokenNotFound);
    world.delete(&theirs, &world.operator).await.problem(Code::TokenNotFound);
    world.delete(&theirs, &world.stranger).await.problem(Code::Forbidden);
    world.delete(&theirs, &world.application).await.problem(Code::Forbidden);
    assert!(world.app.tokens.verify(&world.operator).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_new_token_cannot_be_is_named() {
    let world = World::new().await;
    for (more, field) in [
        (json!({ "ttl": "0s" }), "/ttl"),
        (json!({ "ttl": "1y" }), "/ttl"),
        (json!({ "ttl": 3600 }), "/ttl"),
        (json!({ "ttl": "4000d" }), "/ttl"),
        (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "/expires_at"),
        (json!({ "expires_at": "4102444800000" }), "/expires_at"),
        (json!({ "expires_at": "tomorrow" }), "/expires_at"),
        (json!({ "expires_at": "2999-01-01T00:00:00Z", "ttl": "1h" }), "/expires_at"),
        (json!({ "name": "" }), "/name"),
        (json!({ "name": "a\nb" }), "/name"),
        (json!({ "description": "x".repeat(1025) }), "/description"),
        (json!({ "scope": { "keys": [] } }), "/scope/keys"),
        (json!({ "scope": { "keys": ["ok", "a?"] } }), "/scope/keys/1"),
        (json!({ "scope": { "operations": [""] } }), "/scope/operations/0"),
        (json!({ "scope": { "tenants": ["acme"] } }), "/scope/tenants"),
        (json!({ "scope": [] }), "/scope"),
    ] {
        let mut body = json!({ "subject": "s", "roles": [] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = world.post(TOKENS, &world.admin, body).await;
        assert_eq!(refused.body["field"], field, "{more}: {}", refused.body);
        refused.problem(Code::InvalidField);
    }
    let body = json!({ "subject": "s", "roles": ["operator"] });
    world.post(OPERATORS, &world.operator, body).await.problem(Code::InvalidField);
}

#[tokio::test]
async fn with_the_last_operator_gone_the_next_start_makes_one() {
    let world = World::new().await;
    let tokens = world.get(OPERATORS, &world.operator).await.ok(200)["tokens"].clone();
    let id = tokens[0]["id"].as_str().unwrap();
    assert!(world.app.tokens.has_operator().await.unwrap());
    world.delete(&format!("{OPERATORS}/{id}"), &world.operator).await.ok(200);
    world.get(OPERATORS, &world.operator).await.problem(Code::Unauthenticated);
    assert!(!world.app.tokens.has_operator().await.unwrap());
    let brief = NewToken {
        expires_at: Some(crate::clock::unix_ms()),
        ..NewToken::of(Reach::Operator, crate::operator::caller())
    };
    let (token, _) = world.app.tokens.mint(brief).await.unwrap();
    let verified = world.app.tokens.verify(token.expose()).await;
    assert!(matches!(verified, Err(TokenError::Expired)), "{verified:?}");
    assert!(!world.app.tokens.has_operator().await.unwrap(), "it lets nobody in");
}

/// A policy opens whichever keys it likes.
#[tokio::test]
async fn who_is_limited_to_some_keys_changes_no_policy() {
    let world = World::new().await;
    let limited = |keys: Value| json!({ "subject": "s", "roles": ["tenant-admin"], "scope": { "keys": keys } });
    let (some, _) = world.make(TOKENS, &world.admin, limited(json!(["orders-*"]))).await;
    let (all, _) = world.make(TOKENS, &world.admin, limited(json!(["*"]))).await;
    let digest = format!("sha256:{}", "0".repeat(64));
    let activation = json!({ "digest": digest }).to_string();
    let trial = json!({ "digest": digest, "percent": 10 }).to_string();
    let safeguard = json!({ "max_failed_percent": 5, "min_runs": 100 }).to_string();
    let question = json!({ "operation": "encrypt", "digest": digest }).to_string();
    let kept = format!("policies/{digest}");
    for (method, path, body, otherwise) in [
        (Method::PUT, "policy", "no component", Code::ComponentInvalid),
        (Method::POST, "policies", "no component", Code::ComponentInvalid),
        (Method::POST, "policy/activate", &activation, Code::PolicyNotKept),
        (Method::POST, "policy/rollback", "", Code::PolicyNoPrevious),
        (Method::DELETE, &kept, "", Code::PolicyNotKept),
        (Method::PUT, "policy/canary", &trial, Code::PolicyNotKept),
        (Method::DELETE, "policy/canary", "", Code::PolicyNotSet),
        (Method::PUT, "policy/shadow", &trial, Code::PolicyNotKept),
        (Method::DELETE, "policy/shadow", "", Code::PolicyNotSet),
        (Method::PUT, "policy/safeguard", &safeguard, Code::PolicyNotSet),
        (Method::DELETE, "policy/safeguard", "", Code::PolicyNotSet),
        (Method::POST, "policy/explain", &question, Code::PolicyNotKept),
    ] {
        let send = async |token: &str| {
            let kind = if body.starts_with('{') { "application/json" } else { "application/wasm" };
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("{TENANT}/{path}"))
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", kind)
                .body(Body::from(body.to_owned()))
                .unwrap();
            world.send(request).await
        };
        send(&some).await.problem(Code::OutOfScope);
        send(&all).await.problem(otherwise);
    }
}

#[tokio::test]
async fn nobody_ends_a_token_that_they_could_not_make() {
    let world = World::new().await;
    let admin = |scope: Value| json!({ "subject": "s", "roles": ["tenant-admin"], "scope": scope });
    let (narrow, narrow_id) =
        world.make(TOKENS, &world.admin, admin(json!({ "keys": ["a-*"] }))).await;
    let (_, wide_id) = world.make(TOKENS, &world.admin, admin(json!({ "keys": ["*"] }))).await;
    for action in ["", "/rotate"] {
        let path = format!("{TOKENS}/{wide_id}{action}");
        let method = if action.is_empty() { Method::DELETE } else { Method::POST };
        world.call(method, &path, &narrow, "").await.problem(Code::OutOfScope);
    }
    let body = json!({ "subject": "s", "scope": { "tenants": ["shop-*"] } });
    let (bounded, _) = world.make(OPERATORS, &world.operator, body).await;
    let known = world.app.tokens.verify(&world.operator).await.unwrap().unwrap();
    let path = format!("{OPERATORS}/{}", known.id);
    world.delete(&path, &bounded).await.problem(Code::OutOfScope);
    assert!(world.app.tokens.verify(&world.operator).await.unwrap().is_some());
    world.delete(&format!("{TOKENS}/{narrow_id}"), &narrow).await.ok(200);
    world.delete(&format!("{TOKENS}/{wide_id}"), &world.admin).await.ok(200);
}
