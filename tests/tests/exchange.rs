//! Keys that come in and go out wrapped, with OpenSSL as the other side; and public keys.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use keyward_tests::{Answer, Cli, Server, Tenant, b64, unb64};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Algorithms with key pairs, and whether OpenSSL 3.0 understands their documents.
const ASYMMETRIC: [(&str, bool); 9] = [
    ("ed25519", true),
    ("ecdsa-p256", true),
    ("ecdsa-p384", true),
    ("rsa-2048", true),
    ("rsa-oaep-2048", true),
    ("x25519", true),
    ("ml-kem-768", false),
    ("x25519-ml-kem-768", false),
    ("ml-dsa-65", false),
];

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

const SYMMETRIC: &[u8; 32] = b"brought along, 32 bytes in all..";

fn tenant(name: &str) -> Tenant {
    let tenant = SERVER.tenant_with_policy(name, "fields");
    tenant.new_key(&json!({ "name": "wrapping", "algorithm": "rsa-oaep-2048" }));
    tenant
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The other side: OpenSSL's command line, in a directory of its own.
struct OpenSsl(TempDir);

impl OpenSsl {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(args).current_dir(self.0.path()).output();
        let output = output.expect("OpenSSL 3 is needed");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn oaep<'a>(direction: &'a str, key: &[&'a str]) -> Vec<&'a str> {
        let padding = ["-pkeyopt", "rsa_padding_mode:oaep"];
        let hash = ["-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"];
        [&["pkeyutl", direction], key, &padding, &hash].concat()
    }

    /// `CKM_RSA_AES_KEY_WRAP` of `material` to a public key.
    #[track_caller]
    fn wrap(&self, public: &str, material: &[u8]) -> Vec<u8> {
        self.file("public.pem", public);
        self.file("material", material);
        let kek = self.run(&["rand", "32"]);
        self.file("kek", &kek);
        let args = Self::oaep("-encrypt", &["-pubin", "-inkey", "public.pem", "-in", "kek"]);
        let mut wrapped = self.run(&args);
        wrapped.extend(self.key_wrap("-e", &kek, "material"));
        wrapped
    }

    /// The other way, with the private key in `private.pem`, of 2048 bits.
    #[track_caller]
    fn unwrap(&self, wrapped: &[u8]) -> Vec<u8> {
        let (kek, wrapped) = wrapped.split_at(256);
        self.file("kek.wrapped", kek);
        self.file("wrapped", wrapped);
        let args = Self::oaep("-decrypt", &["-inkey", "private.pem", "-in", "kek.wrapped"]);
        let kek = self.run(&args);
        self.key_wrap("-d", &kek, "wrapped")
    }

    #[track_caller]
    fn key_wrap(&self, direction: &str, kek: &[u8], file: &str) -> Vec<u8> {
        let key = hex(kek);
        let cipher = ["enc", direction, "-id-aes256-wrap-pad", "-iv", "A65959A6", "-K", &key];
        self.run(&[&cipher[..], &["-in", file]].concat())
    }

    /// A private key as PKCS#8, DER.
    #[track_caller]
    fn generate(&self, options: &[&str]) -> Vec<u8> {
        self.run(&[&["genpkey", "-out", "made.pem", "-algorithm"], options].concat());
        self.run(&["pkcs8", "-topk8", "-nocrypt", "-in", "made.pem", "-outform", "DER"])
    }
}

fn public(tenant: &Tenant, key: &str) -> String {
    tenant.app.get(&format!("/keys/{key}/public")).expect(200).str("/public_key")
}

fn import(tenant: &Tenant, name: &str, algorithm: &str, wrapped: &[u8]) -> Answer {
    let body = json!({
        "algorithm": algorithm, "wrapping_key": "wrapping", "wrapped_key": b64(wrapped),
    });
    tenant.admin.post(&format!("/keys/{name}/import"), &body)
}

#[test]
fn every_asymmetric_key_has_a_public_key() {
    let (tenant, openssl) = (tenant("public"), OpenSsl::new());
    for (algorithm, understood) in ASYMMETRIC {
        let name = format!("key-{algorithm}");
        tenant.new_key(&json!({ "name": name, "algorithm": algorithm }));
        tenant.admin.post(&format!("/keys/{name}/rotate"), &json!({})).expect(200);
        let get = |query: &str| tenant.app.get(&format!("/keys/{name}/public{query}"));
        let shown = get("").expect(200).json();
        let named = (&shown["key"], &shown["version"], &shown["algorithm"]);
        assert_eq!(named, (&json!(name), &json!(2), &json!(algorithm)));
        assert_eq!(get("?version=2").expect(200).json(), shown);
        let first = get("?version=1").expect(200).json();
        assert_ne!(first["public_key"], shown["public_key"]);
        if understood {
            openssl.file("p.pem", shown["public_key"].as_str().unwrap());
            openssl.run(&["pkey", "-pubin", "-in", "p.pem", "-noout"]);
        }
        get("?version=3").problem(404, "key_version_not_found");
        for query in ["?version=0", "?version=x", "?version=1&version=2", "?v=1"] {
            get(query).problem(400, "invalid_request").field("/version");
        }
    }
    tenant.app.get("/keys/main/public").problem(400, "key_unsuitable");
    tenant.app.get("/keys/none/public").problem(404, "key_not_found");
    let other = SERVER.tenant_with_policy("public-other", "fields");
    other
        .app
        .at_root()
        .get("/api/v1/tenants/public/keys/wrapping/public")
        .problem(403, "forbidden");
    tenant.admin.post("/keys/wrapping/disable", &json!({})).expect(200);
    tenant.app.get("/keys/wrapping/public").problem(403, "key_disabled");
}

#[test]
fn what_openssl_wraps_is_imported_and_works() {
    let (tenant, openssl) = (tenant("import"), OpenSsl::new());
    let wrapping = public(&tenant, "wrapping");
    let wrapped = openssl.wrap(&wrapping, SYMMETRIC);
    let key = import(&tenant, "brought", "xaes-256-gcm", &wrapped).expect(201);
    assert_eq!(key.header("location"), "/api/v1/tenants/import/keys/brought");
    let key = key.json();
    assert_eq!(
        (&key["versions"][0]["imported"], &key["exportable"]),
        (&json!(true), &json!(false))
    );
    let sealed = tenant.app.encrypt(&json!({ "key": "brought", "plaintext": b64("x") }));
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": sealed })), b"x");
    import(&tenant, "brought", "xaes-256-gcm", &wrapped).problem(409, "key_exists");

    // A next version of the caller's, and one of Keyward's own.
    let body = json!({ "wrapping_key": "wrapping", "wrapped_key": b64(&wrapped), "reason": "r" });
    let version = tenant.admin.post("/keys/brought/import-version", &body).expect(200).json();
    assert_eq!(version, json!({ "key_version": 2 }));
    tenant.admin.post("/keys/brought/rotate", &json!({})).expect(200);
    let versions = tenant.admin.get("/keys/brought").expect(200).json()["versions"].clone();
    let imported: Vec<_> = (0..3).map(|at| versions[at]["imported"].clone()).collect();
    assert_eq!(imported, [json!(true), json!(true), Value::Null]);
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": sealed })), b"x");
    let history = tenant.app.get("/keys/brought/history").expect(200).json()["history"].clone();
    let actions: Vec<_> = (0..3).map(|at| history[at]["action"].clone()).collect();
    assert_eq!(actions, ["import", "import", "rotate"]);
    assert_eq!((&history[1]["version"], &history[1]["reason"]), (&json!(2), &json!("r")));
    tenant.admin.post("/keys/main/import-version", &body).problem(409, "key_not_imported");
    tenant.admin.post("/keys/none/import-version", &body).problem(404, "key_not_found");
}

#[test]
fn signing_keys_of_openssl_sign_as_they_did_there() {
    let (tenant, openssl) = (tenant("import-sign"), OpenSsl::new());
    let wrapping = public(&tenant, "wrapping");
    for (algorithm, options) in [
        ("ecdsa-p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
        ("ecdsa-p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("rsa-2048", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("rsa-oaep-2048", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("ed25519", &["ED25519"]),
        ("x25519", &["X25519"]),
    ] {
        let document = openssl.generate(options);
        let wrapped = openssl.wrap(&wrapping, &document);
        let name = format!("key-{algorithm}");
        import(&tenant, &name, algorithm, &wrapped).expect(201);
        let theirs = openssl.run(&["pkey", "-in", "made.pem", "-pubout"]);
        assert_eq!(public(&tenant, &name).as_bytes(), theirs, "{algorithm}");
        // The same document is none of another kind of key.
        for other in ["xaes-256-gcm", "ecdsa-p256", "rsa-3072", "ml-kem-768", "ed25519"] {
            if other != algorithm {
                let refused = import(&tenant, "other", other, &wrapped);
                refused.problem(400, "invalid_field").field("/wrapped_key");
            }
        }
    }
}

#[test]
fn bad_imports_name_the_field() {
    let (tenant, openssl) = (tenant("import-bad"), OpenSsl::new());
    let wrapping = public(&tenant, "wrapping");
    tenant.new_key(&json!({ "name": "hybrid", "algorithm": "x25519-ml-kem-768" }));
    let wrap = |material: &[u8]| b64(openssl.wrap(&wrapping, material));
    let good = wrap(SYMMETRIC);
    let with = |field: &str, value: Value| {
        let mut body = json!({
            "algorithm": "xaes-256-gcm", "wrapping_key": "wrapping", "wrapped_key": good,
        });
        body[field] = value;
        tenant.admin.post("/keys/new/import", &body)
    };
    for (field, value, status, code) in [
        ("algorithm", json!("rot13"), 400, "invalid_field"),
        ("algorithm", Value::Null, 400, "invalid_field"),
        ("wrapping_key", json!("none"), 404, "key_not_found"),
        ("wrapping_key", json!("../x"), 400, "invalid_name"),
        ("wrapping_key", json!("main"), 400, "key_unsuitable"),
        ("wrapping_key_version", json!("1"), 400, "invalid_field"),
        ("wrapped_key", json!("_"), 400, "invalid_base64"),
        ("wrapped_key", json!(wrap(&[0; 32])), 400, "invalid_field"),
        ("wrapped_key", json!(wrap(&[7; 32])), 400, "invalid_field"),
        ("wrapped_key", json!(wrap(&SYMMETRIC[..31])), 400, "invalid_field"),
        ("wrapped_key", json!(wrap(&[&SYMMETRIC[..], b"."].concat())), 400, "invalid_field"),
        ("labels", json!({ "": "x" }), 400, "invalid_field"),
        ("exportable", json!("yes"), 400, "invalid_field"),
        ("reason", json!(""), 400, "invalid_field"),
        ("none", json!(1), 400, "invalid_field"),
    ] {
        with(field, value).problem(status, code).field(&format!("/{field}"));
    }
    with("wrapping_key_version", json!(2)).problem(404, "key_version_not_found");
    // Whatever does not unwrap has one answer.
    let bytes = unb64(&good);
    let mut answers = Vec::new();
    let mut uniform = |wrapped: &[u8]| {
        let answer = import(&tenant, "new", "xaes-256-gcm", wrapped);
        let answer = answer.problem(400, "wrapped_key_invalid").field("/wrapped_key");
        answers.push(answer.str("/detail"));
    };
    for at in [0, 255, 256, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        uniform(&damaged);
        uniform(&bytes[..at]);
    }
    uniform(b"");
    answers.dedup();
    assert_eq!(answers.len(), 1);
    with("wrapping_key", json!("hybrid")).problem(400, "wrapped_key_invalid");
    // An older version of the wrapping key unwraps as long as it is in use.
    tenant.admin.post("/keys/wrapping/rotate", &json!({})).expect(200);
    import(&tenant, "new", "xaes-256-gcm", &bytes).problem(400, "wrapped_key_invalid");
    let body = json!({
        "algorithm": "hmac-sha-256", "wrapping_key": "wrapping", "wrapping_key_version": 1,
        "wrapped_key": good,
    });
    tenant.app.post("/keys/new/import", &body).problem(403, "forbidden");
    tenant.operator.post("/keys/new/import", &body).expect(201);
    tenant.admin.get("/keys/other").problem(404, "key_not_found");
}

#[test]
fn what_is_exported_opens_at_openssl() {
    let (tenant, openssl) = (tenant("export"), OpenSsl::new());
    openssl.generate(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    std::fs::rename(openssl.0.path().join("made.pem"), openssl.0.path().join("private.pem"))
        .unwrap();
    let theirs = openssl.run(&["pkey", "-in", "private.pem", "-pubout"]);
    let theirs = String::from_utf8(theirs).unwrap();
    let wrapped = openssl.wrap(&public(&tenant, "wrapping"), SYMMETRIC);
    let body = json!({
        "algorithm": "xaes-256-gcm", "wrapping_key": "wrapping", "wrapped_key": b64(wrapped),
        "exportable": true,
    });
    tenant.admin.post("/keys/brought/import", &body).expect(201);
    let export = |client: &keyward_tests::Client, key: &str, body: &Value| {
        client.post(&format!("/keys/{key}/export"), body)
    };
    let to_them = json!({ "recipient": theirs, "reason": "moving" });
    let before = tenant.admin.get("/keys/brought").expect(200).json();
    let exported = export(&tenant.admin, "brought", &to_them).expect(200).json();
    assert_eq!(exported["wrapping"], "rsa-aes-key-wrap");
    assert_eq!(openssl.unwrap(&unb64(exported["wrapped_key"].as_str().unwrap())), SYMMETRIC);
    // Nothing but the history knows.
    assert_eq!(tenant.admin.get("/keys/brought").expect(200).json(), before);
    let history = tenant.app.get("/keys/brought/history").expect(200).json()["history"].clone();
    let entry = (&history[1]["action"], &history[1]["version"], &history[1]["reason"]);
    assert_eq!(entry, (&json!("export"), &json!(1), &json!("moving")));
    let logged = SERVER.stderr();
    let wanted = "key exported tenant=export key=brought version=1 by=\"admin\"";
    assert!(logged.contains(wanted), "{logged}");
    for hidden in [hex(SYMMETRIC), b64(SYMMETRIC), String::from_utf8_lossy(SYMMETRIC).into_owned()]
    {
        assert!(!SERVER.stderr().contains(&hidden));
    }

    // A signing key that was made here signs there.
    let signing = json!({ "name": "sig", "algorithm": "ecdsa-p256", "exportable": true });
    tenant.new_key(&signing);
    let exported = export(&tenant.admin, "sig", &to_them).expect(200).json();
    let document = openssl.unwrap(&unb64(exported["wrapped_key"].as_str().unwrap()));
    openssl.file("sig.der", document);
    let public_there = openssl.run(&["pkey", "-inform", "DER", "-in", "sig.der", "-pubout"]);
    assert_eq!(public_there, public(&tenant, "sig").as_bytes());

    // Refusals.
    let recipient = |recipient: &str| json!({ "recipient": recipient });
    export(&tenant.app, "brought", &to_them).problem(403, "forbidden");
    export(&tenant.admin, "main", &to_them).problem(409, "key_not_exportable");
    export(&tenant.admin, "none", &to_them).problem(404, "key_not_found");
    let to = |to: &str| export(&tenant.admin, "brought", &recipient(to));
    to("main").problem(400, "key_unsuitable").field("/recipient");
    to("none").problem(404, "key_not_found").field("/recipient");
    to(&public(&tenant, "sig")).problem(400, "invalid_field").field("/recipient");
    to(&theirs[..200]).problem(400, "invalid_field").field("/recipient");
    let old = json!({ "recipient": theirs, "version": 2 });
    export(&tenant.admin, "brought", &old).problem(404, "key_version_not_found");
    let state = |verb: &str| tenant.admin.post(&format!("/keys/brought/{verb}"), &json!({}));
    state("disable").expect(200);
    export(&tenant.admin, "brought", &to_them).problem(403, "key_disabled");
    state("enable").expect(200);
    // Off, and never on again.
    let set = |value: Value| {
        tenant.admin.send(
            "PATCH",
            "/keys/brought",
            &[("content-type", "application/json")],
            json!({ "exportable": value }).to_string().as_bytes(),
        )
    };
    assert_eq!(set(json!(true)).expect(200).json()["exportable"], true);
    assert_eq!(set(json!(false)).expect(200).json()["exportable"], false);
    set(json!(true)).problem(409, "key_not_exportable");
    assert_eq!(set(Value::Null).expect(200).json()["exportable"], false);
    export(&tenant.admin, "brought", &to_them).problem(409, "key_not_exportable");
    let history = tenant.app.get("/keys/brought/history").expect(200).json();
    let last = history["history"].as_array().unwrap().last().unwrap()["action"].clone();
    assert_eq!(last, "not_exportable");
}

/// With HPKE the names are bound; with RSA the standard has no place for them.
#[test]
fn a_key_moves_to_the_same_name_of_the_same_tenant_of_another_server() {
    let (here, there) = (tenant("moving"), Server::dev());
    let there_tenant = there.tenant_with_policy("moving", "fields");
    for algorithm in ["x25519", "ml-kem-768", "x25519-ml-kem-768"] {
        let (wrapping, name) = (format!("to-{algorithm}"), format!("moved-{algorithm}"));
        there_tenant.new_key(&json!({ "name": wrapping, "algorithm": algorithm }));
        here.new_key(&json!({ "name": name, "algorithm": "hmac-sha-256", "exportable": true }));
        let mac = |tenant: &Tenant, name: &str| {
            tenant
                .app
                .post("/mac", &json!({ "key": name, "input": b64("x") }))
                .expect(200)
                .str("/mac")
        };
        let body = json!({ "recipient": public(&there_tenant, &wrapping) });
        let exported = here.admin.post(&format!("/keys/{name}/export"), &body).expect(200).json();
        assert_eq!(exported["wrapping"], format!("hpke-{algorithm}"));
        let import = |name: &str, algorithm: &str| {
            let wrapped = &exported["wrapped_key"];
            let body = json!({
                "algorithm": algorithm, "wrapping_key": wrapping, "wrapped_key": wrapped,
            });
            there_tenant.admin.post(&format!("/keys/{name}/import"), &body)
        };
        import("another", "hmac-sha-256").problem(400, "wrapped_key_invalid");
        import(&name, "hmac-sha-512").problem(400, "wrapped_key_invalid");
        import(&name, "hmac-sha-256").expect(201);
        assert_eq!(mac(&there_tenant, &name), mac(&here, &name));
    }
}

#[test]
fn the_command_line_does_it_too() {
    let (tenant, openssl) = (tenant("exchange-cli"), OpenSsl::new());
    let cli = Cli::tenant(&SERVER, &tenant);
    let pem = cli.run(&["key", "public", "wrapping"]).good();
    assert_eq!(pem.text(), public(&tenant, "wrapping"));
    cli.run(&["key", "public", "wrapping", "--version", "9"]).failed(1, &["key_version_not_found"]);
    let wrapped = openssl.wrap(pem.text(), SYMMETRIC);
    let import = ["key", "import", "brought", "--wrapping-key", "wrapping"];
    let kind = ["--algorithm", "xaes-256-gcm", "--exportable"];
    cli.pipe(&[&import[..], &kind].concat(), &wrapped).good();
    cli.pipe(&[&import[..], &["--new-version"]].concat(), &wrapped).good();
    assert_eq!(cli.pipe(&import, &wrapped).code, Some(2));
    openssl.generate(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    std::fs::rename(openssl.0.path().join("made.pem"), openssl.0.path().join("private.pem"))
        .unwrap();
    let theirs = cli.file("theirs.pem", openssl.run(&["pkey", "-in", "private.pem", "-pubout"]));
    let exported = cli.run(&["key", "export", "brought", "--recipient", &theirs]).good();
    assert_eq!(openssl.unwrap(&unb64(exported.text().trim())), SYMMETRIC);
    cli.run(&["key", "export", "brought", "--wrapping-key", "wrapping"]).good();
    cli.run(&["key", "set", "brought", "--not-exportable"]).good();
    let refused = cli.run(&["key", "export", "brought", "--recipient", &theirs]);
    refused.failed(1, &["key_not_exportable"]);
}

/// `datakey` with `pair`: OpenSSL finds that the halves belong together, and the sealed form is the
/// private half.
#[test]
fn data_key_pairs_belong_together() {
    let (tenant, openssl) = (tenant("pairs"), OpenSsl::new());
    for (algorithm, understood) in ASYMMETRIC {
        let body = json!({ "key": "main", "pair": algorithm, "context": b64("device 1") });
        let pair = tenant.app.post("/datakey", &body).expect(200).json();
        let private = unb64(pair["private_key"].as_str().unwrap());
        let public = pair["public_key"].as_str().unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");
        assert_eq!(pair.get("plaintext"), None);
        if understood {
            openssl.file("private.der", &private);
            let args = ["pkey", "-inform", "DER", "-in", "private.der", "-pubout"];
            assert_eq!(String::from_utf8(openssl.run(&args)).unwrap(), public, "{algorithm}");
        }
        let sealed = json!({ "ciphertext": pair["ciphertext"], "context": b64("device 1") });
        assert_eq!(tenant.app.decrypt(&sealed), private, "{algorithm}");

        let body = json!({ "key": "main", "pair": algorithm, "wrapped_only": true });
        let pair = tenant.app.post("/datakey", &body).expect(200).json();
        assert_eq!(pair.get("private_key"), None);
        assert_ne!(pair["public_key"], public);
        let opened = tenant.app.decrypt(&json!({ "ciphertext": pair["ciphertext"] }));
        assert_eq!(opened.first(), Some(&0x30), "{algorithm}");
    }
    let body = json!({ "key": "main", "pair": "ed25519", "count": 3 });
    let many = tenant.app.post("/datakey", &body).expect(200).json();
    let many = many["datakeys"].as_array().unwrap();
    let distinct: std::collections::HashSet<_> =
        many.iter().map(|pair| pair["private_key"].as_str().unwrap()).collect();
    assert_eq!(distinct.len(), 3);
    for (body, field) in [
        (json!({ "key": "main", "pair": "ed25519", "bits": 256 }), "/bits"),
        (json!({ "key": "main", "pair": "rsa-2048", "count": 2 }), "/count"),
        (json!({ "key": "main", "pair": "xaes-256-gcm" }), "/pair"),
        (json!({ "key": "main", "pair": "rsa-1024" }), "/pair"),
        (json!({ "key": "main", "pair": true }), "/pair"),
    ] {
        tenant.app.post("/datakey", &body).problem(400, "invalid_field").field(field);
    }
}
