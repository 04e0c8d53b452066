//! Components that are hostile before they run: by what they name, and by what they describe.

use std::time::Instant;

use keyward_crafted::Crafted;
use keyward_tests::Server;

use super::{MOST_MEMORY, pool_is_whole, turn};

/// A component with these imports, and what a policy must export.
fn importing(imports: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            {imports}
            (component $empty)
            (instance $i (instantiate $empty))
            (export "keyward:policy/guard@0.1.0" (instance $i))
            (export "keyward:policy/handler@0.1.0" (instance $i)))"#
    ))
    .unwrap()
}

fn interface(name: &str) -> Vec<u8> {
    importing(&format!("(import \"{name}\" (instance))"))
}

fn describing(body: &str) -> Vec<u8> {
    Crafted { describe: body.into(), ..Crafted::default() }.component()
}

#[test]
fn every_hostile_upload_has_its_code_and_changes_nothing() {
    const FORBIDDEN: &str = "component_forbidden_imports";
    const NEWER: &str = "component_newer_contract";
    const TYPES: &str = "component_wrong_types";
    const DESCRIPTION: &str = "component_bad_description";
    let _turn = turn();
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("uploads", "fields");
    let recursing = Crafted {
        more: "(func $again (call $again))".into(),
        describe: "(call $again) unreachable".into(),
        ..Crafted::default()
    };
    let recursing = recursing.component();
    let before = tenant.app.get("/policy").expect(200).json();
    for (name, wasm, code) in [
        ("WASI", interface("wasi:io/poll@0.2.0"), FORBIDDEN),
        ("no version", interface("keyward:policy/keys"), FORBIDDEN),
        ("another name", interface("keyward:policy/keyz@0.1.0"), FORBIDDEN),
        ("another package", interface("keyward:policies/keys@0.1.0"), FORBIDDEN),
        ("another namespace", interface("keyword:policy/keys@0.1.0"), FORBIDDEN),
        ("an export of ours", interface("keyward:policy/guard@0.1.0"), FORBIDDEN),
        ("a build of ours", interface("keyward:policy/keys@0.1.0+1"), FORBIDDEN),
        ("before ours", interface("keyward:policy/keys@0.1.0-rc.1"), FORBIDDEN),
        ("an older one", interface("keyward:policy/keys@0.0.9"), FORBIDDEN),
        ("a plain name", interface("keys"), FORBIDDEN),
        ("a function", importing("(import \"keyward:policy/keys@0.1.0-f\" (func))"), FORBIDDEN),
        ("a patch of the future", interface("keyward:policy/keys@0.1.1"), NEWER),
        ("the future", interface("keyward:policy/quorum@0.2.0"), NEWER),
        // The names are ours, the types are not; a NaN would cross this boundary.
        (
            "floating-point numbers",
            importing(
                r#"(import "keyward:policy/random@0.1.0" (instance
                    (export "bytes" (func (param "len" f64) (result (list u8))))))"#,
            ),
            TYPES,
        ),
        (
            "what is not in it",
            importing(
                r#"(import "keyward:policy/random@0.1.0" (instance
                    (export "seed" (func (result (list u8))))))"#,
            ),
            TYPES,
        ),
        (
            "a resource of its own",
            importing(
                r#"(import "keyward:policy/types@0.1.0" (instance
                    (export "key" (type (sub resource)))))"#,
            ),
            TYPES,
        ),
        ("describe traps", describing("unreachable"), DESCRIPTION),
        ("describe spins", describing("(loop $spin (br $spin)) unreachable"), DESCRIPTION),
        ("describe recurses", recursing, DESCRIPTION),
        (
            "describes without end",
            describing("(i32.store (i32.const 2052) (i32.const 0x7ffffff)) (i32.const 2048)"),
            DESCRIPTION,
        ),
        (
            "describes out of bounds",
            describing("(i32.store (i32.const 2048) (i32.const 0xfffffff0)) (i32.const 2048)"),
            DESCRIPTION,
        ),
    ] {
        let (start, peak) = (Instant::now(), server.peak_resident_bytes());
        tenant.operator.put_policy(&wasm).problem(422, code);
        let (took, more) = (start.elapsed(), server.peak_resident_bytes() - peak);
        println!("{name}: {took:.1?}, {} KiB more", more >> 10);
        assert!(took.as_secs() < 10, "{name}: {took:?}");
        assert!(more < MOST_MEMORY, "{name}: {more} bytes");
        assert_eq!(tenant.app.get("/policy").expect(200).json(), before, "{name}");
        pool_is_whole(&server);
    }
}
