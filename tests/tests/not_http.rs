//! What arrives at the port and is no HTTP, or HTTP that nobody should send: answered with a 4xx or
//! not at all, and the server lives on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Server, Tenant, raw};
use serde_json::json;

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

static TENANT: LazyLock<Tenant> = LazyLock::new(|| SERVER.tenant_with_policy("bad", "fields"));

/// Refused before its body came, however small: the connection serves on, or says that it closes.
#[test]
fn a_refused_body_does_not_cost_the_connection() {
    use std::io::{Read as _, Write as _};
    for length in [2, 5_000] {
        let mut stream = std::net::TcpStream::connect(&SERVER.address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let head = format!(
            "POST /api/v1/tenants/bad/encrypt HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        for round in 0..3 {
            stream.write_all(head.as_bytes()).unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap();
            let answer = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
            assert!(answer.starts_with("http/1.1 401"), "{length}, round {round}: {answer:?}");
            if answer.contains("connection: close") {
                break;
            }
            stream.write_all(&vec![b' '; length]).unwrap();
        }
    }
}

#[test]
fn what_is_not_http() {
    let path = "/api/v1/tenants/bad/encrypt";
    let auth = format!(
        "host: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json",
        TENANT.app_token
    );
    let long = "x".repeat(1 << 20);
    let many: String = "x-many: y\r\n".repeat(5_000);
    for (what, bytes) in [
        ("nothing", String::new()),
        ("garbage", "\u{1}\u{2}\u{3}\r\n\r\n".into()),
        ("no version", format!("GET {path}\r\n\r\n")),
        ("HTTP/9", "GET /livez HTTP/9.9\r\nhost: x\r\n\r\n".into()),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".into()),
        ("long path", format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n")),
        ("long header", format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n")),
        (
            "long token",
            format!(
                "GET /api/v1/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {long}\r\n\r\n"
            ),
        ),
        ("many headers", format!("GET /livez HTTP/1.1\r\nhost: x\r\n{many}\r\n")),
        ("bad header name", "GET /livez HTTP/1.1\r\nho st: x\r\n\r\n".into()),
        ("bad length", format!("POST {path} HTTP/1.1\r\n{auth}\r\ncontent-length: -1\r\n\r\n{{}}")),
        (
            "two lengths",
            format!(
                "POST {path} HTTP/1.1\r\n{auth}\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"
            ),
        ),
        (
            "bad chunk",
            format!(
                "POST {path} HTTP/1.1\r\n{auth}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"
            ),
        ),
        (
            "huge chunk",
            format!(
                "POST {path} HTTP/1.1\r\n{auth}\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{{}}"
            ),
        ),
        (
            "early end",
            format!("POST {path} HTTP/1.1\r\n{auth}\r\ncontent-length: 100\r\n\r\n{{\"key\""),
        ),
        (
            "chunked early end",
            format!(
                "POST {path} HTTP/1.1\r\n{auth}\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{{\"key\""
            ),
        ),
    ] {
        let got = raw(&SERVER.address, bytes.as_bytes());
        let text = String::from_utf8_lossy(&got);
        assert!(got.is_empty() || text.starts_with("HTTP/1.1 4"), "{what}: {text}");
        assert_eq!(SERVER.client().get("/livez").status, 200, "after {what}");
    }
    // A length and chunks: whatever it is taken for, it is taken for one request.
    let smuggled = format!(
        "POST {path} HTTP/1.1\r\n{auth}\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    );
    let got = String::from_utf8_lossy(&raw(&SERVER.address, smuggled.as_bytes())).into_owned();
    assert!(got.starts_with("HTTP/1.1 4"), "{got}");
}

#[test]
fn absurdly_long_headers_that_still_fit() {
    let long = "x".repeat(16 << 10);
    let headers =
        [("x-request-id", long.as_str()), ("accept", long.as_str()), ("cookie", long.as_str())];
    let answer = SERVER.client().send("GET", "/livez", &headers, b"").expect(200);
    assert!(answer.header("x-request-id").len() <= 64);
    let answer = TENANT.app.authorization(Some(&format!("Bearer {long}"))).get("/keys");
    answer.problem(401, "unauthenticated");
    let content_type = format!("application/json; {long}");
    let body = json!({ "key": "main", "plaintext": "" }).to_string();
    TENANT
        .app
        .send("POST", "/encrypt", &[("content-type", &content_type)], body.as_bytes())
        .expect(200);
}
