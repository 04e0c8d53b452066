//! Runs of a policy that are observed, and recorded ones that are replayed. Needs the components of
//! `cargo xtask policies`.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

mod support;

use std::time::Duration;

use keyward_policy_host::{Detail, HostConfig, HostError, Observe, Payload, Request, Value};
use support::{component, host_with, hostile, pool, request, small};

fn counting_fuel() -> HostConfig {
    HostConfig { fuel: true, ..small() }
}

/// A field of an order, protected and revealed by the policy `fields`, whose key is not there.
fn protect(body: &str) -> (Request, Payload) {
    let request = Request { operation: "invoke/protect".into(), ..request("") };
    let payload = Payload { content_type: "application/json".into(), body: body.into() };
    (request, payload)
}

#[tokio::test]
async fn an_observed_run_tells_all_and_ends_as_any_other() {
    let host = host_with(counting_fuel(), Duration::ZERO);
    let policy = host.admit(&component("fields")).await.unwrap();
    let (request, payload) = protect(r#"{"customer":{"name":"Ada"}}"#);
    let watch = |detail| {
        let observe = Observe { detail, script: None, ..Observe::default() };
        host.observe(&policy, &request, Some(&payload), observe)
    };
    let trace = watch(Detail::Values).await.unwrap();
    let plain = host.invoke(&policy, &request, &payload).await.unwrap_err();
    assert!(trace.decision.is_ok());
    let Some(Err(refused)) = &trace.output else { panic!("{trace:?}") };
    assert_eq!(refused.to_string(), plain.to_string());
    assert_eq!(trace.calls.len(), 1);
    assert_eq!(trace.calls[0].function, "keys.open");
    assert_eq!(trace.calls[0].arguments, [Value::Text("fields".into())]);
    assert!(matches!(trace.calls[0].result, Value::Refused(HostError::NotFound(_))));
    assert!(trace.fuel.unwrap() > 100, "{trace:?}");
    assert!(trace.memory_bytes >= 64 << 10, "{trace:?}");
    // The same again is the same again, and without fuel nothing is made up.
    let again = watch(Detail::Values).await.unwrap();
    assert_eq!((again.fuel, again.calls), (trace.fuel, trace.calls));
    let uncounted = host_with(small(), Duration::ZERO);
    let policy = uncounted.admit(&component("fields")).await.unwrap();
    let trace = uncounted.observe(&policy, &request, None, Observe::default()).await.unwrap();
    assert_eq!((trace.fuel, trace.output.is_none()), (None, true));
    assert_eq!(pool(&uncounted).component_instances, 0);
}

#[tokio::test]
async fn a_trace_of_lengths_has_no_bytes() {
    let (host, policy) = hostile().await;
    let run = |detail| {
        let observe = Observe { detail, script: None, ..Observe::default() };
        let request = request("million-calls");
        let (host, policy) = (&host, &policy);
        async move { host.observe(policy, &request, None, observe).await.unwrap() }
    };
    let calls = run(Detail::Lengths).await.calls;
    assert_eq!(calls.len(), 10_000);
    assert!(calls.iter().all(|call| call.result == Value::Length(1)));
    let calls = run(Detail::Values).await.calls;
    assert!(calls.iter().all(|call| matches!(call.result, Value::Bytes(_))));
    assert_eq!(format!("{:?}", calls[0].result), "1 bytes");
}

#[tokio::test]
async fn an_observed_run_that_crashes_says_how() {
    let (host, policy) = hostile().await;
    for behaviour in ["panic", "loop"] {
        let request = request(behaviour);
        let observed = host.observe(&policy, &request, None, Observe::default()).await.unwrap();
        let observed = observed.decision.unwrap_err();
        let plain = host.authorize(&policy, &request).await.unwrap_err();
        assert_eq!(observed.to_string(), plain.to_string());
    }
}

#[tokio::test]
async fn a_replayed_run_is_the_recorded_one_and_stops_where_it_is_not() {
    let host = host_with(counting_fuel(), Duration::ZERO);
    let policy = host.admit(&component("fields")).await.unwrap();
    let (request, payload) = protect(r#"{"customer":{"name":"Ada"}}"#);
    let recorded = Observe { detail: Detail::Values, script: None, ..Observe::default() };
    let recorded = host.observe(&policy, &request, Some(&payload), recorded).await.unwrap();
    let replay = |calls: Vec<_>| Observe {
        detail: Detail::Values,
        script: Some(calls),
        ..Observe::default()
    };
    let same = host.observe(&policy, &request, Some(&payload), replay(recorded.calls.clone()));
    let same = same.await.unwrap();
    assert_eq!((&same.divergence, same.calls_left), (&None, 0));
    assert_eq!(same.calls, recorded.calls);
    assert_eq!(format!("{:?}", same.output), format!("{:?}", recorded.output));
    // What the recording says counts, whatever the keys are.
    let mut other = recorded.calls.clone();
    other[0].result = Value::Refused(HostError::Unavailable("not now".into()));
    let other = host.observe(&policy, &request, Some(&payload), replay(other)).await.unwrap();
    assert_eq!(other.output.unwrap().unwrap_err().to_string(), "not now");
    // Another call, another argument, a result that cannot be: the run ends there.
    let mut changed = recorded.calls.clone();
    changed[0].arguments = vec![Value::Text("other".into())];
    let mut unfit = recorded.calls.clone();
    unfit[0].result = Value::Number(1);
    for script in [Vec::new(), changed, unfit] {
        let expected = script.first().cloned();
        let run = host.observe(&policy, &request, Some(&payload), replay(script)).await.unwrap();
        let divergence = run.divergence.unwrap();
        assert_eq!((divergence.position, divergence.expected), (0, expected));
        assert_eq!(divergence.called.function, "keys.open");
    }
}
