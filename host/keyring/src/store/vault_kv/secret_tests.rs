use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn answer(data: &Value, metadata: &Value) -> Vec<u8> {
    json!({"request_id": "r", "data": {"data": data, "metadata": metadata}, "warnings": null})
        .to_string()
        .into_bytes()
}

fn metadata(version: u64) -> Value {
    json!({"version": version, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "",
        "destroyed": false, "custom_metadata": null})
}

fn reason(data: &Value) -> &'static str {
    read_answer(&answer(data, &metadata(1))).err().unwrap()
}

fn live(body: &[u8]) -> (u64, Payload, Option<WriteId>) {
    match read_answer(body).unwrap() {
        Found::Live { version, secret, .. } => (version, secret.payload, secret.write),
        _ => panic!("not live"),
    }
}

#[test]
fn the_written_form() {
    let write = WriteId("w".to_owned());
    let body = write_body(&Payload::Plain(Zeroizing::new(b"\0\xFFkey".to_vec())), &write, 7);
    let expected = json!({"data": {"value": "AP9rZXk=", "write": "w"}, "options": {"cas": 7}});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    let body = write_body(&Payload::Wrapped("vault:v1:AAAA".to_owned()), &write, 0);
    let expected =
        json!({"data": {"transit": "vault:v1:AAAA", "write": "w"}, "options": {"cas": 0}});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    let (one, other) = (WriteId::random().unwrap(), WriteId::random().unwrap());
    assert!(one != other && one.0.len() == 16);
}

#[test]
fn what_became_of_a_secret() {
    let read = |data: &Value, metadata: &Value| read_answer(&answer(data, metadata)).unwrap();
    assert!(matches!(read_answer(b"{\"errors\":[]}"), Ok(Found::Nothing)));
    let deleted =
        json!({"version": 3, "deletion_time": "2026-01-01T00:00:00Z", "destroyed": false});
    assert!(matches!(read(&Value::Null, &deleted), Found::Deleted { version: 3 }));
    let destroyed = json!({"version": 4, "deletion_time": "", "destroyed": true});
    assert!(matches!(read(&Value::Null, &destroyed), Found::Destroyed { version: 4 }));
    let both = json!({"version": 5, "deletion_time": "2026-01-01T00:00:00Z", "destroyed": true});
    assert!(matches!(read(&Value::Null, &both), Found::Destroyed { version: 5 }));
    let expiring = json!({"version": 6, "deletion_time": "2099-01-01T00:00:00Z"});
    let found = read(&json!({"value": "", "by": "hand"}), &expiring);
    let Found::Live { version: 6, deletes_at: Some(at), secret } = found else { panic!() };
    assert_eq!(at, "2099-01-01T00:00:00Z");
    assert!(secret.write.is_none());
}

#[test]
fn malformed_secrets_are_refused_with_the_reason() {
    assert!(reason(&json!({})).contains("neither"));
    assert!(reason(&json!({"Value": "AA=="})).contains("neither"));
    assert!(reason(&json!({"value": "AA==", "transit": "vault:v1:AA=="})).contains("both"));
    for other in [json!(5), json!(-5), json!(0.5), json!(true), json!(null), json!(["AA=="])] {
        assert!(reason(&json!({"value": other})).contains("\"value\" is not a text"));
        assert!(reason(&json!({"transit": other})).contains("\"transit\" is not a text"));
        assert!(
            reason(&json!({"value": other, "transit": "vault:v1:AA=="})).contains("not a text")
        );
        assert!(reason(&json!({"value": {"nested": {"deep": [other]}}})).contains("not a text"));
    }
    for text in ["A", "AA", "AA=", "AB==", "AA==\n", "AA==AA==", " AA==", "__8=", "é", "\0"] {
        assert_eq!(reason(&json!({"value": text})), "its field \"value\" is not base64", "{text}");
    }
    for text in
        ["", "vault:", "vault:v1", "vault:v1:", "vault:v:AA", "vault:vx:AA", "vault:v1:A\"A"]
    {
        assert!(reason(&json!({"transit": text})).contains("not a ciphertext"), "{text}");
    }
    for not_fields in [json!(null), json!("AA=="), json!([]), json!(["AA=="]), json!(1)] {
        assert!(read_answer(&answer(&not_fields, &metadata(1))).is_err());
    }
}

#[test]
fn answers_of_something_else_are_refused() {
    let bodies: [&[u8]; 11] = [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\"x\"",
        b"<html>",
        b"{\"data\":null}",
        b"{\"errors\":[\"x\"]}",
        // A KV v1 engine that was written to as if it were v2.
        br#"{"data":{"data":{"value":"AA=="},"options":{"cas":0}}}"#,
        br#"{"data":{"value":"AA=="}}"#,
        b"\xFF\xFE",
    ];
    for body in bodies {
        assert!(read_answer(body).is_err(), "{}", String::from_utf8_lossy(body));
        assert!(write_answer(body).is_none(), "{}", String::from_utf8_lossy(body));
    }
    let truncated = answer(&json!({"value": "AA=="}), &metadata(1));
    for length in 0..truncated.len() {
        assert!(read_answer(&truncated[..length]).is_err());
    }
}

#[test]
fn an_answer_to_a_write() {
    let body = json!({"data": {"version": 9, "deletion_time": "", "destroyed": false}}).to_string();
    let written = write_answer(body.as_bytes()).unwrap();
    assert!(written.version == 9 && written.deletes_at.is_none());
    let body = json!({"data": {"version": 1, "deletion_time": "2030-01-01T00:00:00Z"}}).to_string();
    assert!(write_answer(body.as_bytes()).unwrap().deletes_at.is_some());
}

/// Any JSON value up to a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(Value::from("AA==")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("value|transit|write|data|metadata|version|x", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in prop::collection::vec(any::<u8>(), 0..300), cas in any::<u64>()) {
        let write = WriteId::random().unwrap();
        let body = write_body(&Payload::Plain(Zeroizing::new(value.clone())), &write, cas);
        let body: Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(&body["options"]["cas"], &json!(cas));
        let (version, payload, found) = live(&answer(&body["data"], &metadata(2)));
        prop_assert_eq!(version, 2);
        prop_assert!(matches!(payload, Payload::Plain(bytes) if *bytes == value));
        prop_assert_eq!(found, Some(write));
    }

    #[test]
    fn no_bytes_make_it_panic_or_give_a_default(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read_answer(&body).is_err());
        prop_assert!(write_answer(&body).is_none());
    }

    #[test]
    fn only_a_text_in_base64_is_a_value(data in any_json()) {
        if let Ok(Found::Live { secret, .. }) = read_answer(&answer(&data, &metadata(1))) {
            match secret.payload {
                Payload::Plain(bytes) => {
                    let text = base64(&bytes);
                    prop_assert_eq!(data["value"].as_str().unwrap(), text.as_str());
                }
                Payload::Wrapped(text) => prop_assert_eq!(data["transit"].as_str(), Some(&*text)),
            }
        }
    }

    #[test]
    fn no_json_makes_it_panic(body in any_json()) {
        let _ = read_answer(body.to_string().as_bytes());
        let _ = write_answer(body.to_string().as_bytes());
    }

    #[test]
    fn a_transit_ciphertext_needs_no_escaping(text in "vault:v[0-9x]?:[A-Za-z0-9+/=\"\\\\\n-]{0,9}|\\PC{0,20}") {
        if is_transit_ciphertext(&text) {
            prop_assert_eq!(serde_json::to_string(&text).unwrap(), format!("\"{text}\""));
        }
    }
}
