//! The requests, as applications of several tenants send them.

use super::servers::{Server, once, request};

const TENANTS: usize = 4;
const ITEMS: usize = 10;
const PLAINTEXT: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// Requests, each with how often of a hundred it is sent.
pub struct Mix(Vec<(u32, Vec<Vec<u8>>)>);

impl Mix {
    /// Makes tenants, keys and policies, and the requests.
    pub fn prepare(server: &Server) -> Self {
        let bearer = |token: &str| format!("Authorization: Bearer {token}");
        let operator = bearer(&server.env["KEYWARD_OPERATOR_TOKEN"]);
        let mut mix: Vec<(u32, Vec<Vec<u8>>)> = Vec::new();
        let mut add = |share: u32, all: Vec<Vec<u8>>| mix.push((share, all));
        let (mut encrypt, mut decrypt, mut batch) = (Vec::new(), Vec::new(), Vec::new());
        let (mut datakey, mut sign, mut mac, mut rewrap) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let wasm = std::fs::read(super::servers::policies().join("baseline.wasm")).unwrap();
        for n in 0..TENANTS {
            let name = format!("soak-{n}");
            let post = |path: &str, body: &str| once(&server.address, path, &operator, body);
            post("/api/v1/tenants", &format!(r#"{{"name":"{name}"}}"#));
            let base = format!("/api/v1/tenants/{name}");
            for (key, algorithm) in
                [("main", "xaes-256-gcm"), ("signing", "ed25519"), ("tags", "hmac-sha-256")]
            {
                let body = format!(r#"{{"name":"{key}","algorithm":"{algorithm}"}}"#);
                post(&format!("{base}/keys"), &body);
            }
            super::servers::put_wasm(&server.address, &format!("{base}/policy"), &operator, &wasm);
            let minted = post(
                &format!("{base}/tokens"),
                r#"{"subject":"soak","roles":["application","tenant-admin"]}"#,
            );
            let minted: serde_json::Value = serde_json::from_str(&minted).unwrap();
            let app = bearer(minted["token"].as_str().unwrap());
            let make = |path: &str, body: &str| {
                request(&server.address, &format!("{base}{path}"), &app, body)
            };
            let plain = format!(r#"{{"key":"main","plaintext":"{PLAINTEXT}"}}"#);
            let sealed = once(&server.address, &format!("{base}/encrypt"), &app, &plain);
            let sealed: serde_json::Value = serde_json::from_str(&sealed).unwrap();
            let input = |key: &str| format!(r#"{{"key":"{key}","input":"{PLAINTEXT}"}}"#);
            encrypt.push(make("/encrypt", &plain));
            decrypt
                .push(make("/decrypt", &format!(r#"{{"ciphertext":{}}}"#, sealed["ciphertext"])));
            let items = [plain.as_str(); ITEMS].join(",");
            batch.push(make("/encrypt", &format!(r#"{{"items":[{items}]}}"#)));
            datakey.push(make("/datakey", r#"{"key":"main"}"#));
            sign.push(make("/sign", &input("signing")));
            mac.push(make("/mac", &input("tags")));
            rewrap.push(make("/rewrap", &format!(r#"{{"ciphertext":{}}}"#, sealed["ciphertext"])));
        }
        add(40, encrypt);
        add(25, decrypt);
        add(10, batch);
        add(8, datakey);
        add(6, sign);
        add(6, mac);
        add(5, rewrap);
        Self(mix)
    }

    /// One of them.
    pub fn draw(&self) -> &[u8] {
        let all: u32 = self.0.iter().map(|(share, _)| share).sum();
        let mut at = fastrand::u32(..all);
        for (share, of_tenants) in &self.0 {
            if at < *share {
                return &of_tenants[fastrand::usize(..of_tenants.len())];
            }
            at -= share;
        }
        unreachable!("shares are drawn from their sum")
    }
}
