//! The management API over the embedded store: shapes, credentials, errors.

use super::*;

const VAULT: &str = "/api/v1/vault";

/// A world whose tenant `acme` has the key `orders`.
async fn world() -> World {
    let world = World::new().await;
    world.post(KEYS, &world.admin, &json!({ "name": "orders" })).await.ok(201);
    world
}

fn key(rest: &str) -> String {
    format!("{VAULT}/keys/orders/{rest}?tenant=acme")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn no_route_answers_without_an_operators_token() {
    let world = world().await;
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let routes = [
        (&get, "health".to_owned()),
        (&get, "metrics".into()),
        (&get, "status".into()),
        (&post, "cache/clear".into()),
        (&post, "token/renew".into()),
        (&get, "keys/orders/versions?tenant=acme".into()),
        (&post, "keys/orders/versions?tenant=acme".into()),
        (&post, "keys/orders/rollback?tenant=acme".into()),
        (&delete, "keys/orders/versions/1?tenant=acme".into()),
        (&get, "keys/orders/history?tenant=acme".into()),
    ];
    for (method, route) in routes {
        let path = format!("{VAULT}/{route}");
        let body = r#"{"target_version":1}"#;
        let answer = world.call(method.clone(), &path, "", body).await;
        answer.problem(Code::Unauthenticated);
        for token in [&world.admin, &world.application, &world.stranger] {
            world.call(method.clone(), &path, token, body).await.problem(Code::Forbidden);
        }
    }
    let history = world.get(&key("history"), &world.operator).await;
    assert_eq!(history.ok(200)["total_versions"], 1);
    assert_eq!(history.body["last_rotation"], Value::Null, "it was never rotated");
}

#[tokio::test]
async fn the_embedded_store_is_described_truthfully() {
    let world = world().await;
    let health = world.get("/api/v1/vault/health", &world.operator).await;
    let body = health.ok(200);
    assert_eq!(names(body), ["timestamp", "vault_health"]);
    let seen = &body["vault_health"];
    assert_eq!(
        names(seen),
        [
            "avg_response_time",
            "last_check",
            "status",
            "success_rate",
            "token_renewable",
            "token_ttl_seconds",
            "total_requests",
        ]
    );
    assert_eq!((&seen["status"], &seen["total_requests"]), (&json!("healthy"), &json!(0)));
    assert_eq!((&seen["success_rate"], &seen["token_ttl_seconds"]), (&Value::Null, &Value::Null));
    assert!(seen["last_check"].as_str().unwrap().starts_with("20"));
    let status = world.get("/api/v1/vault/status", &world.operator).await;
    let status = status.ok(200);
    assert_eq!(status["integration"], "embedded");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let features =
        ["key_management", "health_monitoring", "performance_caching", "metrics_collection"];
    assert_eq!(status["features"], json!(features));
    assert_eq!(status["cache"]["ttl"], "15m");
    assert_eq!(
        status["monitoring"],
        json!({ "enabled": true, "connection_status": "healthy", "is_healthy": true })
    );
    let renewed = world.post("/api/v1/vault/token/renew", &world.operator, "").await;
    renewed.problem(Code::VaultNotUsed);
}

#[tokio::test]
async fn the_figures_are_those_of_the_cache_in_use() {
    let world = world().await;
    let path = "/api/v1/tenants/acme/keys/orders";
    for _ in 0..3 {
        world.get(path, &world.admin).await.ok(200);
    }
    let metrics = world.get("/api/v1/vault/metrics", &world.operator).await;
    let body = metrics.ok(200);
    assert_eq!(names(body), ["cache_metrics", "timestamp", "vault_metrics"]);
    assert_eq!(names(&body["vault_metrics"]), ["connection", "errors", "requests", "token"]);
    assert_eq!(body["vault_metrics"]["errors"], json!({}));
    let cache = &body["cache_metrics"];
    assert_eq!(cache["total_entries"], 1);
    assert!(cache["hits"].as_u64().unwrap() >= 2, "{cache}");
    assert!(cache["hit_rate"].as_str().unwrap().ends_with('%'), "{cache}");
    assert_eq!(cache["tenants"][0]["tenant"], "acme");
    let cleared = world.post("/api/v1/vault/cache/clear", &world.operator, "").await;
    assert_eq!(cleared.ok(200)["cleared_stats"]["total_entries"], 1);
    let metrics = world.get("/api/v1/vault/metrics", &world.operator).await;
    assert_eq!(metrics.ok(200)["cache_metrics"]["total_entries"], 0);
}

#[tokio::test]
async fn versions_are_created_listed_rolled_back_and_destroyed() {
    let world = world().await;
    let operator = &world.operator;
    let new = json!({ "description": "after the audit", "created_by": "mallory" });
    let created = world.post(&key("versions"), operator, &new).await;
    let version = &created.ok(201)["version"];
    assert_eq!(
        names(version),
        ["active", "created_at", "created_by", "description", "key_hash", "version"]
    );
    assert_eq!(version["version"], 2);
    assert_eq!(version["created_by"], "operator", "the token says who, not the body");
    assert_eq!((&version["description"], &version["active"]), (&new["description"], &json!(true)));
    assert!(version["key_hash"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(created.headers["location"], "/api/v1/vault/keys/orders/versions/2?tenant=acme");
    world.call(Method::POST, &key("versions"), operator, "").await.ok(201);
    let list = world.get(&key("versions"), operator).await;
    assert_eq!(
        (&list.ok(200)["total"], &list.body["versions"][2]["active"]),
        (&json!(3), &json!(true))
    );

    let target = json!({ "target_version": 1, "rollback_by": "mallory" });
    let rolled_back = world.post(&key("rollback"), operator, &target).await;
    assert_eq!(rolled_back.ok(200)["rollback_by"], "operator");
    let current = world.get("/api/v1/tenants/acme/keys/orders", &world.admin).await;
    assert_eq!(
        current.ok(200)["current_version"],
        1,
        "the version in use is the one rolled back to"
    );

    let gone = world.call(Method::DELETE, &key("versions/3"), operator, "").await;
    assert_eq!(gone.ok(200)["deleted_by"], "operator");
    let history = world.get(&key("history"), operator).await;
    let body = history.ok(200);
    assert_eq!((&body["current_version"], &body["total_versions"]), (&json!(1), &json!(3)));
    assert_eq!(body["versions"][2]["destroyed_by"], "operator");
    assert!(body["last_rotation"].is_string());
    // A number is never used twice.
    let next = world.post(&key("versions"), operator, "{}").await;
    assert_eq!(next.ok(201)["version"]["version"], 4);
}

#[tokio::test]
async fn what_cannot_be_done_is_404_or_409() {
    let world = world().await;
    let operator = &world.operator;
    world.post(&key("versions"), operator, "{}").await.ok(201);
    let delete = |rest: &str| {
        let path = key(rest);
        let world = &world;
        async move { world.call(Method::DELETE, &path, operator, "").await }
    };
    delete("versions/2").await.problem(Code::KeyVersionIsCurrent);
    delete("versions/9").await.problem(Code::KeyVersionNotFound);
    delete("versions/1").await.ok(200);
    delete("versions/1").await.problem(Code::KeyVersionDestroyed);
    for bad in ["0", "-1", "one", "4294967296"] {
        delete(&format!("versions/{bad}")).await.problem(Code::InvalidRequest);
    }
    for (target, code) in [(1, Code::KeyVersionDestroyed), (9, Code::KeyVersionNotFound)] {
        let body = json!({ "target_version": target });
        world.post(&key("rollback"), operator, &body).await.problem(code);
    }
    for (body, field) in [
        (json!({ "target_version": 0 }), "/target_version"),
        (json!({ "target_version": "1" }), "/target_version"),
        (json!({}), "/target_version"),
        (json!({ "target_version": 1, "tenant": "other" }), "/tenant"),
    ] {
        let answer = world.post(&key("rollback"), operator, &body).await;
        answer.problem(Code::InvalidField).field(field);
    }
    let long = json!({ "description": "x".repeat(1025) });
    let answer = world.post(&key("versions"), operator, &long).await;
    answer.problem(Code::InvalidField).field("/description");
    let missing = "/api/v1/vault/keys/none/history?tenant=acme";
    world.get(missing, operator).await.problem(Code::KeyNotFound);
}

#[tokio::test]
async fn the_tenant_is_named_once_and_a_body_never_names_another() {
    let world = world().await;
    let history = "/api/v1/vault/keys/orders/history";
    world.get(history, &world.operator).await.problem(Code::TenantNotFound);
    let default = world.app.default_tenant.clone();
    world.app.keyring.create_tenant(&default).await.unwrap();
    world.get(history, &world.operator).await.problem(Code::KeyNotFound);
    let with = |query: &str, header: Option<&str>| {
        let mut request = Request::get(format!("{history}{query}"))
            .header("authorization", format!("Bearer {}", world.operator));
        if let Some(header) = header {
            request = request.header("x-keyward-tenant", header);
        }
        world.send(request.body(Body::empty()).unwrap())
    };
    with("", Some("acme")).await.ok(200);
    with("?tenant=acme", Some("acme")).await.ok(200);
    with("?tenant=acme", Some("other")).await.problem(Code::InvalidRequest);
    with("?tenant=acme&tenant=acme", None).await.problem(Code::InvalidRequest);
    with("?user_id=acme", None).await.problem(Code::InvalidRequest);
    with("?tenant=nobody", None).await.problem(Code::TenantNotFound);
    with("?tenant=../x", None).await.problem(Code::InvalidName);
}

#[tokio::test]
async fn no_body_or_query_says_who_it_is_or_which_key_or_version() {
    let world = world().await;
    let operator = &world.operator;
    world.post(KEYS, &world.admin, &json!({ "name": "other" })).await.ok(201);
    for _ in 0..2 {
        world.post(&key("versions"), operator, "{}").await.ok(201);
    }
    let before = world.get(&key("history"), operator).await.ok(200)["versions"].clone();
    let routes =
        [(Method::POST, "versions"), (Method::POST, "rollback"), (Method::DELETE, "versions/1")];
    for (method, route) in routes {
        for field in ["user_id", "key", "key_id", "tenant", "version"] {
            let mut body =
                if route == "rollback" { json!({ "target_version": 1 }) } else { json!({}) };
            body[field] = if field == "version" { json!(2) } else { json!("other") };
            let answer = world.call(method.clone(), &key(route), operator, &body).await;
            answer.problem(Code::InvalidField).field(&format!("/{field}"));
            // A second `tenant` is refused elsewhere.
            if field != "tenant" {
                let path = format!("{}&{field}=2", key(route));
                let answer = world.call(method.clone(), &path, operator, "").await;
                answer.problem(Code::InvalidRequest);
            }
        }
    }
    assert_eq!(world.get(&key("history"), operator).await.ok(200)["versions"], before);

    let forged = json!({ "deleted_by": "mallory" });
    let gone = world.call(Method::DELETE, &key("versions/1"), operator, &forged).await;
    assert_eq!(gone.ok(200)["deleted_by"], "operator", "the token says who, not the body");
    assert_eq!(gone.body["version"], 1);
    let history = world.get(&key("history"), operator).await;
    assert_eq!(history.ok(200)["versions"][0]["destroyed_by"], "operator");
    assert_eq!(history.body["versions"][1]["destroyed_by"], Value::Null);
}

#[tokio::test]
async fn a_disabled_key_is_not_used_until_it_is_enabled() {
    let world = world().await;
    let path = |action: &str| format!("{KEYS}/orders/{action}");
    world.post(&path("disable"), &world.application, "").await.problem(Code::Forbidden);
    let disabled = world.post(&path("disable"), &world.admin, "").await;
    assert_eq!(disabled.ok(200)["enabled"], false);
    let acme = "acme".parse().unwrap();
    let key = world.app.keyring.key(&acme, &"orders".parse().unwrap()).await.unwrap();
    let refused = world.app.keyring.version(&key, 1).await.err().unwrap();
    assert_eq!(Problem::from(refused).code, Code::KeyDisabled);
    let enabled = world.post(&path("enable"), &world.operator, "").await;
    assert_eq!(enabled.ok(200)["enabled"], true);
}

#[tokio::test]
async fn a_tenants_outage_contract() {
    let world = world().await;
    let outage = "/api/v1/tenants/acme/outage";
    let put = |token: String, body: Value| {
        let world = &world;
        async move { world.call(Method::PUT, outage, &token, body).await }
    };
    let shown = world.get(outage, &world.application).await;
    assert_eq!(shown.ok(200), &json!({ "outage": "fail-closed", "own": false }));
    let stale = json!({ "outage": "serve-stale=1h" });
    put(world.application.clone(), stale.clone()).await.problem(Code::Forbidden);
    put(world.stranger.clone(), stale.clone()).await.problem(Code::Forbidden);
    let set = put(world.operator.clone(), stale).await;
    assert_eq!(set.ok(200), &json!({ "outage": "serve-stale=1h", "own": true }));
    assert_eq!(world.get(outage, &world.application).await.ok(200), &set.body);
    let bad = put(world.operator.clone(), json!({ "outage": "always" })).await;
    bad.problem(Code::InvalidField).field("/outage");
    let reset = put(world.operator.clone(), json!({ "outage": null })).await;
    assert_eq!(reset.ok(200)["own"], false);
}

#[tokio::test]
async fn the_figures_for_prometheus_need_no_credential_and_name_no_secret() {
    let world = world().await;
    world.get(KEYS, &world.application).await.ok(200);
    world
        .post(ENCRYPT, &world.application, r#"{"plaintext":""}"#)
        .await
        .problem(Code::PolicyMissing);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response: Response<Body> = world.service.clone().call(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    for line in [
        "keyward_http_requests_total{route=\"keys\",status=\"200\"} 1",
        "keyward_http_errors_total{code=\"policy_missing\"} 1",
        "keyward_ready 1",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "no {line:?} in\n{text}");
    }
    assert!(!text.contains("kw_") && !text.contains("keyward_vault_"), "{text}");
}
