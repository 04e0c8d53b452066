//! What is reported about Vault, and when.

use keyward_test_vault::{Fault, Rule};

use super::*;
use crate::vault::State;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_claimed_before_the_first_check() {
    let bench = Bench::start();
    bench.proxy.set(Fault::BlackHole);
    let vault = Vault::start(bench.config(token(&bench.server.root_token))).unwrap();
    let status = vault.status();
    assert_eq!(status.state, State::Unknown);
    assert!(status.last_check.is_none() && status.check_duration.is_none());
    assert!(status.last_error.is_none() && status.token.is_none() && status.version.is_none());
    assert_eq!(status.requests, crate::vault::Requests::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_is_seen_told_and_survived() {
    let mut bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    ready(&vault).await;
    let healthy = vault.check_now().await;
    assert_eq!((healthy.state, healthy.version.as_deref()), (State::Healthy, Some("1.13.1")));
    bench.server.seal();
    let start = Instant::now();
    let error = read(&vault, "one").await.unwrap_err();
    assert_eq!(error, VaultError::Sealed);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    // The failed call has the health checked at once, not after the period of 30 s.
    within(Duration::from_secs(3), &vault, |status| status.state == State::Sealed);
    for _ in 0..20 {
        assert_eq!(read(&vault, "one").await.unwrap_err(), VaultError::Sealed);
    }
    let error = vault.status().last_error.unwrap();
    assert_eq!(error.code, "vault-sealed");
    assert!(error.at.elapsed().unwrap() < Duration::from_secs(5));
    bench.server.unseal();
    let took = within(Duration::from_secs(5), &vault, |status| status.state == State::Healthy);
    println!("healthy {took:?} after the unseal");
    read(&vault, "one").await.unwrap();
    assert_eq!(vault.statistics().logins, 1, "the token survived the seal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let mut bench = Bench::with(Options { durable: true, ..Options::default() });
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    ready(&vault).await;
    bench.server.stop();
    assert_eq!(read(&vault, "one").await.unwrap_err().code(), "vault-unreachable");
    within(Duration::from_secs(3), &vault, |status| status.state == State::Unhealthy);
    bench.server.start_again();
    let took = within(Duration::from_secs(5), &vault, |status| status.state == State::Healthy);
    println!("healthy {took:?} after the restart");
    read(&vault, "one").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_forwards_is_usable() {
    let bench = Bench::with(Options { standby: true, ..Options::default() });
    let mut config = bench.config(token(&bench.server.root_token));
    config.address = bench.server.standby();
    let vault = Vault::start(config).unwrap();
    ready(&vault).await;
    assert_eq!(vault.status().state, State::Standby);
    read(&vault, "one").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_vault_does_not_accept_is_not_healthy() {
    let bench = Bench::start();
    let given = bench.token(json!({ "ttl": "1h" }));
    let vault = Vault::start(bench.config(token(&given))).unwrap();
    ready(&vault).await;
    bench.root.post("auth/token/revoke", &json!({ "token": given })).ok();
    let status = vault.check_now().await;
    assert_eq!(status.state, State::Unhealthy);
    assert_eq!(status.last_error.unwrap().code, "vault-token-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_no_requests_and_are_shared() {
    let bench = Bench::start();
    let vault = Vault::start(bench.config(token(&bench.server.root_token))).unwrap();
    ready(&vault).await;
    vault.check_now().await;
    bench.proxy.rules(vec![Rule::new(Fault::Delay(Duration::from_millis(300))).path("health")]);
    let before = bench.proxy.requests();
    let checks: Vec<_> = (0..100)
        .map(|_| {
            let vault = vault.clone();
            tokio::spawn(async move { vault.check_now().await.state })
        })
        .collect();
    for check in checks {
        assert_eq!(check.await.unwrap(), State::Healthy);
    }
    let made = bench.proxy.requests() - before;
    assert!(made <= 6, "{made} requests for 100 checks at once");
    let status = vault.status();
    assert_eq!(status.requests.total, 0, "{:?}", vault.statistics());
    assert!(status.last_check.unwrap().elapsed().unwrap() < Duration::from_secs(5));
    assert!(status.check_duration.unwrap() >= Duration::from_millis(300));
    assert!(status.last_error.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_check_holds_nobody_up() {
    let bench = Bench::start();
    let vault = Vault::start(bench.config(token(&bench.server.root_token))).unwrap();
    ready(&vault).await;
    bench.proxy.rules(vec![Rule::new(Fault::BlackHole).path("sys/health")]);
    let check = tokio::spawn({
        let vault = vault.clone();
        async move { vault.check_now().await.state }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    vault.status();
    vault.statistics();
    read(&vault, "one").await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(check.await.unwrap(), State::Unhealthy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_is_dropped_leaves_no_task() {
    let bench = Bench::start();
    let mut config = bench.config(token(&bench.server.root_token));
    config.health_period = Duration::from_millis(50);
    let vault = Vault::start(config).unwrap();
    ready(&vault).await;
    drop(vault);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let requests = bench.proxy.requests();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.proxy.requests(), requests);
}
