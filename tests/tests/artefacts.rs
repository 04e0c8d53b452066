//! Policies in OCI registries: published with a signature as cosign makes it, pulled by whom an
//! operator lets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keyward_test_vault::{Fault, Proxy};
use keyward_tests::registry::Registry;
use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::{Answer, Cli, Client, Server, Tenant, b64, until};
use serde_json::{Value, json};

#[track_caller]
fn pull(client: &Client, from: &str) -> Answer {
    client.post("/policies/pull", &json!({ "from": from }))
}

fn which(app: &Client) -> String {
    let text = app.send("POST", "/invoke/which", &[], b"").expect(200).text();
    text.split_once(' ').unwrap().0.to_owned()
}

fn put(client: &Client, path: &str, body: &Value) {
    let json = [("content-type", "application/json")];
    client.send("PUT", path, &json, body.to_string().as_bytes()).expect(200);
}

/// Has the tenant trust the key, and nothing unsigned.
fn trust(tenant: &Tenant, cli: &Cli, key: &str) {
    let public = std::fs::read_to_string(cli.path(&format!("{key}.pub"))).unwrap();
    let signer = json!({ "name": key, "public_key": public });
    put(&tenant.operator, "/policy/trust", &json!({ "signers": [signer], "unsigned": false }));
}

/// Publishes the policy of a stamp.
#[track_caller]
fn publish(cli: &Cli, number: u32, to: &str, more: &[&str]) -> Value {
    let file = cli.file("policy.wasm", stamped(number));
    let args = ["policy", "publish", &file, to, "--plain-http", "--json"];
    cli.run(&[&args[..], more].concat()).good().json()
}

fn serve(entries: &[&str], more: &str) -> Server {
    Server::serve(&format!(
        "policy.allow_unsigned = false\npolicy.registry.allow = {entries:?}\n{more}"
    ))
}

#[test]
fn what_a_trusted_signer_published_is_pulled_and_activated() {
    let registry = Registry::start();
    let host = &registry.host.clone();
    let mut server = serve(&[&format!("http://{host}/policies")], "hardening = \"on\"\n");
    let tenant = server.tenant("acme");
    let cli = Cli::tenant(&server, &tenant);
    for key in ["release.pem", "stranger.pem"] {
        cli.run(&["policy", "keygen", key]).good();
    }
    trust(&tenant, &cli, "release.pem");
    let at = |what: &str| format!("oci://{host}/policies/mine{what}");

    let unsigned = publish(&cli, 1, &at(":1"), &[]);
    assert_eq!(unsigned["signed_by"], json!([]));
    pull(&tenant.admin, &at(":1")).problem(403, "policy_untrusted").detail("release.pem");
    publish(&cli, 1, &at(":1"), &["--sign", "stranger.pem"]);
    pull(&tenant.admin, &at(":1")).problem(403, "policy_untrusted");
    // Signatures are added to those that are there.
    let both = ["--sign", "stranger.pem", "--sign", "release.pem"];
    let published = publish(&cli, 1, &at(":1"), &both);
    let artefact = published["artefact"].as_str().unwrap();
    let kept = pull(&tenant.admin, &at(":1")).expect(201).json();
    assert_eq!((&kept["digest"], &kept["source"]), (&published["digest"], &json!(artefact)));
    let signature = &kept["signatures"][0];
    assert_eq!(
        (&signature["signer"], &signature["form"]),
        (&json!("release.pem"), &json!("cosign"))
    );
    assert_eq!(kept["signatures"].as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(pull(&tenant.admin, artefact).expect(200).json()["digest"], kept["digest"]);

    publish(&cli, 2, &at(":2"), &["--sign", "release.pem"]);
    let shown = cli.run(&["policy", "push", "--from", &at(":2"), "--activate", "--json"]).good();
    assert_eq!(shown.json()["signed_by"], json!(["release.pem"]));
    assert_eq!(which(&tenant.app), stamp(2));
    let pushed = cli.run(&["policy", "push", "--from", &at(":1"), "--json"]).good().json();
    tenant.admin.post("/policy/activate", &json!({ "digest": pushed["digest"] })).expect(200);
    assert_eq!(which(&tenant.app), stamp(1));
    // What is kept is checked again, without the registry, as often as it takes.
    drop(registry);
    server.stop();
    server.start_again();
    let below = |token| server.client().token(token).below("/api/v1/tenants/acme");
    let (admin, app) = (below(&tenant.admin_token), below(&tenant.app_token));
    assert_eq!(admin.get("/policy").expect(200).json()["trusted"], true);
    admin.send("POST", "/policy/rollback", &[], b"").expect(200);
    assert_eq!(which(&app), stamp(2));
    pull(&admin, &at(":1")).problem(503, "registry_unavailable");
}

#[test]
fn a_signature_is_for_what_was_signed_and_perhaps_for_one_tenant() {
    let registry = Registry::start();
    let host = &registry.host;
    let server =
        serve(&[&format!("http://{host}/shared"), &format!("http://{host}/own/{{tenant}}")], "");
    let (acme, other) = (server.tenant("acme"), server.tenant("other"));
    let cli = Cli::tenant(&server, &acme);
    cli.run(&["policy", "keygen", "release.pem"]).good();
    for tenant in [&acme, &other] {
        trust(tenant, &cli, "release.pem");
    }
    let sign = ["--sign", "release.pem"];
    publish(&cli, 1, &format!("oci://{host}/shared/all:1"), &sign);
    let all = format!("oci://{host}/shared/all:1");
    pull(&acme.admin, &all).expect(201);
    pull(&other.admin, &all).expect(201);
    let only = format!("oci://{host}/shared/only:1");
    publish(&cli, 2, &only, &["--sign", "release.pem", "--only-for", "acme"]);
    pull(&acme.admin, &only).expect(201);
    pull(&other.admin, &only).problem(403, "policy_untrusted");
    // A tenant's own repositories are another's not to have pulled.
    let own = format!("oci://{host}/own/acme/mine:1");
    publish(&cli, 3, &own, &sign);
    pull(&acme.admin, &own).expect(201);
    pull(&other.admin, &own).problem(403, "registry_not_allowed");
    pull(&acme.app, &own).problem(403, "forbidden");

    for elsewhere in [
        "oci://127.0.0.1:9/policies/mine:1",
        "oci://169.254.169.254/latest/meta-data:1",
        &format!("oci://{host}/sharedx/mine:1"),
        &format!("oci://{host}/shared:1"),
    ] {
        let refused = pull(&acme.admin, elsewhere).problem(403, "registry_not_allowed");
        refused.detail("policy.registry.allow");
    }
    for bad in ["", "mine:1", "https://a.b/c:1", &format!("oci://{host}/shared/mine")] {
        pull(&acme.admin, bad).problem(400, "invalid_field").field("/from");
    }
    pull(&acme.admin, &format!("oci://{host}/shared/none:1")).problem(404, "artefact_not_found");
    let digest = format!("sha256:{}", "0".repeat(64));
    let none = format!("oci://{host}/shared/all@{digest}");
    pull(&acme.admin, &none).problem(404, "artefact_not_found");
}

/// Puts a blob or a manifest as it is, and gives its digest.
fn blob(host: &str, repository: &str, bytes: &[u8]) -> String {
    let http = Client::new(&format!("http://{host}"));
    let digest = sha256(bytes);
    let begun = http.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
    let at = begun.header("location").to_owned();
    let at = at.strip_prefix(&format!("http://{host}")).unwrap_or(&at);
    let kind = [("content-type", "application/octet-stream")];
    http.send("PUT", &format!("{at}?digest={digest}"), &kind, bytes).expect(201);
    digest
}

fn manifest(host: &str, repository: &str, tag: &str, layers: &Value) {
    let config = blob(host, repository, b"{}");
    let body = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": config, "size": 2 },
        "layers": layers,
    });
    let kind = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
    let http = Client::new(&format!("http://{host}"));
    let path = format!("/v2/{repository}/manifests/{tag}");
    http.send("PUT", &path, &kind, body.to_string().as_bytes()).expect(201);
}

fn sha256(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("it"), bytes).unwrap();
    let script =
        "import hashlib; print(hashlib.sha256(open('it','rb').read()).hexdigest(), end='')";
    let hex = keyward_tests::python::output(dir.path(), script, &[]);
    format!("sha256:{}", String::from_utf8(hex).unwrap())
}

#[test]
fn what_is_no_policys_artefact_is_refused() {
    let registry = Registry::start();
    let host = &registry.host;
    let server = Server::serve(&format!(
        "policy.registry.allow = [\"http://{host}\"]\npolicy.max_component = \"1MiB\"\n\
         policy.image.pool_size = 0\n"
    ));
    let tenant = server.tenant("acme");
    let wasm = stamped(1);
    let digest = blob(host, "a/b", &wasm);
    let layer =
        |kind: &str, size: usize| json!({ "mediaType": kind, "digest": digest, "size": size });
    // As wkg, Spin and wasmCloud name it.
    for (tag, kind) in [
        ("cncf", "application/wasm"),
        ("spin", "application/vnd.wasm.content.layer.v1+wasm"),
        ("wasmcloud", "application/vnd.module.wasm.content.layer.v1+wasm"),
    ] {
        manifest(host, "a/b", tag, &json!([layer(kind, wasm.len())]));
        assert!(pull(&tenant.admin, &format!("oci://{host}/a/b:{tag}")).status < 202, "{tag}");
    }
    let junk = blob(host, "a/b", b"not a component");
    let junk = json!({ "mediaType": "application/wasm", "digest": junk, "size": 15 });
    let wasm_layer = layer("application/wasm", wasm.len());
    for (tag, layers, status, code) in [
        ("none", json!([]), 422, "artefact_invalid"),
        ("two", json!([wasm_layer, wasm_layer]), 422, "artefact_invalid"),
        (
            "tar",
            json!([layer("application/vnd.oci.image.layer.v1.tar", 1)]),
            422,
            "artefact_invalid",
        ),
        ("short", json!([layer("application/wasm", wasm.len() - 1)]), 422, "artefact_invalid"),
        ("large", json!([layer("application/wasm", (1 << 20) + 1)]), 413, "component_too_large"),
        ("junk", json!([junk]), 422, "component_invalid"),
    ] {
        manifest(host, "a/b", tag, &layers);
        pull(&tenant.admin, &format!("oci://{host}/a/b:{tag}")).problem(status, code);
    }
}

#[test]
fn a_registry_that_asks_who_we_are_is_told_so_by_a_file_and_nobody_else_is() {
    let registry = Registry::start_for("keyward", "hush-hush");
    let proxy = Proxy::start(&format!("http://{}", registry.host));
    let host = proxy.address.trim_start_matches("http://");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    let auth = |password: &str| {
        let auth = b64(format!("keyward:{password}"));
        std::fs::write(&file, json!({ "auths": { host: { "auth": auth } } }).to_string()).unwrap();
    };
    auth("hush-hush");
    let server = Server::serve(&format!(
        "log.level = \"trace\"\npolicy.registry.allow = [\"http://{host}\"]\n\
         policy.registry.auth_file = {file:?}\n"
    ));
    let tenant = server.tenant("acme");
    let cli = Cli::tenant(&server, &tenant);
    let to = format!("oci://{host}/policies/mine:1");
    let component = cli.file("policy.wasm", stamped(1));
    let nobody = ["policy", "publish", &component, &to, "--plain-http"];
    cli.run(&nobody).failed(1, &["registry_refused", "credentials"]);
    let file_name = file.to_str().unwrap();
    cli.run(&["policy", "keygen", "release.pem"]).good();
    let more = ["--registry-auth", file_name, "--sign", "release.pem"];
    publish(&cli, 1, &to, &more);
    pull(&tenant.admin, &to).expect(201);
    // The file is read anew.
    auth("wrong");
    let refused = pull(&tenant.admin, &to).problem(502, "registry_refused");
    assert!(!refused.text().contains("hush"));
    auth("hush-hush");
    for fault in [Fault::Status(503), Fault::Drop, Fault::Status(429)] {
        proxy.set(fault);
        pull(&tenant.admin, &to).problem(503, "registry_unavailable");
    }
    // Who sits between cannot put another in its place.
    proxy.set(Fault::None);
    pull(&tenant.admin, &to).expect(200);
    until("it is logged", || server.stderr().contains("a policy was not pulled"));
    for secret in ["hush-hush", &b64("keyward:hush-hush")] {
        assert!(!server.stderr().contains(secret));
    }
}
