//! Keys that another implementation of HPKE wraps, Python's `cryptography`, as docs/ciphertext.md
//! says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Answer, Server, Tenant, b64, python, unb64};
use serde_json::json;
use tempfile::TempDir;

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

/// Arguments: the wrapping key's algorithm, PEM, tenant, key name, algorithm, material in hex.
/// Writes what is to be imported.
const WRAP: &str = r#"
import base64, sys
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

wrapping, pem, *names, material = sys.argv[1:]
body = "".join(line for line in open(pem).read().split("\n") if "-----" not in line)
der = base64.b64decode(body)
x25519_key = x25519.X25519PublicKey.from_public_bytes(der[-32:])
if wrapping == "x25519":
    kem, public = hpke.KEM.X25519, x25519_key
elif wrapping == "ml-kem-768":
    kem, public = hpke.KEM.MLKEM768, mlkem.MLKEM768PublicKey.from_public_bytes(der[-1184:])
else:
    lattice = mlkem.MLKEM768PublicKey.from_public_bytes(der[-1216:-32])
    kem, public = hpke.KEM.MLKEM768_X25519, hpke.MLKEM768X25519PublicKey(lattice, x25519_key)
info = b"keyward wrapped key v1\0"
for name in names:
    info += len(name).to_bytes(4, "big") + name.encode()
suite = hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
sys.stdout.buffer.write(suite.encrypt(bytes.fromhex(material), public, info))
"#;

/// Arguments: seed in hex, message. Writes the Ed25519 signature.
const SIGN: &str = r"
import sys
from cryptography.hazmat.primitives.asymmetric import ed25519
key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[1]))
sys.stdout.buffer.write(key.sign(sys.argv[2].encode()))
";

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

struct Setting {
    tenant: Tenant,
    wrapping: &'static str,
    dir: TempDir,
}

impl Setting {
    fn new(wrapping: &'static str) -> Self {
        let tenant = SERVER.tenant_with_policy(&format!("hpke-{wrapping}"), "fields");
        tenant.new_key(&json!({ "name": "wrapping", "algorithm": wrapping }));
        let public = tenant.app.get("/keys/wrapping/public").expect(200).str("/public_key");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("public.pem"), public).unwrap();
        Self { tenant, wrapping, dir }
    }

    /// Wrapped for a key of this tenant, name and algorithm.
    #[track_caller]
    fn wrap(&self, [tenant, name, algorithm]: [&str; 3]) -> Vec<u8> {
        let args = [self.wrapping, "public.pem", tenant, name, algorithm, SEED];
        python::output(self.dir.path(), WRAP, &args)
    }

    #[track_caller]
    fn import(&self, name: &str, algorithm: &str, wrapped: &[u8]) -> Answer {
        let body = json!({
            "algorithm": algorithm, "wrapping_key": "wrapping", "wrapped_key": b64(wrapped),
            "exportable": true,
        });
        self.tenant.admin.post(&format!("/keys/{name}/import"), &body)
    }
}

fn check(wrapping: &'static str, wrapped_length: usize) {
    let setting = Setting::new(wrapping);
    let tenant = &setting.tenant;
    let wrapped = setting.wrap([&tenant.name, "brought", "ed25519"]);
    assert_eq!(wrapped.len(), wrapped_length);

    // What is bound is checked: name, tenant and algorithm, and every part of the bytes.
    let refused = |name: &str, algorithm: &str, wrapped: &[u8]| {
        setting.import(name, algorithm, wrapped).problem(400, "wrapped_key_invalid")
    };
    refused("another", "ed25519", &wrapped);
    refused("brought", "xaes-256-gcm", &wrapped);
    refused("brought", "ed25519", &setting.wrap(["demo", "brought", "ed25519"]));
    for at in [0, wrapped.len() - 49, wrapped.len() - 48, wrapped.len() - 1] {
        let mut damaged = wrapped.clone();
        damaged[at] ^= 1;
        refused("brought", "ed25519", &damaged);
    }
    setting.import("brought", "ed25519", &wrapped).expect(201);

    // It is the key it was: Ed25519 signatures of the same message are the same.
    let body = json!({ "key": "brought", "input": b64("message") });
    let signature = unb64(&tenant.app.post("/sign", &body).expect(200).str("/signature"));
    let expected = python::output(setting.dir.path(), SIGN, &[SEED, "message"]);
    assert_eq!(signature, expected);
}

#[test]
fn python_wraps_to_x25519() {
    check("x25519", 32 + 48);
}

#[test]
fn python_wraps_to_ml_kem_768() {
    check("ml-kem-768", 1088 + 48);
}

#[test]
fn python_wraps_to_x_wing() {
    check("x25519-ml-kem-768", 1120 + 48);
}
