//! Tokens whose TTL is seconds, under traffic.

use keyward_test_vault::{Fault, Rule};

use super::*;

/// Runs traffic for this long and expects no failure.
async fn no_failure(bench: &Bench, vault: &Vault, seconds: u64) -> u64 {
    ready(vault).await;
    let traffic = Traffic::start(vault, 4, Duration::from_millis(5));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (calls, errors) = traffic.end().await;
    let statistics = vault.statistics();
    println!(
        "{calls} calls in {seconds} s, {} failed; {} logins, {} renewals, {} tokens in Vault",
        errors.len(),
        statistics.logins,
        statistics.renewals,
        bench.tokens(),
    );
    assert!(errors.is_empty(), "{} of {calls}: {:?}", errors.len(), &errors[0]);
    assert!(calls > seconds * 20, "{calls} calls");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn approle_tokens_are_renewed_and_replaced_at_their_maximum_ttl() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "5s", "token_max_ttl": "20s" }));
    let before = bench.tokens();
    let mut config = bench.config(auth);
    config.renew_increment = Duration::from_secs(5);
    let vault = Vault::start(config).unwrap();
    let seconds = std::env::var("KEYWARD_TEST_RENEWAL_SECONDS")
        .map_or(45, |seconds| seconds.parse().unwrap());
    no_failure(&bench, &vault, seconds).await;
    let statistics = vault.statistics();
    // Each token lives for 13 to 20 seconds and is renewed about every three.
    assert!(statistics.logins >= seconds / 20, "{statistics:?}");
    assert!(statistics.logins <= seconds / 10, "{statistics:?}");
    assert!(statistics.renewals >= seconds / 7, "{statistics:?}");
    assert_eq!((statistics.login_failures, statistics.renewal_failures), (0, 0));
    assert!(bench.tokens() <= before + 3, "{}", bench.tokens());
    assert!(vault.status().last_error.is_none(), "{:?}", vault.status());
    vault.shutdown().await;
    assert_eq!(bench.tokens(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_beyond_the_maximum_ttl_leaves_no_gap() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "2s", "token_max_ttl": "5s" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    no_failure(&bench, &vault, 12).await;
    assert!(vault.statistics().logins >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_tokens_are_replaced_and_never_renewed() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_type": "batch", "token_ttl": "3s" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    no_failure(&bench, &vault, 10).await;
    let statistics = vault.statistics();
    assert!(statistics.logins >= 4, "{statistics:?}");
    assert_eq!((statistics.renewals, statistics.renewal_failures), (0, 0));
    assert!(vault.status().token.unwrap().batch);
    let asked = |path: &str| bench.proxy.seen().iter().any(|seen| seen.target.contains(path));
    assert!(!asked("renew-self"));
    vault.renew_now(None).await.unwrap();
    assert_eq!(vault.statistics().logins, statistics.logins + 1);
    vault.shutdown().await;
    assert!(!asked("revoke-self"), "batch tokens cannot be revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_token_is_renewed_while_vault_allows_it() {
    let bench = Bench::start();
    let given = bench.token(json!({ "ttl": "3s", "explicit_max_ttl": "9s" }));
    let mut config = bench.config(token(&given));
    config.renew_increment = Duration::from_secs(3);
    config.health_period = Duration::from_millis(500);
    let vault = Vault::start(config).unwrap();
    no_failure(&bench, &vault, 7).await;
    assert!(vault.statistics().renewals >= 2);
    // Then it ends, and everybody is told why.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let error = read(&vault, "one").await.unwrap_err();
    assert_eq!(error.code(), "vault-token-invalid", "{error}");
    within(Duration::from_secs(3), &vault, |status| !status.state.is_usable());
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_on_demand_tells_what_it_achieved() {
    let bench = Bench::start();
    let given = bench.token(json!({ "ttl": "10m" }));
    let vault = Vault::start(bench.config(token(&given))).unwrap();
    ready(&vault).await;
    assert!(vault.status().token.unwrap().expires_soon, "below the hour of the default");
    let minutes = |ttl: Option<Duration>| ttl.unwrap().as_secs().div_ceil(60);
    let renewed = vault.renew_now(Some(Duration::from_mins(30))).await.unwrap();
    assert_eq!((minutes(renewed.ttl), renewed.expires_soon), (30, true));
    let renewed = vault.renew_now(Some(Duration::from_hours(2))).await.unwrap();
    assert_eq!((minutes(renewed.ttl), renewed.expires_soon), (120, false));
    assert_eq!(minutes(vault.renew_now(None).await.unwrap().ttl), 60);
    assert_eq!(vault.statistics().renewals, 3);
    let fixed = bench.token(json!({ "ttl": "10m", "renewable": false }));
    let vault = Vault::start(bench.config(token(&fixed))).unwrap();
    ready(&vault).await;
    let error = vault.renew_now(None).await.unwrap_err();
    assert_eq!(error.code(), "vault-token-not-renewable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_began_before_a_renewal_does_not_undo_it() {
    let bench = Bench::start();
    let given = bench.token(json!({ "ttl": "10m" }));
    let vault = Vault::start(bench.config(token(&given))).unwrap();
    ready(&vault).await;
    let slow = Fault::DelayAnswer(Duration::from_millis(400));
    bench.proxy.rules(vec![Rule::new(slow).path("lookup-self")]);
    let check = vault.check_now();
    let renewal = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        vault.renew_now(Some(Duration::from_hours(2))).await.unwrap();
    };
    let (checked, ()) = tokio::join!(check, renewal);
    assert!(checked.token.unwrap().ttl.unwrap() > Duration::from_hours(1), "{checked:?}");
    assert!(vault.status().token.unwrap().ttl.unwrap() > Duration::from_hours(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_revoked_under_us_is_replaced_within_the_call() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    ready(&vault).await;
    let traffic = Traffic::start(&vault, 8, Duration::from_millis(1));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        for accessor in bench.root.list("auth/token/accessors") {
            let body = json!({ "accessor": accessor });
            let found = bench.root.post("auth/token/lookup-accessor", &body);
            if found.body["data"]["path"] == "auth/approle/login" {
                bench.root.post("auth/token/revoke-accessor", &body).ok();
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (calls, errors) = traffic.end().await;
    println!("{calls} calls, three revocations, {} failed", errors.len());
    assert!(calls > 500 && errors.is_empty(), "{} of {calls}: {:?}", errors.len(), errors.first());
    assert_eq!(vault.statistics().logins, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_by_policy_is_told_and_costs_no_logins() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "1h" }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    ready(&vault).await;
    bench.root.policy("keyward", r#"path "secret/data/other/*" { capabilities = ["read"] }"#);
    let requests = bench.proxy.requests();
    for _ in 0..50 {
        let error = read(&vault, "one").await.unwrap_err();
        assert_eq!(
            error,
            VaultError::PermissionDenied {
                path: "secret/data/e2ee/one".to_owned(),
                capability: "read"
            }
        );
        assert!(error.is_unavailable());
    }
    assert_eq!(vault.statistics().logins, 1);
    assert!(bench.proxy.requests() - requests < 60, "one lookup a second at most");
    bench.root.policy("keyward", POLICY);
    read(&vault, "one").await.unwrap();
    assert!(!vault.statistics().breaker_open);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_the_token_lives_is_survived() {
    let bench = Bench::start();
    let auth = bench.approle(json!({ "token_ttl": "2s", "token_max_ttl": "10s" }));
    let mut config = bench.config(auth);
    config.renew_increment = Duration::from_secs(2);
    let vault = Vault::start(config).unwrap();
    ready(&vault).await;
    bench.proxy.set(Fault::Reset);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(vault.status().token.unwrap().ttl, Some(Duration::ZERO));
    bench.proxy.set(Fault::None);
    let start = Instant::now();
    while read(&vault, "one").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", vault.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("served {:?} after the outage", start.elapsed());
    ready(&vault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_look_itself_up_does_not_flood_vault_with_logins() {
    let bench = Bench::start();
    bench.root.policy("keyward", r#"path "secret/data/other/*" { capabilities = ["read"] }"#);
    let auth = bench.approle(json!({ "token_ttl": "1h", "token_no_default_policy": true }));
    let vault = Vault::start(bench.config(auth)).unwrap();
    let traffic = Traffic::start(&vault, 8, Duration::from_millis(1));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(vault.status().state, crate::vault::State::Unhealthy);
    let (calls, errors) = traffic.end().await;
    assert_eq!(calls, errors.len() as u64);
    let logins = vault.statistics().logins;
    println!("{calls} calls denied, {logins} logins");
    assert!(logins <= 5, "{logins}");
}
