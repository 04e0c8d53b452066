//! Nothing secret in logs and errors.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Mutex;

use keyward_test_vault::{Fault, Rule};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const ALONE: &str = "KEYWARD_TEST_SECRECY_ALONE";

/// Everything that is logged at any level by any crate, while logins, reads, writes, renewals and
/// failures of each kind happen. In a process of its own, because what is logged is decided for
/// the whole process by whoever logs first.
#[test]
fn tokens_secret_ids_and_values_are_nowhere() {
    if std::env::var_os(ALONE).is_none() {
        let name = "vault::tests::secrecy::tokens_secret_ids_and_values_are_nowhere";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{error}");
        return;
    }
    let captured = Captured::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(captured.clone())
        .init();
    let mut secrets = vec!["dmFsdWU=".to_owned(), "bmV3".to_owned()];
    let mut said = String::new();
    tokio::runtime::Runtime::new().unwrap().block_on(scenario(&mut secrets, &mut said));
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("logged in to Vault") && log.contains("cannot log in"), "{log}");
    assert!(said.contains("vault-unreachable") && secrets.len() > 6, "{said}");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is logged");
        assert!(!said.contains(&secret), "{secret} in {said}");
    }
    for target in ["vaultrs", "rustify"] {
        assert_eq!(log.lines().find(|line| line.contains(target)), None, "{target} logs");
    }
}

async fn scenario(secrets: &mut Vec<String>, said: &mut String) {
    let bench = Bench::start();
    let given = bench.token(json!({ "ttl": "1h" }));
    let wrong = "hvs.wrong-token".to_owned();
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let Auth::AppRole { secret_id, role_id, mount } = auth.clone() else { unreachable!() };
    secrets.extend([given.clone(), wrong.clone(), secret_id.to_string()]);
    let refused =
        Auth::AppRole { role_id, secret_id: Zeroizing::new("wrong-secret-id".to_owned()), mount };
    secrets.push("wrong-secret-id".to_owned());
    for auth in [auth, token(&given), token(&wrong), refused] {
        bench.proxy.set(Fault::None);
        let mut config = bench.config(auth);
        config.timeout = Duration::from_millis(500);
        let vault = Vault::start(config).unwrap();
        for fault in [
            Fault::None,
            Fault::Reset,
            Fault::Truncate,
            Fault::BlackHole,
            Fault::Status(500),
            Fault::Status(403),
            Fault::Body("dmFsdWU=".to_owned()),
            Fault::Body(r#"{"data":"dmFsdWU="}"#.to_owned()),
            Fault::Body(r#"{"errors":["dmFsdWU="]}"#.to_owned()),
        ] {
            bench.proxy.rules(vec![Rule::new(fault)]);
            let checked = vault.check_now().await;
            let results = [
                read(&vault, "one").await.map(|_| ()),
                read(&vault, "none").await.map(|_| ()),
                create(&vault, "one").await,
                vault.renew_now(None).await.map(|_| ()),
            ];
            for error in results.into_iter().filter_map(Result::err) {
                writeln!(said, "{} {error} {error:?}", error.code()).unwrap();
            }
            writeln!(said, "{checked:?} {:?} {:?}", vault.status(), vault.statistics()).unwrap();
        }
        bench.proxy.set(Fault::None);
        vault.shutdown().await;
    }
    secrets.extend(
        bench
            .proxy
            .seen()
            .iter()
            .filter_map(|seen| seen.header("x-vault-token").map(str::to_owned)),
    );
    secrets.sort_unstable();
    secrets.dedup();
}
