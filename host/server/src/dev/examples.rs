//! The curl lines that `keyward dev` prints. Their ciphertext is a real one, made through the API.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::env_file::EnvFile;
use super::{KEY, TENANT};
use crate::app::App;

/// "hello, keyward" in base64.
const PLAINTEXT: &str = "aGVsbG8sIGtleXdhcmQ=";
/// An order, with the fields that the `fields` policy has rules for.
const DOCUMENT: &str = concat!(
    r#"{"customer":{"name":"Ada","email":"ada@example.org","card":"4111111111111111"},"#,
    r#""orders":[{"item":"book","note":"a gift"}],"internal":{"margin":3}}"#
);

/// Three lines: encrypt, decrypt, protect a document.
pub async fn make(app: &Arc<App>, env: &EnvFile) -> String {
    let encrypt = format!(r#"{{"key":"{KEY}","plaintext":"{PLAINTEXT}"}}"#);
    let mut lines = line(env, "encrypt", &encrypt);
    if let Some(ciphertext) = ciphertext(app, env, &encrypt).await {
        let decrypt = format!(r#"{{"ciphertext":"{ciphertext}"}}"#);
        lines.push_str(&line(env, "decrypt", &decrypt));
    } else {
        let why = "# the tenant's policy does not let this token encrypt with `demo`\n";
        lines.push_str(why);
    }
    lines.push_str(&line(env, "invoke/protect", DOCUMENT));
    lines
}

fn line(env: &EnvFile, route: &str, body: &str) -> String {
    let EnvFile { addr, token, .. } = env;
    format!(
        "curl -sS {addr}/api/v1/tenants/{TENANT}/{route} -H 'Authorization: Bearer {token}' \
         -H 'Content-Type: application/json' -d '{body}'\n"
    )
}

async fn ciphertext(app: &Arc<App>, env: &EnvFile, body: &str) -> Option<String> {
    let request = Request::post(format!("/api/v1/tenants/{TENANT}/encrypt"))
        .header(AUTHORIZATION, format!("Bearer {}", env.token))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .ok()?;
    let response = app.service().oneshot(request).await.ok()?;
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(answer.get("ciphertext")?.as_str()?.to_owned())
}
