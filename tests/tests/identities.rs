//! Who is believed, over the real network: tokens that end, JWTs of a provider that comes and goes,
//! client certificates, and certificates of the server's own that are replaced.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use keyward_tests::{Cli, Client, LIMIT, Server, b64, raw, until};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A provider's signing key.
struct Signer {
    id: &'static str,
    key: EncodingKey,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        Self { id, key: EncodingKey::from_ec_der(&pair.serialize_der()) }
    }

    fn sign(&self, more: &Value) -> String {
        let mut claims = json!({
            "iss": "https://idp.test", "aud": "keyward", "sub": "alice", "exp": now() + 600,
            "tenant": "demo", "roles": ["app"],
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = Header { kid: Some(self.id.into()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &self.key).unwrap()
    }

    fn jwks(signers: &[&Self]) -> String {
        let keys = signers.iter().map(|signer| {
            let mut jwk = Jwk::from_encoding_key(&signer.key, Algorithm::ES256).unwrap();
            jwk.common.key_id = Some(signer.id.into());
            serde_json::to_value(jwk).unwrap()
        });
        json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    }
}

/// Publishes a text over HTTP, for as long as it has one.
struct Provider {
    address: String,
    text: Arc<Mutex<Option<String>>>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let text = Arc::new(Mutex::new(None::<String>));
        let published = Arc::clone(&text);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let text = published.lock().unwrap().clone();
                // Nothing to say: the connection just ends.
                if let Some(text) = text {
                    let length = text.len();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                    let _ = stream.write_all((head + &text).as_bytes());
                }
            }
        });
        Self { address, text }
    }

    fn publish(&self, text: Option<String>) {
        *self.text.lock().unwrap() = text;
    }
}

#[test]
fn a_provider_that_comes_and_goes() {
    let provider = Provider::start();
    let url = format!("http://{}/keys", provider.address);
    let server = Server::dev_with(&[
        ("KEYWARD_JWT_ISSUER", "https://idp.test"),
        ("KEYWARD_JWT_AUDIENCE", "keyward"),
        ("KEYWARD_JWT_JWKS_URL", &url),
        ("KEYWARD_JWT_ROLES", "app=application;boss=tenant-admin"),
        ("KEYWARD_JWT_OPERATOR_ROLE", "ops"),
        ("KEYWARD_JWT_REFRESH", "1s"),
        ("KEYWARD_JWT_MAX_STALE", "4s"),
    ]);
    let signer = Signer::new("one");
    let token = signer.sign(&json!({}));
    let demo = server.client().below("/api/v1/tenants/demo");
    let encrypt = json!({ "key": "demo", "plaintext": b64("x") });

    // It was never there: its tokens have to wait, others not.
    let answer = demo.token(&token).post("/encrypt", &encrypt);
    let answer = answer.problem(503, "identity_unavailable");
    assert_ne!(answer.header("retry-after"), "");
    demo.token(&server.demo_token).post("/encrypt", &encrypt).expect(200);
    let ready = server.client().get("/readyz").expect(200);
    assert!(ready.text().contains("identity provider"), "{}", ready.text());

    provider.publish(Some(Signer::jwks(&[&signer])));
    until("its keys are fetched", || demo.token(&token).post("/encrypt", &encrypt).status == 200);
    let admin = demo.token(&signer.sign(&json!({ "roles": ["boss"] })));
    admin.post("/keys", &json!({ "name": "by-jwt" })).expect(201);
    let operator = server.client().token(&signer.sign(&json!({ "roles": ["ops"] })));
    operator.get("/api/v1/tenants").expect(200);
    operator.below("/api/v1/tenants/demo").post("/encrypt", &encrypt).problem(403, "forbidden");
    let reserved = signer.sign(&json!({ "roles": ["tenant-admin", "operator"] }));
    demo.token(&reserved).post("/keys", &json!({ "name": "more" })).problem(403, "forbidden");
    let stranger = signer.sign(&json!({ "tenant": "other" }));
    demo.token(&stranger).post("/encrypt", &encrypt).problem(403, "forbidden");

    // Away for less than `max_stale`: the last keys count. Then they do not.
    provider.publish(None);
    until("a fetch fails", || {
        server
            .client()
            .get("/metrics")
            .text()
            .contains("keyward_jwt_keys_fetches_total{result=\"failed\"}")
            && server.client().get("/readyz").text().contains("cannot be fetched anew")
    });
    demo.token(&token).post("/encrypt", &encrypt).expect(200);
    until("the keys are too old", || demo.token(&token).post("/encrypt", &encrypt).status == 503);
    provider.publish(Some(Signer::jwks(&[&signer])));
    until("it is back", || demo.token(&token).post("/encrypt", &encrypt).status == 200);

    // Other keys: who signed with the old ones is nobody.
    let next = Signer::new("two");
    provider.publish(Some(Signer::jwks(&[&next])));
    let fresh = next.sign(&json!({}));
    until("the new key counts", || demo.token(&fresh).post("/encrypt", &encrypt).status == 200);
    demo.token(&token).post("/encrypt", &encrypt).problem(401, "unauthenticated");
    assert!(!server.stderr().contains(&token) && !server.stderr().contains(&fresh));
}

/// The policy of `keyward dev` asks for role `application`: what a credential calls its roles is
/// what the policy sees.
#[test]
fn roles_and_claims_reach_the_policy_by_whatever_way() {
    let signer = Signer::new("one");
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("jwks.json");
    std::fs::write(&keys, Signer::jwks(&[&signer])).unwrap();
    let server = Server::dev_with(&[
        ("KEYWARD_JWT_ISSUER", "https://idp.test"),
        ("KEYWARD_JWT_AUDIENCE", "keyward"),
        ("KEYWARD_JWT_JWKS_FILE", keys.to_str().unwrap()),
    ]);
    let demo = server.client().below("/api/v1/tenants/demo");
    let encrypt = json!({ "key": "demo", "plaintext": b64("x") });
    let with = |roles: Value| demo.token(&signer.sign(&json!({ "roles": roles })));
    with(json!(["application"])).post("/encrypt", &encrypt).expect(200);
    with(json!(["something-else"])).post("/encrypt", &encrypt).problem(403, "policy_refused");
}

/// Certificates of one authority, and files of them.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

struct Pair {
    chain: String,
    key: String,
    der: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn issue(&self, name: SanType, (from, to): (i32, i32)) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        Pair { chain: made.pem(), key: key.serialize_pem(), der: made.der().to_vec() }
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A server's certificate for 127.0.0.1.
fn of_server(authority: &Authority, to: i32) -> Pair {
    authority.issue(SanType::IpAddress([127, 0, 0, 1].into()), (2020, to))
}

fn write(dir: &Path, pair: &Pair) {
    // The key first, each by a rename, as certificate managers do.
    for (name, text) in [("key.pem", &pair.key), ("cert.pem", &pair.chain)] {
        let new = dir.join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, dir.join(name)).unwrap();
    }
}

/// A client that trusts the authority and shows a certificate, if it has one.
fn client(address: &str, trusted: &Authority, shown: Option<&Pair>) -> Client {
    let root = Certificate::from_pem(trusted.pem().as_bytes()).unwrap().to_owned();
    let mut tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root]));
    if let Some(pair) = shown {
        let chain = [Certificate::from_der(&pair.der).to_owned()];
        let key = PrivateKey::from_pem(pair.key.as_bytes()).unwrap();
        tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Client::with_tls(&format!("https://{address}"), tls.build())
}

fn https(home: &Path, more: &str) -> String {
    let home = home.display();
    format!("[tls]\ncert = '{home}/cert.pem'\nkey = '{home}/key.pem'\nreload = \"200ms\"\n{more}")
}

#[test]
fn client_certificates_speak_for_whom_the_map_says() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let home = Arc::new(tempfile::tempdir().unwrap());
    write(home.path(), &of_server(&ours, 2099));
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).unwrap();
    let config = https(
        home.path(),
        &format!(
            "client_ca = {ca:?}\nclient_auth = \"optional\"\n[mtls]\nmap = [\n\
             \"spiffe://x/app=tenant:acme,role:application,subject:app\",\n\
             \"spiffe://x/admin/*=tenant:acme,role:tenant-admin\",\n\
             \"spiffe://x/ops=operator\"]\n"
        ),
    );
    let server = Server::serve_in(Arc::clone(&home), &config, &[]);
    let of =
        |name: &str| client(&server.address, &ours, Some(&ours.issue(uri(name), (2020, 2099))));
    let ops = of("spiffe://x/ops");
    ops.post("/api/v1/tenants", &json!({ "name": "acme" })).expect(201);
    let keys = "/api/v1/tenants/acme/keys";
    of("spiffe://x/admin/eve").post(keys, &json!({ "name": "k" })).expect(201);
    let app = of("spiffe://x/app");
    app.get(keys).expect(200);
    app.post(keys, &json!({ "name": "l" })).problem(403, "forbidden");
    app.get("/api/v1/tenants").problem(403, "forbidden");
    of("spiffe://x/nobody").get(keys).problem(401, "unauthenticated");
    // A bearer token goes first, be it good or not.
    ops.token("kw_wrong").get("/api/v1/tenants").problem(401, "unauthenticated");
    let plain = client(&server.address, &ours, None);
    plain.get(keys).problem(401, "unauthenticated");
    plain.token(&server.operator_token).get(keys).expect(200);

    // Who cannot show a certificate that counts does not get through the handshake.
    for (what, pair) in [
        ("of another authority", theirs.issue(uri("spiffe://x/ops"), (2020, 2099))),
        ("expired", ours.issue(uri("spiffe://x/ops"), (2019, 2020))),
        ("not valid yet", ours.issue(uri("spiffe://x/ops"), (2098, 2099))),
    ] {
        let refused = client(&server.address, &ours, Some(&pair)).try_send("GET", keys, &[], b"");
        assert!(refused.is_err(), "{what}");
    }
    let seen = ops.get("/api/v1/audit?subject=app").expect(200).text();
    assert!(seen.contains("\"credential\":\"cert:sha256-"), "{seen}");
}

#[test]
fn where_certificates_are_required_nobody_is_heard_without() {
    let ours = Authority::new("ours");
    let home = Arc::new(tempfile::tempdir().unwrap());
    write(home.path(), &of_server(&ours, 2099));
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).unwrap();
    let more = format!("client_ca = {ca:?}\nclient_auth = \"required\"\n");
    let server = Server::serve_in(Arc::clone(&home), &https(home.path(), &more), &[]);
    let plain = client(&server.address, &ours, None);
    assert!(plain.try_send("GET", "/livez", &[], b"").is_err());
    let pair = ours.issue(uri("spiffe://x/a"), (2020, 2099));
    client(&server.address, &ours, Some(&pair)).get("/livez").expect(200);
}

#[test]
fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let home = Arc::new(tempfile::tempdir().unwrap());
    write(home.path(), &of_server(&first, 2098));
    let server = Server::serve_in(Arc::clone(&home), &https(home.path(), ""), &[]);
    let trusts = |authority: &Authority| {
        client(&server.address, authority, None).try_send("GET", "/livez", &[], b"").is_ok()
    };
    let metric = |authority: &Authority, name: &str| {
        let text = client(&server.address, authority, None).get("/metrics").expect(200).text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        line.and_then(|value| value.parse::<f64>().ok()).unwrap_or_default()
    };
    let expires = "keyward_tls_certificate_expires_seconds";
    assert!(trusts(&first) && !trusts(&second));
    assert!((metric(&first, expires) - 4_039_372_800.0).abs() < 1.0);

    std::fs::write(home.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nbroken").unwrap();
    let failed = "keyward_tls_reloads_total{result=\"failed\"}";
    until("the broken file is noticed", || metric(&first, failed) >= 1.0);
    assert!(trusts(&first));
    let log = server.stderr();
    assert!(log.contains("the old ones stay") && log.contains("tls.cert"), "{log}");

    write(home.path(), &of_server(&second, 2099));
    until("the new files are taken", || trusts(&second));
    assert!(!trusts(&first));
    assert!((metric(&second, expires) - 4_070_908_800.0).abs() < 1.0);

    let ok = "keyward_tls_reloads_total{result=\"ok\"}";
    let before = metric(&second, ok);
    server.signal(Signal::HUP);
    until("SIGHUP has them read", || metric(&second, ok) > before);
}

#[test]
fn tokens_from_the_command_line() {
    let server = Server::serve("");
    server.tenant("acme");
    let cli = Cli::operator(&server).env("KEYWARD_TENANT", "acme");
    let json = |args: &[&str]| cli.run(&[args, &["--json"]].concat()).good().json();
    let made = json(&[
        "token",
        "create",
        "--subject",
        "orders",
        "--role",
        "application",
        "--ttl",
        "12h",
        "--name",
        "shop",
        "--only-operation",
        "encrypt",
        "--only-key",
        "orders-*",
    ]);
    assert_eq!(made["scope"], json!({ "operations": ["encrypt"], "keys": ["orders-*"] }));
    let id = made["id"].as_str().unwrap();
    assert_eq!(json(&["token", "show", id])["name"], "shop");
    assert!(json(&["token", "list"]).to_string().contains(id));
    let rotated = json(&["token", "rotate", id, "--overlap", "1h"]);
    assert_eq!(json(&["token", "show", id])["replaced_by"], rotated["id"]);
    json(&["token", "revoke", id]);
    let gone = server.client().token(made["token"].as_str().unwrap());
    gone.get("/api/v1/tenants/acme/keys").problem(401, "unauthenticated");
    let operators = json(&["token", "list", "--operators"]);
    assert_eq!(operators["tokens"].as_array().unwrap().len(), 1);
}

/// What a caller writes in its requests stays one line's worth, and its own.
#[test]
fn nothing_of_a_request_breaks_out_of_a_header_or_a_line() {
    let server = Server::serve_with("", &[("KEYWARD_LOG_LEVEL", "debug")]);
    let ask = |id: &str, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n");
        String::from_utf8(raw(
            &server.address,
            format!("{head}connection: close\r\n\r\n").as_bytes(),
        ))
        .unwrap()
    };
    for id in ["a\tb", "a b", "a;b", "a\"b", "a\u{1b}[31m", &"x".repeat(65)] {
        let answer = ask(id, "/livez");
        let line = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        let given = line.unwrap_or("none");
        assert!(!answer.contains(id), "{id:?}: {answer}");
        assert!(given.bytes().all(|b| b.is_ascii_alphanumeric()), "{id:?}: {answer}");
    }
    // A line's end ends the header: what follows is one of its own, and answers nothing.
    let answer = ask("a\r\nx-evil: 1", "/livez");
    assert!(!answer.contains("x-evil"), "{answer}");
    ask("b", "/api/v1/tenants/%0AINJECTED%20line/keys");
    ask("b", "/api/v1/\u{1b}[31mRED");
    let made = server.operator().post("/api/v1/tenants", &json!({ "name": "a\nINJECTED line" }));
    made.problem(400, "invalid_name");
    let log = server.stderr();
    assert!(!log.lines().any(|line| line.starts_with("INJECTED")), "{log}");
    assert!(!log.contains("\u{1b}[31mRED"), "{log}");
    // Oversized headers end the connection with a plain refusal.
    let huge = raw(
        &server.address,
        format!(
            "GET /livez HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            "a".repeat(1 << 20)
        )
        .as_bytes(),
    );
    assert!(String::from_utf8_lossy(&huge).starts_with("HTTP/1.1 431"), "{huge:?}");
    server.client().get("/livez").expect(200);
}

/// Slow and idle connections are let go of; a full house waits.
#[test]
fn connections_that_do_nothing_are_closed() {
    let server = Server::serve_with(
        "",
        &[("KEYWARD_HTTP_HEADER_TIMEOUT", "1s"), ("KEYWARD_HTTP_MAX_CONNECTIONS", "2")],
    );
    let ends = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (start, mut answer) = (Instant::now(), Vec::new());
        stream.read_to_end(&mut answer).unwrap();
        (start.elapsed(), String::from_utf8_lossy(&answer).into_owned())
    };
    // Idle after an answer, within headers, and before anything.
    let (took, answer) = ends(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    for begun in [&b"GET /livez HTTP/1.1\r\nhost:"[..], b""] {
        let (took, _) = ends(begun);
        assert!(took < Duration::from_secs(10), "{begun:?}: {took:?}");
    }
    // Two that hold every place: the third is served when one of them is let go.
    let held: Vec<_> = (0..2).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    server.client().get("/livez").expect(200);
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
    drop(held);
}
