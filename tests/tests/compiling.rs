//! Components made to break the compiler: each is refused or admitted, and nothing else suffers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::time::Instant;

use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::{Server, Tenant};

/// Most that an upload may leave the server with: the component itself, what was compiled of it, and
/// what the allocator keeps for the next.
const MOST_MEMORY: usize = 128 << 20;

/// A good component with a module beside it that nobody instantiates, and that is compiled all the
/// same.
fn with_module(text: &str) -> Vec<u8> {
    let mut wasm = stamped(9);
    section(&mut wasm, 1, &wat::parse_str(text).unwrap());
    wasm
}

/// The same, but so many instances are made of the module, with each instance of the component.
fn with_instances(text: &str, count: u8) -> Vec<u8> {
    let index = u8::try_from(modules(&stamped(9))).unwrap();
    let mut wasm = with_module(text);
    // A vector of instances, each of which is: instantiate, the module's index, no arguments.
    let mut instances = vec![count];
    for _ in 0..count {
        instances.extend([0, index, 0]);
    }
    section(&mut wasm, 2, &instances);
    wasm
}

/// Appends a section: its number, its length in LEB128, its content.
fn section(wasm: &mut Vec<u8>, id: u8, content: &[u8]) {
    wasm.push(id);
    let mut length = content.len();
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        if length == 0 {
            wasm.push(byte);
            break;
        }
        wasm.push(byte | 0x80);
    }
    wasm.extend_from_slice(content);
}

/// How many core modules a component has at its top.
fn modules(wasm: &[u8]) -> usize {
    let (mut at, mut modules) = (8, 0);
    while at < wasm.len() {
        modules += usize::from(wasm[at] == 1);
        at += 1;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = wasm[at];
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += length;
    }
    modules
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

/// Components within components, without a module in any.
fn nested_components(depth: usize) -> Vec<u8> {
    // From the inside: each is the header of a component, and a section (4) with the one before.
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    let mut inner = HEADER.to_vec();
    for _ in 1..depth {
        let mut outer = HEADER.to_vec();
        section(&mut outer, 4, &inner);
        inner = outer;
    }
    let mut wasm = stamped(9);
    section(&mut wasm, 4, &inner);
    wasm
}

/// Types of types of types: lists, each of the one before.
fn nested_types(depth: u32) -> Vec<u8> {
    let mut wasm = stamped(9);
    let mut text = String::from("(component (type (list u8))");
    for index in 0..depth {
        let _ = write!(text, "(type (list {index}))");
    }
    // Beside everything, where what it has does not count its own.
    section(&mut wasm, 4, &wat::parse_str(text + ")").unwrap());
    wasm
}

/// Types that double: 2^`depth` values in the last.
fn doubling_types(depth: u32) -> Vec<u8> {
    let mut wasm = stamped(9);
    let mut text = String::from("(component (type (tuple u8 u8))");
    for index in 0..depth {
        let _ = write!(text, "(type (tuple {index} {index}))");
    }
    section(&mut wasm, 4, &wat::parse_str(text + ")").unwrap());
    wasm
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
    for (name, wasm) in [
        ("data segments", with_module(&data_segments())),
        ("10,000 functions", with_module(&many_functions())),
        ("nesting", with_module(&deep_nesting(100_000))),
        ("deep nesting", with_module(&deep_nesting(1_000_000))),
        ("a wide function", with_module(&wide_function())),
        ("nested components", nested_components(50)),
        ("deeply nested components", nested_components(3_000)),
        ("nested types", nested_types(90)),
        ("deeply nested types", nested_types(10_000)),
        ("doubling types", doubling_types(60)),
    ] {
        let (start, resident) = (Instant::now(), server.resident_bytes());
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
        // The compiler gives up after 5 s; there may be others before it.
        assert!(took.as_secs() < 30, "{name}: {took:?}");
        let more = server.resident_bytes().saturating_sub(resident);
        assert!(more < MOST_MEMORY, "{name}: {more} bytes");
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
    // As many as a component may have room for: machines that compile a thousand in a second are
    // there.
    for _ in 0..4_500 {
        let _ = write!(slow, "(func (param i64) {})", body.repeat(300));
    }
    slow.push(')');
    let refused = tenant.admin.put_policy(&with_module(&slow));
    refused.problem(422, "component_compile_timeout");
    tenant.app.get("/policy").problem(404, "policy_not_set");
}

/// What runs when an instance is made, before anything is asked of the policy.
#[test]
fn what_is_made_to_break_instances_is_not_admitted() {
    let server = Server::serve("");
    let (tenant, other) = (server.tenant("acme"), server.tenant("other"));
    for tenant in [&tenant, &other] {
        tenant.admin.put_policy(&stamped(1)).expect(200);
    }
    let start = |locals: &str, body: &str| format!("(module {locals} (func $f {body}) (start $f))");
    let copies = "(data (i32.const 0) \"x\")".repeat(90_000);
    let large = "x".repeat(512 << 10);
    let before = server.resident_bytes();
    for (name, text, count, code) in [
        ("endless start", start("", "(loop br 0)"), 1, "component_bad_description"),
        ("start that traps", start("", "unreachable"), 1, "component_bad_description"),
        ("start that recurses", start("", "call $f"), 1, "component_bad_description"),
        (
            "start that grows memory",
            start("(memory 1)", "(loop (drop (memory.grow (i32.const 16))) br 0)"),
            1,
            "component_needs_too_much",
        ),
        (
            "start that grows a table",
            start(
                "(table 1 funcref)",
                "(loop (drop (table.grow 0 (ref.null func) (i32.const 1000000))) br 0)",
            ),
            1,
            "component_bad_description",
        ),
        ("pieces of data", format!("(module (memory 1) {copies})"), 1, "component_needs_too_much"),
        ("many instances", "(module)".into(), 100, "component_needs_too_much"),
        (
            "data in many instances",
            format!("(module (memory 8) (data (i32.const 0) \"{large}\"))"),
            4,
            "component_needs_too_much",
        ),
    ] {
        let (wasm, start) = (with_instances(&text, count), Instant::now());
        let headers = [("content-type", "application/wasm")];
        let refused = tenant.admin.send("POST", "/policies", &headers, &wasm);
        println!("{name}: {} after {:.1?}: {}", refused.status, start.elapsed(), refused.text());
        refused.problem(422, code);
        let peak = server.peak_resident_bytes();
        assert!(peak < before + MOST_MEMORY, "{name}: {peak} bytes, {before} before");
        assert!(start.elapsed().as_secs() < 30, "{name}: {:?}", start.elapsed());
        is_served(&other);
        is_served(&tenant);
    }
    // The same way of adding a module, with one that does no harm.
    let harmless = with_instances("(module (func $f) (start $f))", 1);
    tenant.admin.put_policy(&harmless).expect(200);
}
