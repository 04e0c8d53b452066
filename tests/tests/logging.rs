//! The log: what is logged arrives there, line for line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use keyward_tests::Server;
use serde_json::json;

/// Whatever levels are listened to: what one request logs must not depend on the one before.
#[test]
fn no_line_is_lost() {
    const KEYS: usize = 40;
    for levels in ["info", "info,keyward_keyring=debug", "debug", "warn,keyward::http::keys=info"] {
        let server = Server::dev_with(&[("KEYWARD_LOG_LEVEL", levels)]);
        let tenant = server.tenant("logged");
        for number in 0..KEYS {
            tenant.key(&format!("key-{number}"));
        }
        let start = Instant::now();
        let logged = || {
            let log = server.stderr();
            log.lines().filter(|it| it.contains("key created") && it.contains("logged")).count()
        };
        while logged() < KEYS && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(logged(), KEYS, "{levels}");
    }
    // The count above is of lines that say what they should.
    let server = Server::dev();
    let tenant = server.tenant("shown");
    tenant.new_key(&json!({ "name": "main" }));
    let log = server.stderr();
    let line = log.lines().find(|it| it.contains("key created") && it.contains("shown")).unwrap();
    assert!(line.contains("key=main") && line.contains("by=\"admin\""), "{line}");
}
