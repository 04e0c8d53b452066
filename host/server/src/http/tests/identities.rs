//! Every route of the API with every kind of credential. What is expected follows from whom the route
//! says it is for, so that one that is added is tested, too.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use keyward_audit::Sight;
use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

use super::*;
use crate::audit::{Operation, UNKNOWN};
use crate::clock;
use crate::http::openapi::Who;
use crate::jwt::testing::{Signer, claims, config, publish};
use crate::mtls::{ClientCertificate, Mapping};
use crate::tokens::Scope;
use crate::tokens::scope::Kind;

/// Whom a credential speaks for.
#[derive(Clone, Copy, Debug)]
enum Holder {
    /// Nobody, for this reason.
    Nobody(Code),
    /// An application of tenant `acme`.
    Application,
    /// A tenant-admin of `acme`.
    Admin,
    /// A tenant-admin of another tenant.
    Stranger,
    /// An operator.
    Operator,
    /// Somebody whose credential is for nothing that any route does.
    OutOfScope,
}

enum Shown {
    Nothing,
    Header(String),
    Twice(String),
    Certificate(Arc<ClientCertificate>),
}

fn bearer(token: impl AsRef<str>) -> Shown {
    Shown::Header(format!("Bearer {}", token.as_ref()))
}

/// What refuses a credential as such.
const REFUSALS: [Code; 5] = [
    Code::Unauthenticated,
    Code::TokenExpired,
    Code::IdentityUnavailable,
    Code::Forbidden,
    Code::OutOfScope,
];

/// What a route for `who` answers a credential; `None`: it passes.
fn expected(who: Who, holder: Holder) -> Option<Code> {
    let refused = match (who, holder) {
        (Who::Anybody, _) => return None,
        (_, Holder::Nobody(code)) => return Some(code),
        (_, Holder::OutOfScope) => return Some(Code::OutOfScope),
        (Who::Authenticated, _) => false,
        (Who::TenantOnly, holder) => matches!(holder, Holder::Operator | Holder::Stranger),
        (Who::Readers, holder) => matches!(holder, Holder::Stranger),
        (Who::Managers, holder) => matches!(holder, Holder::Application | Holder::Stranger),
        (Who::TenantAdmins, holder) => {
            matches!(holder, Holder::Application | Holder::Operator | Holder::Stranger)
        }
        (Who::Operators, holder) => !matches!(holder, Holder::Operator),
    };
    refused.then_some(Code::Forbidden)
}

fn path_of(template: &str) -> String {
    template
        .replace("{tenant}", "acme")
        .replace("{name}", "none")
        .replace("{key}", "none")
        .replace("{version}", "1")
        .replace("{operation}", "none")
        .replace("{id}", &"0".repeat(32))
        .replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
}

async fn world() -> (World, Signer) {
    let dir = tempfile::tempdir().unwrap();
    let (signer, keys) = (Signer::new("one", Algorithm::ES256), dir.path().join("jwks.json"));
    publish(&keys, &[&signer]);
    let mut built = crate::testing::config(dir.path());
    built.jwt = Some(config(keys));
    let app = App::build(built).await.unwrap();
    crate::testing::eventually("keys of the provider", async || {
        (app.jwt.as_ref()?.statistics().keys == 1).then_some(())
    })
    .await;
    (World::of(app, dir).await, signer)
}

/// A certificate with this name, as the network side knows it.
fn certificate(name: &str, year: i32) -> Shown {
    let mapping = Mapping::read([
        "spiffe://x/app=tenant:acme,role:application",
        "spiffe://x/admin=tenant:acme,role:tenant-admin",
        "spiffe://x/stranger=tenant:other,role:tenant-admin",
        "spiffe://x/ops=operator",
    ]);
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
    params.not_after = date_time_ymd(year, 1, 1);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Shown::Certificate(Arc::new(mapping.unwrap().identify(made.der())))
}

impl World {
    /// A token of this reach and role that differs from a plain one.
    async fn special(
        &self,
        reach: Reach,
        role: &str,
        change: impl FnOnce(&mut NewToken),
    ) -> String {
        let caller = Caller { subject: role.into(), roles: vec![role.into()], claims: Vec::new() };
        let mut new = NewToken::of(reach, caller);
        change(&mut new);
        self.app.tokens.mint(new).await.unwrap().0.expose().to_owned()
    }

    async fn show(&self, method: &Method, path: &str, shown: &Shown) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        match shown {
            Shown::Header(value) => request = request.header("authorization", value),
            Shown::Twice(value) => {
                request = request.header("authorization", value).header("authorization", value);
            }
            Shown::Certificate(certificate) => {
                request = request.extension(Arc::clone(certificate));
            }
            Shown::Nothing => {}
        }
        self.send(request.body(Body::from("{}")).unwrap()).await
    }
}

async fn tokens(world: &World) -> Vec<(&'static str, Holder, Shown)> {
    let acme = || Reach::Tenant("acme".parse().unwrap());
    let nothing = |new: &mut NewToken| {
        let scope = Scope::default().with(Kind::Operations, Some(&["nothing".to_owned()]));
        new.scope = scope.unwrap();
    };
    let ended = |new: &mut NewToken| new.expires_at = Some(clock::unix_ms());
    let unknown = crate::tokens::Token::generate().unwrap();
    let revoked = world.special(acme(), "tenant-admin", |_| {}).await;
    let known = world.app.tokens.verify(&revoked).await.unwrap().unwrap();
    world.app.tokens.revoke(&acme(), &known.id).await.unwrap();
    let no = Holder::Nobody(Code::Unauthenticated);
    let over = Holder::Nobody(Code::TokenExpired);
    let mut damaged = world.operator.clone();
    let last = damaged.pop().unwrap();
    damaged.push(if last == 'A' { 'B' } else { 'A' });
    vec![
        ("nothing", no, Shown::Nothing),
        ("no scheme", no, Shown::Header(world.operator.clone())),
        ("another scheme", no, Shown::Header(format!("Basic {}", world.operator))),
        ("an empty token", no, Shown::Header("Bearer ".into())),
        ("two headers", no, Shown::Twice(format!("Bearer {}", world.operator))),
        ("a damaged token", no, bearer(damaged)),
        ("a token cut short", no, bearer(&world.operator[..20])),
        ("an unknown token", no, bearer(unknown.expose())),
        ("a revoked token", no, bearer(revoked)),
        ("an ended token", over, bearer(world.special(acme(), "tenant-admin", ended).await)),
        (
            "an ended operator",
            over,
            bearer(world.special(Reach::Operator, "operator", ended).await),
        ),
        ("an application", Holder::Application, bearer(&world.application)),
        ("a tenant-admin", Holder::Admin, bearer(&world.admin)),
        ("another tenant's admin", Holder::Stranger, bearer(&world.stranger)),
        ("an operator", Holder::Operator, bearer(&world.operator)),
        // What the role is called makes nobody an operator.
        (
            "a role called so",
            Holder::Application,
            bearer(world.special(acme(), "operator", |_| {}).await),
        ),
        (
            "a limited application",
            Holder::OutOfScope,
            bearer(world.special(acme(), "application", nothing).await),
        ),
        (
            "a limited admin",
            Holder::OutOfScope,
            bearer(world.special(acme(), "tenant-admin", nothing).await),
        ),
        (
            "a limited operator",
            Holder::OutOfScope,
            bearer(world.special(Reach::Operator, "operator", nothing).await),
        ),
    ]
}

fn jwts(signer: &Signer) -> Vec<(&'static str, Holder, Shown)> {
    let now = clock::unix_ms() / 1_000;
    let sign = |more: Value| bearer(signer.sign(&claims(&more)));
    let ops = claims(&json!({ "roles": ["idp-ops"] }));
    let good = signer.sign(&ops);
    let (content, signature) = good.rsplit_once('.').unwrap();
    let payload = content.split_once('.').unwrap().1;
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    let hs256 = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
    let public = EncodingKey::from_secret(signer.public_pem.as_bytes());
    let no = Holder::Nobody(Code::Unauthenticated);
    vec![
        ("a JWT", Holder::Application, sign(json!({ "roles": ["application"] }))),
        ("a JWT of an admin", Holder::Admin, sign(json!({ "roles": ["idp-admin"] }))),
        ("a JWT of an operator", Holder::Operator, bearer(&good)),
        (
            "a JWT of a stranger",
            Holder::Stranger,
            sign(json!({ "tenant": "other", "roles": ["idp-admin"] })),
        ),
        (
            "reserved roles in a JWT",
            Holder::Application,
            sign(json!({ "roles": ["operator", "tenant-admin"] })),
        ),
        (
            "an ended JWT",
            Holder::Nobody(Code::TokenExpired),
            sign(json!({ "exp": now - 60, "roles": ["idp-ops"] })),
        ),
        ("a JWT too early", no, sign(json!({ "nbf": now + 60, "roles": ["idp-ops"] }))),
        ("a JWT for others", no, sign(json!({ "aud": "others", "roles": ["idp-ops"] }))),
        ("a JWT of others", no, sign(json!({ "iss": "https://others", "roles": ["idp-ops"] }))),
        ("a JWT without a tenant", no, sign(json!({ "tenant": null }))),
        ("a JWT cut short", no, bearer(&good[..good.len() - 10])),
        ("a JWT without its signature", no, bearer(format!("{content}."))),
        ("a JWT with alg none", no, bearer(&unsigned)),
        ("alg none with a signature", no, bearer(format!("{unsigned}{signature}"))),
        ("HMAC with the public key", no, bearer(encode(&hs256, &ops, &public).unwrap())),
        ("another's signature", no, bearer(Signer::new("one", Algorithm::ES256).sign(&ops))),
        ("an unknown key", no, bearer(Signer::new("two", Algorithm::ES256).sign(&ops))),
    ]
}

fn certificates() -> Vec<(&'static str, Holder, Shown)> {
    vec![
        ("a certificate", Holder::Application, certificate("spiffe://x/app", 2099)),
        ("an admin's certificate", Holder::Admin, certificate("spiffe://x/admin", 2099)),
        ("a stranger's certificate", Holder::Stranger, certificate("spiffe://x/stranger", 2099)),
        ("an operator's certificate", Holder::Operator, certificate("spiffe://x/ops", 2099)),
        (
            "a certificate of nobody",
            Holder::Nobody(Code::Unauthenticated),
            certificate("spiffe://x/opsy", 2099),
        ),
        (
            "an ended certificate",
            Holder::Nobody(Code::TokenExpired),
            certificate("spiffe://x/ops", 2020),
        ),
    ]
}

#[tokio::test]
async fn no_route_answers_whom_it_is_not_for() {
    let (world, signer) = world().await;
    let mut shown = tokens(&world).await;
    shown.extend(jwts(&signer));
    shown.extend(certificates());
    let routes = all_routes().into_parts().1;
    assert!(routes.len() > 60, "{}", routes.len());
    let mut wrong = Vec::new();
    for route in &routes {
        let method: Method = route.method.to_uppercase().parse().unwrap();
        let (path, who) = (path_of(route.path), route.endpoint.who);
        assert!(!path.contains('{'), "{path}: what stands for that?");
        for (name, holder, shown) in &shown {
            let answer = world.show(&method, &path, shown).await;
            let code = answer.body["code"].as_str().unwrap_or_default();
            let is_right = match expected(who, *holder) {
                Some(expected) => code == expected.as_str() && answer.status == expected.status(),
                None => !REFUSALS.iter().any(|refusal| code == refusal.as_str()),
            };
            if !is_right {
                wrong.push(format!("{method} {path} ({who:?}), {name}: {} {code}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Else a credential could not be limited to it.
#[test]
fn every_route_that_takes_a_credential_has_an_operation() {
    let mut names = BTreeSet::new();
    for route in all_routes().into_parts().1 {
        let (method, path) = (route.method.to_uppercase(), path_of(route.path));
        let operation = Operation::of(&method.parse().unwrap(), &path);
        if route.endpoint.who != Who::Anybody {
            assert_ne!(operation.name, UNKNOWN, "{method} {path}");
            names.insert(operation.name.into_owned());
        }
    }
    assert!(names.contains("encrypt") && names.contains("token.rotate"));
}

/// The identity provider may know tenants that are not there: nothing is left below their names.
#[tokio::test]
async fn nothing_is_kept_for_a_tenant_that_is_not_there() {
    let (world, signer) = world().await;
    let ghost = signer.sign(&claims(&json!({ "tenant": "ghost", "roles": ["idp-admin"] })));
    for (path, body) in [
        ("/api/v1/tenants/ghost/tokens", json!({ "subject": "s", "roles": [] })),
        ("/api/v1/tenants/ghost/keys", json!({ "name": "orders" })),
    ] {
        world.post(path, &ghost, body).await.problem(Code::TenantNotFound);
    }
    let body = json!({ "key": "orders", "plaintext": "" });
    let answer = world.post("/api/v1/tenants/ghost/encrypt", &ghost, body).await;
    answer.problem(Code::PolicyMissing);
    let kept = world.app.keyring.store().list("tenants").await.unwrap();
    assert!(!kept.iter().any(|it| it.starts_with("ghost")), "{kept:?}");
}

#[tokio::test]
async fn a_token_goes_before_a_certificate() {
    let (world, _) = world().await;
    let Shown::Certificate(ops) = certificate("spiffe://x/ops", 2099) else { unreachable!() };
    for (token, code) in
        [(&world.application, Code::Forbidden), (&"kw_none".to_owned(), Code::Unauthenticated)]
    {
        let request = Request::get("/api/v1/tenants")
            .header("authorization", format!("Bearer {token}"))
            .extension(Arc::clone(&ops))
            .body(Body::empty())
            .unwrap();
        world.send(request).await.problem(code);
    }
}

#[tokio::test]
async fn each_kind_of_credential_is_in_the_audit_log_by_its_identifier() {
    let (world, signer) = world().await;
    let jwt = signer.sign(&claims(&json!({ "jti": "j-1", "sub": "alice", "roles": ["idp-ops"] })));
    world.get("/api/v1/tenants", &jwt).await.ok(200);
    world.show(&Method::GET, KEYS, &certificate("spiffe://x/app", 2099)).await.ok(200);
    world.get(KEYS, &world.admin).await.ok(200);
    let log = world.app.audit.as_ref().unwrap();
    log.log.close().await;
    let query = keyward_audit::Query { limit: 100, ..keyward_audit::Query::default() };
    let entries = keyward_audit::query(&log.dir, &query, Sight::Nothing).unwrap().entries;
    let entries: Vec<Value> =
        entries.iter().map(|entry| serde_json::from_str(entry.get()).unwrap()).collect();
    let of = |subject: &str| {
        let entry = entries.iter().find(|entry| entry["subject"] == subject).unwrap();
        entry["credential"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("alice"), "jwt:j-1");
    assert!(of("spiffe://x/app").starts_with("cert:sha256-"));
    assert_eq!(of("tenant-admin").len(), 32);
}
