use keyward_policy::harness::{Call, Harness};
use keyward_policy::{Algorithm, Error, Policy};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::rules::{Protection, Rule, Rules};
use crate::{Fields, protection};

const ORDER: &str = r#"{
  "customer": {
    "name": "Ada Lovelace",
    "email": "ada@example.org",
    "card": "4111 1111 1111 1234",
    "address": {"street": "12 Dorset St", "floor": 2, "lift": false, "box": null},
    "since": 1842
  },
  "orders": [
    {"id": 1, "total": 10.50, "note": "ring twice"},
    {"id": 2, "total": 1e2, "note": "leave at door"},
    {"id": 3, "total": 0}
  ],
  "internal": {"score": 0.93},
  "version": 18446744073709551616123
}"#;

fn host() -> Harness {
    Harness::new("shop")
        .key("fields", Algorithm::XAes256Gcm)
        .key("fields-deterministic", Algorithm::Aes256Siv)
}

fn application(host: &Harness) -> Call {
    host.caller("backend", &["application"])
}

fn invoke(call: &Call, operation: &str, body: &str) -> Result<String, Error> {
    let answer = call.invoke::<Fields>(operation, "application/json", body)?;
    assert_eq!(answer.content_type, "application/json");
    Ok(String::from_utf8(answer.body).unwrap())
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"))
}

fn invalid(result: Result<String, Error>) -> String {
    match result {
        Err(Error::Invalid(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn protects_by_the_rules_and_leaves_the_rest_as_it_is() {
    let host = host();
    let text = invoke(&application(&host), "protect", ORDER).unwrap();
    for secret in ["Ada", "ada@", "4111", "Dorset", "ring", "door", "0.93", "score"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let document = value(&text);
    for pointer in [
        "/customer/name",
        "/customer/email",
        "/customer/card",
        "/customer/address",
        "/orders/0/note",
        "/orders/1/note",
    ] {
        assert!(at(&document, pointer).as_str().unwrap().starts_with("kw1."), "{pointer}");
    }
    assert!(document.get("internal").is_none());
    for verbatim in ["\"total\": 10.50,", "1e2", "18446744073709551616123", "\"since\": 1842"] {
        assert!(text.contains(verbatim), "{verbatim}");
    }
    assert_eq!(host.calls(), 4, "two keys opened, two calls for all fields");
}

#[test]
fn reveals_what_it_protected_byte_by_byte() {
    let host = host();
    let protected = invoke(&application(&host), "protect", ORDER).unwrap();
    host.rotate("fields");
    host.rotate("fields-deterministic");
    let revealed = invoke(&application(&host), "reveal", &protected).unwrap();
    let expected = ORDER.replace(",\n  \"internal\": {\"score\": 0.93}", "");
    assert_eq!(revealed, expected);
}

#[test]
fn support_sees_what_the_rules_show_it() {
    let host = host();
    let protected = invoke(&application(&host), "protect", ORDER).unwrap();
    let support = host.caller("kim", &["support"]);
    let document = value(&invoke(&support, "reveal", &protected).unwrap());
    assert_eq!(at(&document, "/customer/name"), "Ada Lovelace");
    assert_eq!(at(&document, "/customer/email"), "ada@example.org");
    assert_eq!(at(&document, "/customer/card"), "**** **** **** 1234");
    let protected = value(&protected);
    for kept in ["/customer/address", "/orders/0/note", "/orders/1/note", "/orders/2"] {
        assert_eq!(at(&document, kept), at(&protected, kept));
    }
    assert!(matches!(invoke(&support, "protect", ORDER), Err(Error::Denied(_))));
}

#[test]
fn deterministic_fields_are_equal_where_values_are() {
    let host = host();
    let email = |text: &str| {
        let text = format!(r#"{{"customer": {{"email": {text}, "name": {text}}}}}"#);
        let document = value(&invoke(&application(&host), "protect", &text).unwrap());
        let field = |name: &str| at(&document, name).as_str().unwrap().to_owned();
        (field("/customer/email"), field("/customer/name"))
    };
    let (one, other) = (email("\"é@example.org\""), email(r#""\u00e9@example.org""#));
    assert_eq!(one.0, other.0, "however the string is escaped");
    assert_ne!(one.1, other.1);
    assert_ne!(one.0, email("\"e@example.org\"").0);
}

#[test]
fn a_field_moved_to_another_place_does_not_open() {
    let host = host();
    let application = application(&host);
    let mut document = value(&invoke(&application, "protect", ORDER).unwrap());
    let name = at(&document, "/customer/name").clone();
    document["orders"][1]["note"] = name;
    let message = invalid(invoke(&application, "reveal", &document.to_string()));
    assert!(message.starts_with("/orders/1/note does not open"), "{message}");
}

#[test]
fn elements_of_an_array_may_change_places() {
    let host = host();
    let application = application(&host);
    let mut document = value(&invoke(&application, "protect", ORDER).unwrap());
    document["orders"].as_array_mut().unwrap().swap(0, 1);
    let document = value(&invoke(&application, "reveal", &document.to_string()).unwrap());
    assert_eq!(at(&document, "/orders/0/note"), "leave at door");
}

#[test]
fn the_context_is_bound() {
    let host = host();
    let seven = application(&host).context("customer 7");
    let protected = invoke(&seven, "protect", ORDER).unwrap();
    assert!(invoke(&seven, "reveal", &protected).is_ok());
    for other in [application(&host), seven.context("customer 8")] {
        invalid(invoke(&other, "reveal", &protected));
    }
}

#[test]
fn a_field_of_another_tenant_does_not_open() {
    let protected = invoke(&application(&host()), "protect", ORDER).unwrap();
    let message = invalid(invoke(&application(&host()), "reveal", &protected));
    assert!(message.starts_with('/'), "{message}");
}

#[test]
fn a_damaged_field_is_named() {
    let host = host();
    let application = application(&host);
    let protected = invoke(&application, "protect", ORDER).unwrap();
    let mut document = value(&protected);
    let text = at(&document, "/orders/1/note").as_str().unwrap().to_owned();
    for damaged in [
        json!(text[..text.len() - 4]),
        json!(text.replace("kw1.", "kw2.")),
        json!("kw1.!!"),
        json!("kw1."),
        json!("leave at door"),
        json!(null),
        json!({"note": 1}),
    ] {
        document["orders"][1]["note"] = damaged.clone();
        let message = invalid(invoke(&application, "reveal", &document.to_string()));
        assert!(message.starts_with("/orders/1/note "), "{damaged}: {message}");
    }
}

#[test]
fn protecting_twice_is_refused() {
    let host = host();
    let protected = invoke(&application(&host), "protect", ORDER).unwrap();
    let message = invalid(invoke(&application(&host), "protect", &protected));
    assert_eq!(message, "/customer/name is protected already");
}

#[test]
fn what_is_not_json_is_refused_with_its_position() {
    let host = host();
    let application = application(&host);
    let message = invalid(invoke(&application, "protect", "{\n  \"a\": tru\n}"));
    assert_eq!(message, "not JSON: line 2, column 8 (byte 9) should be true");
    for text in ["", "{", "[1,]", "{} {}", "\u{feff}{}", "{'a': 1}", "NaN"] {
        assert!(invalid(invoke(&application, "protect", text)).starts_with("not JSON: line "));
        assert!(invalid(invoke(&application, "reveal", text)).starts_with("not JSON: line "));
    }
    let binary = application.invoke::<Fields>("protect", "application/json", b"[\xff]");
    assert_eq!(binary, Err(Error::invalid("not JSON: not UTF-8 at byte 1")));
    let deep = "[".repeat(100_000);
    assert!(invalid(invoke(&application, "protect", &deep)).contains("128 levels"));
}

#[test]
fn a_member_that_is_there_twice_is_named() {
    let host = host();
    let application = application(&host);
    for (text, pointer) in [
        (r#"{"a": 1, "b": 2, "a": 3}"#, "/a"),
        (r#"{"customer": {"name": "x", "n\u0061me": "y"}}"#, "/customer/name"),
        (r#"[0, {"x/y": [{"~": 1, "~": 1}]}]"#, "/1/x~1y/0/~0"),
        (r#"{"customer": {"address": {"street": 1, "street": 2}}}"#, "/customer/address/street"),
    ] {
        let message = invalid(invoke(&application, "protect", text));
        assert_eq!(message, format!("{pointer} is there twice"));
    }
    let same_name_elsewhere = r#"{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}"#;
    assert!(invoke(&application, "protect", same_name_elsewhere).is_ok());
}

#[test]
fn only_json_is_taken() {
    let host = host();
    let application = application(&host);
    for accepted in ["application/json", "Application/JSON; charset=utf-8"] {
        assert!(application.invoke::<Fields>("protect", accepted, "{}").is_ok());
    }
    for refused in ["", "text/plain", "application/jsonl", "application/xml"] {
        let error = application.invoke::<Fields>("protect", refused, "{}").unwrap_err();
        assert!(matches!(error, Error::Invalid(_)));
    }
}

#[test]
fn roles_decide_who_calls_what() {
    let host = host();
    for (role, protect, reveal, plain) in [
        ("application", true, true, true),
        ("support", false, true, false),
        ("tenant-admin", false, false, true),
        ("reader", false, false, false),
    ] {
        let call = host.caller("someone", &[role]).key("fields");
        let allowed = |operation: &str| call.authorize::<Fields>(operation).is_ok();
        assert_eq!(allowed("invoke/protect"), protect, "{role}");
        assert_eq!(allowed("invoke/reveal"), reveal, "{role}");
        assert_eq!((allowed("encrypt"), allowed("decrypt")), (plain, plain), "{role}");
        assert!(!allowed("invoke/other") && !allowed("unwrap"));
    }
}

#[test]
fn describes_what_it_offers() {
    let operations = Fields::describe();
    let names: Vec<&str> = operations.iter().map(|operation| operation.name.as_str()).collect();
    assert_eq!(names, ["protect", "reveal"]);
    for operation in &operations {
        for schema in [&operation.input_schema, &operation.output_schema] {
            assert!(value(schema)["$schema"].as_str().unwrap().contains("2020-12"));
        }
    }
}

/// Rules as a table literal, for one test.
macro_rules! rules {
    ($unlisted:ident; $($pointer:literal => $protection:ident),*) => {
        Rules {
            listed: &[$(Rule {
                pointer: $pointer,
                protection: Protection::$protection,
                revealed_to: &["application"],
            }),*],
            unlisted: Protection::$unlisted,
            unlisted_revealed_to: &["application"],
        }
    };
}

fn protected(rules: &Rules, text: &str) -> String {
    let host = host();
    let request = application(&host).request("invoke/protect");
    host.run(|| protection::protect(rules, &request, text)).unwrap()
}

#[test]
fn dropping_leaves_json() {
    let rules = rules!(Clear; "/a" => Drop, "/list/*/b" => Drop, "/all/*" => Drop);
    for (text, expected) in [
        (r#"{"a": 1}"#, "{}"),
        (r#"{"a": {"x": [1, 2]}, "b": 2}"#, r#"{ "b": 2}"#),
        (r#"{"b": 2, "a": [1, 2]}"#, r#"{"b": 2}"#),
        (r#"{"b": 2, "a": [1, 2], "c": 3}"#, r#"{"b": 2, "c": 3}"#),
        (r#"{"list": [{"b": 1, "c": 2}, {"c": 1, "b": 2}]}"#, r#"{"list": [{ "c": 2}, {"c": 1}]}"#),
        (r#"{"all": [1, [2, 3], {"x": 4}]}"#, r#"{"all": [  ]}"#),
        (r#"{"all": {"x": 1, "y": {"z": 1, "w": 2}}, "b": 1}"#, r#"{"all": { }, "b": 1}"#),
    ] {
        assert_eq!(protected(&rules, text), expected);
    }
    assert_eq!(protected(&rules!(Clear; "" => Drop), " {\"a\": 1} "), "null");
}

#[test]
fn unlisted_fields_may_be_protected_too() {
    let rules = rules!(Encrypt; "/id" => Clear);
    let text = r#"{"id": {"n": 7}, "a": [1, {"b": "x"}, []], "c": null}"#;
    let document = value(&protected(&rules, text));
    assert_eq!(document["id"], json!({"n": 7}));
    for pointer in ["/a/0", "/a/1/b", "/c"] {
        assert!(at(&document, pointer).as_str().unwrap().starts_with("kw1."), "{pointer}");
    }
    assert_eq!(at(&document, "/a/2"), &json!([]));
    let rules = rules!(Drop; "/id" => Clear);
    assert_eq!(value(&protected(&rules, text)), json!({"id": {"n": 7}, "a": [{}, []]}));
}

#[test]
fn many_fields_cost_few_calls() {
    let host = host();
    let orders: Vec<Value> = (0..2_000).map(|id| json!({"id": id, "note": "n"})).collect();
    let text = json!({"orders": orders}).to_string();
    let protected = invoke(&application(&host), "protect", &text).unwrap();
    assert_eq!(host.calls(), 5, "one key opened, a call for every 512 fields");
    assert_eq!(value(&invoke(&application(&host), "reveal", &protected).unwrap()), value(&text));
}

/// Any document with the members the rules name, at any depth.
fn documents() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        let names = "customer|name|email|card|address|orders|note|[a-z/~\"\\\\]{0,3}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_document_comes_back_as_it_was(document in documents(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let host = host();
        let protected = invoke(&application(&host), "protect", &text).unwrap();
        let revealed = invoke(&application(&host), "reveal", &protected).unwrap();
        prop_assert_eq!(revealed, text);
    }

    #[test]
    fn whatever_is_dropped_the_rest_is_json(document in documents()) {
        let rules = rules!(Clear; "/*/name" => Drop, "/name" => Drop, "/*/*/*" => Drop, "/*/a" => Drop);
        let text = protected(&rules, &document.to_string());
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn no_input_makes_it_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let host = host();
        let call = application(&host);
        for operation in ["protect", "reveal"] {
            let _ = call.invoke::<Fields>(operation, "application/json", &text);
            let _ = call.invoke::<Fields>(operation, "application/json", &bytes);
        }
    }
}
