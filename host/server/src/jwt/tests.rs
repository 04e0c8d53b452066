use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::testing::{Signer, claims, config, publish};
use super::*;
use crate::tokens::Reach;

struct World {
    jwt: Jwt,
    signer: Signer,
    dir: tempfile::TempDir,
}

impl World {
    async fn new(algorithm: Algorithm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new("one", algorithm);
        let path = dir.path().join("jwks.json");
        publish(&path, &[&signer]);
        let jwt = Jwt::start(config(path)).unwrap();
        until(|| jwt.statistics().keys == 1).await;
        Self { jwt, signer, dir }
    }

    async fn verify(&self, more: Value) -> Result<Arc<Credential>, JwtError> {
        self.jwt.verify(&self.signer.sign(&claims(&more))).await
    }
}

async fn until(ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(10), "not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn refusal(result: Result<Arc<Credential>, JwtError>) -> &'static str {
    match result {
        Err(JwtError::Refused(detail)) => detail,
        other => panic!("{other:?}"),
    }
}

fn now() -> u64 {
    clock::unix_ms() / 1_000
}

/// Header and claims as they are, with this signature.
fn assemble(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn good_tokens_of_every_kind_of_key_are_taken() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let world = World::new(algorithm).await;
        for aud in [json!("keyward"), json!(["x", "other-name"])] {
            let credential = world.verify(json!({ "aud": aud, "roles": ["a"] })).await.unwrap();
            assert_eq!(credential.reach, Reach::Tenant("acme".parse().unwrap()));
            assert_eq!(credential.caller.roles, ["a"]);
            assert!(!credential.has_ended(clock::unix_ms()));
        }
        // Without a key's name, every key that fits is tried.
        let header = Header::new(algorithm);
        let token = encode(&header, &claims(&json!({})), &world.signer.key).unwrap();
        assert!(world.jwt.verify(&token).await.is_ok());
    }
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway_and_no_more() {
    let world = World::new(Algorithm::ES256).await;
    let ended = |before: u64| json!({ "exp": now() - before });
    let begins = |after: u64| json!({ "nbf": now() + after });
    assert!(world.verify(ended(25)).await.is_ok());
    assert_eq!(world.verify(ended(35)).await, Err(JwtError::Expired));
    assert!(world.verify(begins(25)).await.is_ok());
    assert!(refusal(world.verify(begins(35)).await).contains("not valid yet"));
    #[expect(clippy::cast_precision_loss, reason = "times are small")]
    let float = json!({ "exp": now() as f64 + 0.5 });
    assert!(world.verify(float).await.is_ok());
    refusal(world.verify(json!({ "exp": 1e300 })).await);
}

#[tokio::test]
async fn what_is_remembered_ends_in_time() {
    let world = World::new(Algorithm::ES256).await;
    let token = world.signer.sign(&claims(&json!({ "exp": now() - 28 })));
    assert!(world.jwt.verify(&token).await.is_ok());
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    assert_eq!(world.jwt.verify(&token).await, Err(JwtError::Expired));
}

#[tokio::test]
async fn what_is_for_somebody_else_is_refused() {
    let world = World::new(Algorithm::ES256).await;
    for (more, part) in [
        (json!({ "aud": "another" }), "audience"),
        (json!({ "aud": [] }), "audience"),
        (json!({ "aud": null }), "aud"),
        (json!({ "iss": "https://idp.test/" }), "issuer"),
        (json!({ "iss": ["https://elsewhere"] }), "issuer"),
        (json!({ "iss": null }), "iss"),
        (json!({ "exp": null }), "exp"),
        (json!({ "exp": "soon" }), "exp"),
        (json!({ "nbf": "soon" }), "claims"),
    ] {
        let refused = refusal(world.verify(more.clone()).await);
        assert!(refused.contains(part), "{more}: {refused}");
    }
}

#[tokio::test]
async fn nothing_but_the_providers_signature_makes_a_token() {
    let world = World::new(Algorithm::ES256).await;
    let good = world.signer.sign(&claims(&json!({})));
    assert!(world.jwt.verify(&good).await.is_ok());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let all = claims(&json!({ "roles": ["idp-ops"] }));

    // Not signed at all, in every spelling.
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", signature] {
            let token = assemble(&json!({ "alg": none, "typ": "JWT" }), &all, signature);
            refusal(world.jwt.verify(&token).await);
        }
    }
    // HMAC with what everybody knows.
    let (pem, jwk) = (world.signer.public_pem.clone(), world.signer.jwk().to_string());
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), jwk.as_bytes(), b""] {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            let header = Header { kid: Some("one".into()), ..Header::new(algorithm) };
            let token = encode(&header, &all, &EncodingKey::from_secret(secret)).unwrap();
            assert!(refusal(world.jwt.verify(&token).await).contains("algorithm"));
        }
    }
    // Another's key, under the same name, or brought along.
    let other = Signer::new("one", Algorithm::ES256);
    refusal(world.jwt.verify(&other.sign(&all)).await);
    let header = json!({ "alg": "ES256", "jwk": other.jwk(), "kid": "one" });
    let forged = other.sign(&all);
    let forged_signature = forged.rsplit_once('.').unwrap().1;
    refusal(world.jwt.verify(&assemble(&header, &all, forged_signature)).await);
    // An algorithm that the key is not for.
    for algorithm in ["ES384", "RS256", "PS256", "EdDSA", "HS256"] {
        let token = assemble(&json!({ "alg": algorithm, "kid": "one" }), &all, signature);
        refusal(world.jwt.verify(&token).await);
    }
    // Other claims under the signature; another signature; pieces.
    let header = serde_json::to_value(world.signer.header()).unwrap();
    refusal(world.jwt.verify(&assemble(&header, &all, signature)).await);
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of each part has bits that nothing reads.
        if let Ok(credential) = world.jwt.verify(&changed).await {
            assert_eq!(credential.caller.subject, "alice", "at {at}");
            let last = |part: &str| at + 1 == part.len();
            assert!(last(&good) || last(signed), "at {at}");
        }
    }
    for cut in [0, 1, 10, signed.len(), signed.len() + 1, good.len() - 1] {
        refusal(world.jwt.verify(&good[..cut]).await);
    }
    for more in
        [format!("{good}."), format!("{good}.a"), format!(".{good}"), format!("{good}{good}")]
    {
        refusal(world.jwt.verify(&more).await);
    }
    let critical = json!({ "alg": "ES256", "kid": "one", "crit": ["exp"] });
    refusal(world.jwt.verify(&assemble(&critical, &all, signature)).await);
    let huge = format!("{good}{}", "A".repeat(MAX_TOKEN));
    assert!(refusal(world.jwt.verify(&huge).await).contains("16 KiB"));
}

#[tokio::test]
async fn a_key_that_is_no_longer_published_no_longer_counts() {
    let world = World::new(Algorithm::ES256).await;
    let old = world.signer.sign(&claims(&json!({})));
    assert!(world.jwt.verify(&old).await.is_ok());
    let next = Signer::new("two", Algorithm::EdDSA);
    publish(&world.dir.path().join("jwks.json"), &[&next]);
    // A fetch has just been: the next is asked for in a while.
    world.jwt.keys.look_now();
    let fresh = next.sign(&claims(&json!({})));
    assert!(world.jwt.verify(&fresh).await.is_ok(), "an unknown key has the set fetched anew");
    refusal(world.jwt.verify(&old).await);
}

#[tokio::test]
async fn unknown_keys_do_not_have_the_set_fetched_each_time() {
    let world = World::new(Algorithm::ES256).await;
    world.jwt.keys.look_now();
    let fetched = || world.jwt.statistics().fetched;
    let before = fetched();
    let stranger = Signer::new("stranger", Algorithm::ES256);
    for number in 0..50 {
        let token = stranger.sign(&claims(&json!({ "jti": number.to_string() })));
        refusal(world.jwt.verify(&token).await);
    }
    assert_eq!(fetched() - before, 1);
}

#[tokio::test]
async fn without_keys_nobody_is_believed_and_the_last_good_ones_are_kept_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let signer = Signer::new("one", Algorithm::ES256);
    let brief = JwtConfig {
        refresh: Duration::from_millis(20),
        max_stale: Duration::from_millis(700),
        ..config(path.clone())
    };
    let jwt = Jwt::start(brief).unwrap();
    let token = signer.sign(&claims(&json!({})));
    assert_eq!(jwt.verify(&token).await, Err(JwtError::Unavailable));
    until(|| jwt.statistics().is_failing).await;
    publish(&path, &[&signer]);
    until(|| jwt.statistics().keys == 1).await;
    assert!(jwt.verify(&token).await.is_ok());
    for broken in ["", "{}", "<html>", r#"{"keys":[]}"#] {
        std::fs::write(&path, broken).unwrap();
        let failed = jwt.statistics().failed;
        until(|| jwt.statistics().failed > failed).await;
        assert!(jwt.verify(&token).await.is_ok(), "{broken:?}");
    }
    until(|| jwt.statistics().keys == 0).await;
    assert_eq!(jwt.verify(&token).await, Err(JwtError::Unavailable), "even what was verified");
    publish(&path, &[&signer]);
    until(|| jwt.statistics().keys == 1).await;
    assert!(jwt.verify(&token).await.is_ok());
}
