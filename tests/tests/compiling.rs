//! Components made to break the compiler: each is refused or admitted, and nothing else suffers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::time::Instant;

use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::{Server, Tenant};

/// A good component with a module beside it that nobody instantiates, and that is compiled all the
/// same.
fn with_module(text: &str) -> Vec<u8> {
    let module = wat::parse_str(text).unwrap();
    let mut wasm = stamped(9);
    // A section of a component that is a core module: 1, its length in LEB128, the module.
    wasm.push(1);
    let mut length = module.len();
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        if length == 0 {
            wasm.push(byte);
            break;
        }
        wasm.push(byte | 0x80);
    }
    wasm.extend_from_slice(&module);
    wasm
}

/// As many pieces of data as a module may have, of nearly nothing each.
fn data_segments() -> String {
    let mut text = String::from("(module ");
    for _ in 0..99_999 {
        text.push_str("(data \"x\")");
    }
    text + ")"
}

fn many_functions() -> String {
    let mut text = String::from("(module");
    for index in 0..10_000 {
        let _ = write!(
            text,
            "(func (param i32 i64) (result i64) local.get 1 i64.const {index} i64.mul
              local.get 0 i64.extend_i32_u i64.xor local.get 1 i64.rotl)"
        );
    }
    text + ")"
}

fn deep_nesting(depth: usize) -> String {
    format!("(module (func {} {}))", "block ".repeat(depth), "end ".repeat(depth))
}

/// One function that takes a compiler long: every value is needed at the end.
fn wide_function() -> String {
    let mut text = String::from("(module (func (param i64) (result i64) ");
    for index in 0..20_000 {
        let _ = write!(text, "local.get 0 i64.const {index} i64.mul ");
    }
    text.push_str(&"i64.xor ".repeat(19_999));
    text + "))"
}

/// The tenant is served as before.
#[track_caller]
fn is_served(tenant: &Tenant) {
    let text = tenant.app.send("POST", "/invoke/which", &[], b"").expect(200).text();
    assert_eq!(text, format!("{0} {0}", stamp(1)));
}

#[test]
fn what_is_made_to_break_the_compiler_fails_alone() {
    let server = Server::serve("[policy]\ncompile_timeout = \"5s\"\n");
    let (tenant, other) = (server.tenant("acme"), server.tenant("other"));
    for tenant in [&tenant, &other] {
        tenant.admin.put_policy(&stamped(1)).expect(200);
    }
    let before = tenant.app.get("/policy").expect(200).json();
    for (name, text) in [
        ("data segments", data_segments()),
        ("10,000 functions", many_functions()),
        ("nesting", deep_nesting(100_000)),
        ("deep nesting", deep_nesting(1_000_000)),
        ("a wide function", wide_function()),
    ] {
        let (wasm, start) = (with_module(&text), Instant::now());
        let push = || {
            let headers = [("content-type", "application/wasm")];
            tenant.admin.send("POST", "/policies", &headers, &wasm)
        };
        // Others are served meanwhile, too.
        let answer = std::thread::scope(|scope| {
            let pushing = scope.spawn(push);
            while !pushing.is_finished() {
                is_served(&other);
            }
            pushing.join().unwrap()
        });
        let (status, took) = (answer.status, start.elapsed());
        println!("{name}: {} bytes, {status} after {took:.1?}: {}", wasm.len(), answer.text());
        if status != 201 {
            let code = answer.expect(422).str("/code");
            let expected = [
                "component_compile_failed",
                "component_compile_timeout",
                "component_invalid",
                "component_needs_too_much",
            ];
            assert!(expected.contains(&code.as_str()), "{name}: {code}");
        }
        is_served(&tenant);
        assert_eq!(tenant.app.get("/policy").expect(200).json(), before, "{name}");
    }
    // Too slow for a second, and killed.
    let server = Server::serve("[policy]\ncompile_timeout = \"1s\"\n");
    let tenant = server.tenant("acme");
    let mut slow = many_functions();
    slow.truncate(slow.len() - 1);
    let body = "local.get 0 i64.const 3 i64.mul i64.const 7 i64.xor i64.popcnt local.set 0 ";
    for _ in 0..300 {
        let _ = write!(slow, "(func (param i64) {})", body.repeat(300));
    }
    slow.push(')');
    let refused = tenant.admin.put_policy(&with_module(&slow));
    refused.problem(422, "component_compile_timeout");
    tenant.app.get("/policy").problem(404, "policy_not_set");
}
