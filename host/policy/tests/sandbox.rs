//! The sandbox against a policy that does everything a policy must not, and against bad
//! components. Needs the components of `cargo xtask policies`.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use keyward_policy_host::{
    AdmissionError, Compiler, HostConfig, HostError, Limit, Limits, Payload, PolicyError, Request,
    Scope, TrapKind,
};
use support::{component, host_and_state, host_with, hostile, pool, request, small};
use zeroize::Zeroizing;

async fn behave(behaviour: &str) -> PolicyError {
    let (host, policy) = hostile().await;
    let error = host.authorize(&policy, &request(behaviour)).await.unwrap_err();
    // Whatever happened, the next request is served and nothing is left in the pool.
    host.authorize(&policy, &request("allow")).await.unwrap();
    assert_eq!(pool(&host).component_instances, 0, "{behaviour}");
    assert_eq!(pool(&host).memories, 0, "{behaviour}");
    error
}

#[tokio::test]
async fn a_loop_is_stopped_by_its_cpu_time() {
    let error = behave("loop").await;
    assert!(matches!(error, PolicyError::Limit(Limit::Cpu(_))), "{error:?}");
    assert_eq!(error.code(), "policy_cpu_limit");
}

#[tokio::test]
async fn allocation_without_end_is_stopped_by_the_memory_limit() {
    let error = behave("alloc").await;
    assert!(matches!(error, PolicyError::Limit(Limit::Memory(_))), "{error:?}");
}

#[tokio::test]
async fn a_trap_is_a_trap() {
    let error = behave("trap").await;
    assert!(matches!(error, PolicyError::Trap { kind: TrapKind::Unreachable, .. }), "{error:?}");
}

#[tokio::test]
async fn recursion_is_stopped() {
    let error = behave("recurse").await;
    // Whichever stack ends first: the guest's own in linear memory, or the native one.
    assert!(
        matches!(
            error,
            PolicyError::Trap { kind: TrapKind::StackOverflow | TrapKind::OutOfBounds, .. }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_million_host_calls_are_stopped() {
    let error = behave("million-calls").await;
    assert!(matches!(error, PolicyError::Limit(Limit::HostCalls(_))), "{error:?}");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_bounded() {
    let (host, policy) = hostile().await;
    // Either the lines are dropped and the policy ends well, or the host calls run out.
    match host.authorize(&policy, &request("log-flood")).await {
        Ok(_)
        | Err(PolicyError::Limit(Limit::HostCalls(_) | Limit::Cpu(_) | Limit::HostCallBytes(_))) => {
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn too_much_randomness_is_refused() {
    let error = behave("random-huge").await;
    assert!(matches!(error, PolicyError::Limit(Limit::RandomBytes(_))), "{error:?}");
}

#[tokio::test]
async fn handles_run_out() {
    let error = behave("hold-handles").await;
    assert!(matches!(error, PolicyError::Limit(Limit::Handles(_))), "{error:?}");
}

#[tokio::test]
async fn a_string_that_is_not_utf8_is_an_error_of_the_policy() {
    let error = behave("garbage-utf8").await;
    assert!(matches!(error, PolicyError::Trap { .. }), "{error:?}");
}

#[tokio::test]
async fn an_oversized_plan_is_refused() {
    let error = behave("garbage-aad").await;
    assert!(matches!(error, PolicyError::BadPlan { .. }), "{error:?}");
}

#[tokio::test]
async fn keys_of_another_tenant_do_not_open() {
    let (host, policy) = hostile().await;
    let error = host.authorize(&policy, &request("open-foreign")).await.unwrap_err();
    // The guest answers `denied` when every attempt failed, and allows if one succeeded.
    assert!(matches!(error, PolicyError::Refused(HostError::Denied(_))), "{error:?}");
}

#[tokio::test]
async fn nothing_is_left_from_one_request_to_the_next() {
    let (host, policy) = hostile().await;
    for _ in 0..50 {
        // The guest refuses when it finds the marker an earlier request wrote.
        host.authorize(&policy, &request("reuse-check")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spinning_tenant_does_not_stop_another() {
    let (host, spinning) = hostile().await;
    let other = host.admit(&component("hostile")).await.unwrap();
    let mut spinners = Vec::new();
    for _ in 0..4 {
        let (host, spinning) = (Arc::clone(&host), Arc::clone(&spinning));
        spinners.push(tokio::spawn(async move {
            for _ in 0..3 {
                let error = host.authorize(&spinning, &request("loop")).await.unwrap_err();
                assert!(matches!(error, PolicyError::Limit(Limit::Cpu(_))), "{error:?}");
            }
        }));
    }
    let mut served = 0;
    while spinners.iter().any(|spinner| !spinner.is_finished()) {
        host.authorize(&other, &request("allow")).await.unwrap();
        served += 1;
        tokio::task::yield_now().await;
    }
    for spinner in spinners {
        spinner.await.unwrap();
    }
    assert!(served > 20, "only {served} requests of the other tenant were served");
}

#[tokio::test]
async fn a_full_share_is_an_immediate_answer_and_dropped_waits_free_it() {
    let mut config = small();
    config.per_tenant = 2;
    let host = host_with(config, Duration::from_mins(1));
    let policy = host.admit(&component("hostile")).await.unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (host, policy) = (Arc::clone(&host), Arc::clone(&policy));
            tokio::spawn(async move { host.authorize(&policy, &request("open-own")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    let error = host.authorize(&policy, &request("allow")).await.unwrap_err();
    assert!(matches!(error, PolicyError::Busy { scope: Scope::Tenant }), "{error:?}");
    assert!(start.elapsed() < Duration::from_millis(500));
    for task in waiting {
        task.abort();
        let _ = task.await;
    }
    host.authorize(&policy, &request("allow")).await.unwrap();
    assert_eq!(pool(&host).component_instances, 0);
    assert_eq!(pool(&host).stacks, 0);
}

#[tokio::test]
async fn a_wait_for_a_key_is_bounded_by_the_wall_clock() {
    let mut config = small();
    config.limits = Limits { wall: Duration::from_millis(50), ..Limits::default() };
    let host = host_with(config, Duration::from_mins(1));
    let policy = host.admit(&component("hostile")).await.unwrap();
    let error = host.authorize(&policy, &request("open-own")).await.unwrap_err();
    assert!(matches!(error, PolicyError::Limit(Limit::Wall(_))), "{error:?}");
    assert_eq!(pool(&host).component_instances, 0);
}

/// What has to wait is begun anew on a fiber; nothing of the first attempt may show.
#[tokio::test]
async fn a_run_that_waits_has_one_outcome_and_logs_once() {
    let written = Arc::new(std::sync::Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt().with_writer({
        let written = Arc::clone(&written);
        move || Written(Arc::clone(&written))
    });
    let _log = tracing::subscriber::set_default(subscriber.finish());
    for delay in [Duration::ZERO, Duration::from_millis(5)] {
        let host = host_with(small(), delay);
        let policy = host.admit(&component("hostile")).await.unwrap();
        written.lock().unwrap().clear();
        let plan = host.authorize(&policy, &request("log-and-open")).await.unwrap();
        assert_eq!(plan.obligations[0].value, "opened demo");
        let log = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(log.matches("about to open").count(), 1, "{log}");
        assert_eq!(pool(&host).component_instances, 0);
    }
}

struct Written(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_is_decided_in_one_instance_and_in_order() {
    let (host, policy) = hostile().await;
    let requests = [request("allow"), request("deny"), request("allow")];
    let plans = host.authorize_many(&policy, &requests).await.unwrap();
    assert!(plans[0].is_ok());
    assert!(matches!(plans[1], Err(HostError::Denied(_))), "{:?}", plans[1]);
    assert!(plans[2].is_ok());
    assert!(host.authorize_many(&policy, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_operation_it_does_not_describe_never_reaches_the_policy() {
    let (host, policy) = hostile().await;
    let mut request = request("loop");
    request.operation = "invoke/nothing".into();
    let payload = keyward_policy_host::Payload { content_type: "text/plain".into(), body: vec![] };
    let error = host.invoke(&policy, &request, &payload).await.unwrap_err();
    assert!(matches!(error, PolicyError::UnknownOperation { .. }), "{error:?}");
}

#[tokio::test]
async fn artefacts_are_reused_and_a_forged_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = || HostConfig {
        artefact_dir: Some(dir.path().to_owned()),
        artefact_key: Zeroizing::new([1; 32]),
        ..small()
    };
    host_with(config(), Duration::ZERO).admit(&component("baseline")).await.unwrap();
    let artefact = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&artefact).unwrap();
    // With an artefact no compiler is needed; one that cannot run shows it is not.
    let mut without_compiler = config();
    without_compiler.compiler =
        Compiler::Child { program: "/nonexistent".into(), args: Vec::new() };
    host_with(without_compiler, Duration::ZERO).admit(&component("baseline")).await.unwrap();
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    std::fs::write(&artefact, forged).unwrap();
    host_with(config(), Duration::ZERO).admit(&component("baseline")).await.unwrap();
    assert_eq!(std::fs::read(&artefact).unwrap(), good, "compiled anew and replaced");
}

#[tokio::test]
async fn a_compiler_that_fails_hangs_or_is_missing_fails_that_upload_alone() {
    let wasm = component("baseline");
    let child = |program: &str, args: &[&str]| HostConfig {
        compiler: Compiler::Child {
            program: program.into(),
            args: args.iter().map(Into::into).collect(),
        },
        compile_timeout: Duration::from_millis(200),
        ..small()
    };
    let fails = host_with(child("/bin/false", &[]), Duration::ZERO).admit(&wasm).await;
    assert!(matches!(fails, Err(AdmissionError::CompileFailed { .. })));
    let hangs = host_with(child("/bin/sleep", &["60"]), Duration::ZERO).admit(&wasm).await;
    assert!(matches!(hangs, Err(AdmissionError::CompileTimeout(_))));
    let missing = host_with(child("/nonexistent", &[]), Duration::ZERO).admit(&wasm).await;
    assert!(matches!(missing, Err(AdmissionError::Host { .. })));
    // What the child prints is taken as native code only if wasmtime accepts it as its own.
    let nonsense = host_with(child("/bin/echo", &["code"]), Duration::ZERO).admit(&wasm).await;
    assert!(matches!(nonsense, Err(AdmissionError::CompileFailed { .. })));
}

#[tokio::test]
async fn a_component_with_the_right_names_and_wrong_types_is_refused() {
    let wasm = wat::parse_str(
        r#"(component
            (component $empty)
            (instance $i (instantiate $empty))
            (export "keyward:policy/guard@0.1.0" (instance $i))
            (export "keyward:policy/handler@0.1.0" (instance $i)))"#,
    )
    .unwrap();
    let host = host_with(small(), Duration::ZERO);
    assert!(matches!(host.admit(&wasm).await, Err(AdmissionError::WrongTypes { .. })));
}

#[tokio::test]
async fn memory_beyond_a_slot_is_refused_at_admission() {
    let wasm = wat::parse_str(
        r#"(component
            (core module $m (memory 1000))
            (core instance (instantiate $m))
            (component $empty)
            (instance $i (instantiate $empty))
            (export "keyward:policy/guard@0.1.0" (instance $i))
            (export "keyward:policy/handler@0.1.0" (instance $i)))"#,
    )
    .unwrap();
    let host = host_with(small(), Duration::ZERO);
    assert!(matches!(host.admit(&wasm).await, Err(AdmissionError::NeedsTooMuch { .. })));
}

#[tokio::test]
async fn the_policies_import_only_what_they_say() {
    let host = host_with(small(), Duration::ZERO);
    for name in ["baseline", "records"] {
        let policy = host.admit(&component(name)).await.unwrap();
        let imports = policy.imports().join(" ");
        assert!(!imports.contains("opening"), "{name} must not be able to decrypt: {imports}");
        assert!(!imports.contains("sealing"), "{name} need not encrypt: {imports}");
        assert!(!imports.contains("signing"), "{name} must not be able to sign: {imports}");
    }
}

/// A run that asks the state is begun on the caller's stack, and again on a fiber.
#[tokio::test]
async fn what_has_an_effect_has_it_once() {
    let (host, state) = host_and_state();
    let policy = host.admit(&component("hostile")).await.unwrap();
    let written = || state.written.load(Ordering::Relaxed);
    let count = request("state-count");
    host.authorize(&policy, &count).await.unwrap();
    assert_eq!(written(), 1);
    host.authorize_many(&policy, &[count.clone(), count.clone()]).await.unwrap();
    assert_eq!(written(), 3);
    let invoked = Request { operation: "invoke/state-count".into(), ..request("allow") };
    let payload = Payload { content_type: "text/plain".into(), body: vec![] };
    host.invoke(&policy, &invoked, &payload).await.unwrap();
    assert_eq!(written(), 4);
}
