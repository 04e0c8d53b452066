//! Every route leaves an entry, whoever asks and however it ends.

use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::audit::Operation;

/// Every route there is.
fn routes() -> Vec<(Method, String)> {
    let (_, described) = all_routes().into_parts();
    let method = |name: &str| name.to_uppercase().parse().unwrap();
    described.iter().map(|route| (method(route.method), route.path.to_owned())).collect()
}

fn entries(dir: &Path) -> HashMap<String, Vec<Value>> {
    let mut entries: HashMap<String, Vec<Value>> = HashMap::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let id = line["request_id"].as_str().unwrap_or_default().to_owned();
                entries.entry(id).or_default().push(line);
            }
        }
    }
    entries
}

#[tokio::test]
async fn every_route_leaves_an_entry() {
    let world = World::new().await;
    let routes = routes();
    assert!(routes.len() > 50, "{routes:?}");
    let mut asked = Vec::new();
    for (method, template) in &routes {
        let path = template
            .replace("{tenant}", "acme")
            .replace("{name}", "main")
            .replace("{key}", "main")
            .replace("{version}", "1")
            .replace("{operation}", "protect");
        let tokens = [
            None,
            Some(&world.operator),
            Some(&world.admin),
            Some(&world.application),
            Some(&world.stranger),
        ];
        for (index, token) in tokens.into_iter().enumerate() {
            let id = format!("route-{}-{index}", asked.len());
            let mut request = Request::builder()
                .method(method.clone())
                .uri(&path)
                .header("content-type", "application/json")
                .header("x-request-id", &id);
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.body(Body::from("{}")).unwrap();
            let response = world.service.clone().call(request).await.unwrap();
            asked.push((id, method.clone(), path.clone(), index, response.status().as_u16()));
        }
    }
    let audit = world.app.audit.as_ref().unwrap();
    audit.log.close().await;
    let entries = entries(&audit.dir);
    for (id, method, path, who, status) in asked {
        let found = entries.get(&id);
        if ["/livez", "/readyz", "/metrics", "/api/v1/openapi.json"].contains(&path.as_str()) {
            assert!(found.is_none(), "{method} {path}");
            continue;
        }
        let about = format!("{method} {path}: {found:?}");
        let [entry, ..] = found.expect(&about).as_slice() else { panic!("{about}") };
        let operation = Operation::of(&method, &path);
        assert_ne!(operation.name, "unknown", "{method} {path} needs a name in audit/operation.rs");
        assert_eq!(entry["operation"], *operation.name, "{about}");
        assert_eq!(entry["status"], status, "{about}");
        let subjects = [Value::Null, "operator".into(), "tenant-admin".into()];
        if let Some(subject) = subjects.get(who).filter(|_| who < 2) {
            assert_eq!(&entry["subject"], subject, "{about}");
        }
        if who == 0 {
            assert_eq!((status, &entry["code"]), (401, &json!("unauthenticated")), "{about}");
        }
        if path.contains("/acme/") {
            assert_eq!(entry["tenant"], "acme", "{about}");
        }
    }
    keyward_audit::verify(&audit.dir, &keyward_audit::Options::default()).unwrap();
}

#[tokio::test]
async fn what_is_no_route_leaves_an_entry_too() {
    let world = World::new().await;
    for (method, path, status) in
        [("GET", "/nowhere", 404), ("PUT", "/api/v1/tenants/acme/encrypt", 405)]
    {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", format!("no-{status}"))
            .body(Body::empty())
            .unwrap();
        let response = world.service.clone().call(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
    }
    let audit = world.app.audit.as_ref().unwrap();
    audit.log.close().await;
    let entries = entries(&audit.dir);
    for status in [404, 405] {
        let entry = &entries[&format!("no-{status}")][0];
        assert_eq!((&entry["operation"], &entry["status"]), (&json!("unknown"), &json!(status)));
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_an_entry() {
    let world = World::new().await;
    let body =
        Body::from_stream(futures_util::stream::pending::<Result<&'static str, std::io::Error>>());
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/tenants/acme/keys")
        .header("content-type", "application/json")
        .header("x-request-id", "gone")
        .header("authorization", format!("Bearer {}", world.admin))
        .body(body)
        .unwrap();
    let handled = world.service.clone().call(request);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), handled).await.is_err());
    let audit = world.app.audit.as_ref().unwrap();
    audit.log.close().await;
    let entry = &entries(&audit.dir)["gone"][0];
    assert_eq!((&entry["status"], &entry["code"]), (&json!(499), &json!("abandoned")));
    assert_eq!(entry["operation"], "key.create");
}
