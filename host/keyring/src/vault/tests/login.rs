//! Every way to log in, and what is left behind.

use keyward_test_vault::{Fault, Kubernetes, Rule};

use super::*;
use crate::vault::State;

#[tokio::test(flavor = "multi_thread")]
async fn a_root_token_needs_no_renewal_and_gives_no_warning() {
    let bench = Bench::start();
    let mut config = bench.config(token(&bench.server.root_token));
    config.health_period = Duration::from_millis(100);
    let vault = Vault::start(config).unwrap();
    ready(&vault).await;
    assert_eq!(read(&vault, "one").await.unwrap(), "dmFsdWU=");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = vault.status();
    let found = status.token.unwrap();
    assert_eq!((found.ttl, found.expires_soon, found.batch), (None, false, false));
    assert_eq!(found.source, "token");
    assert!(status.last_error.is_none(), "{:?}", status.last_error);
    let error = vault.renew_now(None).await.unwrap_err();
    assert_eq!(error.code(), "vault-token-not-renewable");
    assert_eq!(vault.statistics().renewals, 0);
    vault.shutdown().await;
    bench.root.get("auth/token/lookup-self").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approle_token_is_revoked_on_exit_and_a_given_one_is_not() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let before = bench.tokens();
    let vault = Vault::start(bench.config(auth)).unwrap();
    ready(&vault).await;
    let found = vault.status().token.unwrap();
    assert!(found.ttl.unwrap() > Duration::from_mins(59) && found.renewable);
    assert_eq!(found.source, "approle");
    assert_eq!(bench.tokens(), before + 1);
    vault.shutdown().await;
    assert_eq!(bench.tokens(), before);
    assert_eq!(read(&vault, "one").await.unwrap_err(), VaultError::ShutDown);
    assert!(vault.status().token.is_none());
    vault.shutdown().await;

    let given = bench.token(json!({ "ttl": "1h" }));
    let vault = Vault::start(bench.config(token(&given))).unwrap();
    ready(&vault).await;
    vault.shutdown().await;
    bench.root.token(&given).get("auth/token/lookup-self").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_logs_in_with_the_jwt_that_is_in_the_file_then() {
    let bench = Bench::start();
    let cluster = Kubernetes::start();
    let role = json!({ "token_policies": ["keyward"], "token_ttl": "3s", "token_max_ttl": "3s" });
    cluster.enable(&bench.root, "keyward", "keyward", role);
    let folder = tempfile::tempdir().unwrap();
    let jwt_file = folder.path().join("token");
    std::fs::write(&jwt_file, cluster.jwt("keyward") + "\n").unwrap();
    let auth = Auth::Kubernetes {
        role: "keyward".to_owned(),
        jwt_file: jwt_file.clone(),
        mount: "kubernetes".to_owned(),
    };
    let vault = Vault::start(bench.config(auth)).unwrap();
    ready(&vault).await;
    assert_eq!(vault.status().token.unwrap().source, "kubernetes");
    let traffic = Traffic::start(&vault, 2, Duration::from_millis(10));
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.expire_all();
    let fresh = cluster.jwt("keyward");
    let _reviewer = cluster.jwt("reviewer");
    std::fs::write(&jwt_file, fresh).unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (calls, errors) = traffic.end().await;
    assert!(calls > 100 && errors.is_empty(), "{calls} calls: {errors:?}");
    assert!(vault.statistics().logins >= 3, "{:?}", vault.statistics());

    std::fs::remove_file(&jwt_file).unwrap();
    within(Duration::from_secs(10), &vault, |status| {
        status.last_error.as_ref().is_some_and(|error| error.code == "vault-login-failed")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_vault_refuses_say_what_to_see_to() {
    let bench = Bench::start();
    let Auth::AppRole { role_id, mount, .. } = bench.approle(json!({})) else { unreachable!() };
    let app_role = |role_id: &str, secret_id: &str, mount: &str| Auth::AppRole {
        role_id: role_id.to_owned(),
        secret_id: Zeroizing::new(secret_id.to_owned()),
        mount: mount.to_owned(),
    };
    let missing = Auth::TokenFile("/does/not/exist".into());
    for (auth, code, says) in [
        (app_role(&role_id, "wrong-secret", &mount), "vault-login-failed", "secret id"),
        (app_role("wrong-role", "wrong-secret", &mount), "vault-login-failed", "role id"),
        (app_role(&role_id, "x", "elsewhere"), "vault-login-failed", "vault auth enable"),
        (token("hvs.nobody"), "vault-token-invalid", "from token"),
        (missing, "vault-login-failed", "/does/not/exist"),
    ] {
        let vault = Vault::start(bench.config(auth)).unwrap();
        let status = vault.check_now().await;
        assert_eq!(status.state, State::Unhealthy, "{status:?}");
        let error = read(&vault, "one").await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error} {error:?}").contains("wrong-secret"), "{error}");
        assert!(error.is_unavailable());
        assert_eq!(vault.status().last_error.unwrap().code, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_is_read_again_when_it_changes() {
    let bench = Bench::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let first = bench.token(json!({ "ttl": "1h" }));
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let vault = Vault::start(bench.config(Auth::TokenFile(file.clone()))).unwrap();
    ready(&vault).await;
    assert_eq!(vault.status().token.unwrap().source, "token-file");

    // Replaced by rename, as Vault Agent does it; then the old one dies.
    let second = bench.token(json!({ "ttl": "2h" }));
    let next = folder.path().join("next");
    std::fs::write(&next, &second).unwrap();
    std::fs::rename(&next, &file).unwrap();
    within(Duration::from_secs(5), &vault, |status| {
        status.token.unwrap().ttl.unwrap() > Duration::from_mins(61)
    });
    bench.root.post("auth/token/revoke", &json!({ "token": first })).ok();
    read(&vault, "one").await.unwrap();
    let last = bench.proxy.seen().pop().unwrap();
    assert_eq!(last.header("x-vault-token"), Some(second.as_str()));

    // A revoked token and a new one in the file: found on the first denial, without a poll.
    let third = bench.token(json!({ "ttl": "3h" }));
    bench.root.post("auth/token/revoke", &json!({ "token": second })).ok();
    std::fs::write(&file, &third).unwrap();
    read(&vault, "one").await.unwrap();

    // What is no token does not displace one that works.
    for bad in ["", "two words", "hvs.nobody"] {
        std::fs::write(&file, bad).unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        read(&vault, "one").await.unwrap();
    }
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    read(&vault, "one").await.unwrap();
    vault.shutdown().await;
    bench.root.token(&third).get("auth/token/lookup-self").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_away_at_the_start_is_found_later() {
    let bench = Bench::start();
    bench.proxy.set(Fault::Reset);
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    let start = Instant::now();
    let error = read(&vault, "one").await.unwrap_err();
    assert_eq!(error.code(), "vault-unreachable", "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(vault.check_now().await.state, State::Unhealthy);
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.proxy.set(Fault::None);
    let start = Instant::now();
    ready(&vault).await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    read(&vault, "one").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_answer_is_late_does_not_hold_up_the_start() {
    let bench = Bench::start();
    let delay = Fault::DelayAnswer(Duration::from_secs(1));
    bench.proxy.rules(vec![Rule::new(delay).path("login").times(1)]);
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let start = Instant::now();
    let vault = Vault::start(bench.config(auth)).unwrap();
    assert!(start.elapsed() < Duration::from_millis(500));
    // Calls wait for the first login rather than fail.
    read(&vault, "one").await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_goes_with_everything_but_the_health_check() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let mut config = bench.config(auth);
    config.namespace = Some("team/keys".to_owned());
    let vault = Vault::start(config).unwrap();
    vault.check_now().await;
    let _ = read(&vault, "one").await;
    let _ = vault.renew_now(None).await;
    vault.shutdown().await;
    let seen = bench.proxy.seen();
    for part in ["approle/login", "lookup-self", "renew-self", "revoke-self", "data/e2ee/one"] {
        assert!(seen.iter().any(|seen| seen.target.contains(part)), "{part} not seen");
    }
    for request in seen {
        let health = request.target.contains("sys/health");
        let expected = if health { None } else { Some("team/keys") };
        assert_eq!(request.header("x-vault-namespace"), expected, "{}", request.target);
        assert_eq!(request.header("x-vault-request"), Some("true"));
        let anonymous = health || request.target.contains("login");
        assert_eq!(request.header("x-vault-token").is_none(), anonymous, "{}", request.target);
    }
}
