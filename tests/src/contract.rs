//! The API's description, docs/openapi.json, held against every answer that any test gets: a status
//! or an error code that a route does not name is a fault, of the server or of the description.

use std::sync::LazyLock;

use serde_json::Value;

use crate::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
});

/// Fails if the route does not say that it may answer so. What is no route is not looked at.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.to_string();
    // Not the router's: HTTP itself was wrong.
    let by_http = answer.header("x-request-id").is_empty();
    let response = operation["responses"].get(&status).map(|response| {
        let shared = response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        shared.and_then(|pointer| DOCUMENT.pointer(pointer)).unwrap_or(response)
    });
    let Some(response) = response else {
        assert!(
            by_http,
            "{}: {status} is not in docs/openapi.json: {}",
            answer.asked,
            answer.text()
        );
        return;
    };
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
    if media_type != "application/problem+json" {
        return;
    }
    let code = &answer.json()["code"];
    let named =
        response.pointer("/content/application~1problem+json/schema/allOf/1/properties/code/enum");
    let is_named = named.and_then(Value::as_array).is_some_and(|named| named.contains(code));
    assert!(is_named, "{}: {status} {code} is not in docs/openapi.json", answer.asked);
}

/// The operation of a path: one without a parameter in the place of a word goes before another.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let fitting = paths.iter().filter(|(template, _)| fits(template, path));
    let (_, methods) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    methods.get(method.to_lowercase())
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}
