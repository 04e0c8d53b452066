//! Calls while Vault, or the network before it, fails.

use keyward_test_vault::{Fault, Rule};

use super::*;
use crate::vault::{Outcome, State};

async fn connect(bench: &Bench, change: impl FnOnce(&mut VaultConfig)) -> Vault {
    let mut config = bench.config(token(&bench.server.root_token));
    change(&mut config);
    let vault = Vault::start(config).unwrap();
    ready(&vault).await;
    vault
}

fn count(vault: &Vault, operation: Operation, outcome: Outcome) -> u64 {
    vault
        .statistics()
        .by_operation
        .iter()
        .find(|(o, r, _)| (*o, *r) == (operation, outcome))
        .map_or(0, |(_, _, count)| *count)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_a_moment_is_tried_again() {
    let bench = Bench::start();
    let vault = connect(&bench, |_| ()).await;
    for fault in [
        Fault::Reset,
        Fault::Drop,
        Fault::Truncate,
        Fault::LoseAnswer,
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(429),
        Fault::Status(412),
    ] {
        let before = vault.statistics().retries;
        bench.proxy.rules(vec![Rule::new(fault.clone()).path("/data/").times(2)]);
        read(&vault, "one").await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(vault.statistics().retries > before, "{fault:?}");
    }
    assert_eq!(count(&vault, Operation::KvRead, Outcome::Ok), 8);
    assert_eq!(vault.status().requests.failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_of_server_errors_is_survived() {
    let bench = Bench::start();
    let vault = connect(&bench, |config| config.max_retries = 5).await;
    bench.proxy.rules(vec![Rule::new(Fault::Status(500)).path("/data/").share(0.3)]);
    let traffic = Traffic::start(&vault, 8, Duration::from_millis(1));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (calls, errors) = traffic.end().await;
    println!("{calls} calls at 30 % of 500, {} failed", errors.len());
    assert!(calls > 100 && errors.len() < 3, "{} of {calls}: {errors:?}", errors.len());
    assert!(!vault.statistics().breaker_open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_finds_that_it_was_repeated() {
    let bench = Bench::start();
    let vault = connect(&bench, |_| ()).await;
    bench.proxy.rules(vec![Rule::new(Fault::LoseAnswer).path("/data/").times(1)]);
    let error = create(&vault, "safe").await.unwrap_err();
    let path = "secret/data/e2ee/safe".to_owned();
    assert_eq!(error, VaultError::CasMismatch { path, retried: true });
    // What Vault surely did not carry out finds nothing of its own.
    bench.proxy.rules(vec![Rule::new(Fault::Status(429)).path("/data/").times(1)]);
    create(&vault, "limited").await.unwrap();
    bench.proxy.set(Fault::None);
    let error = create(&vault, "limited").await.unwrap_err();
    let path = "secret/data/e2ee/limited".to_owned();
    assert_eq!(error, VaultError::CasMismatch { path, retried: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_takes_longer_than_the_timeout() {
    let bench = Bench::start();
    let vault = connect(&bench, |config| config.timeout = Duration::from_secs(1)).await;
    for fault in [Fault::BlackHole, Fault::Delay(Duration::from_secs(3)), Fault::Status(500)] {
        bench.proxy.set(fault.clone());
        let start = Instant::now();
        let error = read(&vault, "one").await.unwrap_err();
        let took = start.elapsed();
        let code = if fault == Fault::Status(500) { "vault-server-error" } else { "vault-timeout" };
        assert_eq!(error.code(), code, "{fault:?}");
        assert!(took < Duration::from_millis(1200), "{fault:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_vault_is_waited_for() {
    let bench = Bench::start();
    let vault = connect(&bench, |config| config.timeout = Duration::from_secs(10)).await;
    bench.proxy.set(Fault::Delay(Duration::from_secs(5)));
    let traffic = Traffic::start(&vault, 16, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(vault.check_now().await.state, State::Healthy);
    bench.proxy.set(Fault::None);
    let (calls, errors) = traffic.end().await;
    assert!(calls >= 16 && errors.is_empty(), "{calls}: {errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_suspended_while_vault_is_gone_and_resumed_when_it_is_back() {
    let bench = Bench::start();
    let vault = connect(&bench, |config| config.max_retries = 0).await;
    bench.proxy.set(Fault::Reset);
    for _ in 0..5 {
        assert_eq!(read(&vault, "one").await.unwrap_err().code(), "vault-unreachable");
    }
    assert!(vault.statistics().breaker_open);
    let requests = bench.proxy.requests();
    let start = Instant::now();
    for _ in 0..1000 {
        let error = read(&vault, "one").await.unwrap_err();
        assert_eq!(error, VaultError::CircuitOpen { cause: "vault-unreachable" });
    }
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    assert!(bench.proxy.requests() <= requests + 2, "only health checks pass");
    assert_eq!(count(&vault, Operation::KvRead, Outcome::NotSent), 1000);
    within(Duration::from_secs(3), &vault, |status| status.state == State::Unhealthy);
    assert_eq!(vault.status().requests.failed, 5, "a failure counts once");
    bench.proxy.set(Fault::None);
    let start = Instant::now();
    while read(&vault, "one").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(2), "suspended too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("calls resumed {:?} after Vault came back", start.elapsed());
    within(Duration::from_secs(3), &vault, |status| status.state == State::Healthy);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_are_limited_and_wait_their_turn() {
    let bench = Bench::start();
    let vault = connect(&bench, |config| {
        config.max_concurrent = 4;
        config.timeout = Duration::from_secs(2);
    })
    .await;
    bench.proxy.rules(vec![Rule::new(Fault::Delay(Duration::from_millis(300))).path("/data/")]);
    let start = Instant::now();
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let vault = vault.clone();
            tokio::spawn(async move { read(&vault, "one").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(1200), "{:?}", start.elapsed());
    assert!(bench.proxy.connections() <= 4 + 2, "{} connections", bench.proxy.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_gets_no_turn_says_so_and_blames_nobody() {
    let bench = Bench::start();
    let vault = connect(&bench, |config| {
        config.max_concurrent = 1;
        config.timeout = Duration::from_secs(1);
    })
    .await;
    let permit = vault.0.shared.permits.acquire().await.unwrap();
    let start = Instant::now();
    for _ in 0..2 {
        assert_eq!(read(&vault, "one").await.unwrap_err(), VaultError::Busy { limit: 1 });
    }
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    drop(permit);
    read(&vault, "one").await.unwrap();
    assert_eq!(vault.status().requests.failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_and_a_missing_mount_are_told_apart() {
    let bench = Bench::start();
    let vault = connect(&bench, |_| ()).await;
    let error = read(&vault, "none").await.unwrap_err();
    assert_eq!(error, VaultError::NotFound { path: "secret/data/e2ee/none".into() });
    assert!(!error.is_unavailable());
    bench.root.delete("sys/mounts/secret").ok();
    let error = read(&vault, "one").await.unwrap_err();
    assert_eq!(error, VaultError::MountMissing { mount: "secret".into() });
    assert!(error.is_unavailable());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_another_server_are_no_answers() {
    let bench = Bench::start();
    let vault = connect(&bench, |_| ()).await;
    for body in ["", "<html>", "{}", "null", r#"{"data":null}"#, r#"{"data":{"data":7}}"#] {
        bench.proxy.set(Fault::Body(body.to_owned()));
        let error = read(&vault, "one").await.unwrap_err();
        assert_eq!(error.code(), "vault-malformed-response", "{body:?}: {error}");
        vault.0.shared.breaker.close();
    }
}
