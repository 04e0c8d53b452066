use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::PublicKey;
use keyward_policy::harness::{Call, Harness};
use keyward_policy::{Algorithm, Error, Key, SignatureForm};
use serde_json::{Value, json};

use crate::Receipts;
use crate::document::MAX_DEPTH;

fn host() -> Harness {
    Harness::new("acme").key("receipts", Algorithm::Ed25519)
}

fn invoke(call: &Call, operation: &str, body: impl AsRef<[u8]>) -> Result<Value, Error> {
    let answer = call.invoke::<Receipts>(operation, "application/json; charset=utf-8", body)?;
    assert_eq!(answer.content_type, "application/json");
    Ok(serde_json::from_slice(&answer.body).unwrap())
}

fn attest(host: &Harness, body: &str) -> Result<Value, Error> {
    invoke(&host.caller("shop", &["application"]), "attest", body)
}

fn check(host: &Harness, receipt: &Value) -> Value {
    let auditor = host.caller("kim", &["auditor"]);
    invoke(&auditor, "check", receipt.to_string()).unwrap()
}

fn invalid(result: &Result<Value, Error>, why: &str) {
    assert!(matches!(result, Err(Error::Invalid(said)) if said.contains(why)), "{result:?}");
}

#[test]
fn a_receipt_says_who_and_when_and_is_genuine() {
    let host = host();
    let receipt = attest(&host, r#"{ "total": 10.50, "order": 17 }"#).unwrap();
    assert_eq!(receipt["type"], "keyward-receipt-v1");
    assert_eq!(receipt["document"], json!({ "order": 17, "total": 10.5 }));
    assert_eq!((&receipt["tenant"], &receipt["subject"]), (&json!("acme"), &json!("shop")));
    assert_eq!(receipt["time"], 1_767_225_600_000_u64);
    assert_eq!((&receipt["key"], &receipt["key_version"]), (&json!("receipts"), &json!(1)));
    assert_eq!(check(&host, &receipt), json!({ "valid": true, "key_version": 1 }));
}

#[test]
fn what_is_signed_is_the_receipt_without_its_signature_in_canonical_form() {
    let host = host();
    let receipt = attest(&host, r#"{"€":1e2,"\r":"\u0041","a":[1.50,{"z":null,"b":""}]}"#).unwrap();
    // By RFC 8785: names sorted by UTF-16 units, the shortest number, the fewest escapes.
    let signed = r#"{"document":{"\r":"A","a":[1.5,{"b":"","z":null}],"€":100},"key":"receipts","key_version":1,"subject":"shop","tenant":"acme","time":1767225600000,"type":"keyward-receipt-v1"}"#;
    let by = host.run(|| {
        let key = Key::open("receipts").unwrap();
        let signature = key.sign(signed.as_bytes(), SignatureForm::Standard).unwrap();
        // Ed25519 is deterministic.
        STANDARD.encode(signature)
    });
    assert_eq!(receipt["signature"], by);
}

#[test]
fn whoever_has_the_public_key_verifies_a_receipt() {
    let host = host();
    let mut receipt = attest(&host, r#"{"a":1}"#).unwrap();
    host.rotate("receipts");
    let auditor = host.caller("kim", &["auditor"]);
    let public = |body: &str| invoke(&auditor, "public-key", body);
    let key = public(r#"{"key_version":1}"#).unwrap();
    assert_eq!((&key["key"], &key["key_version"]), (&json!("receipts"), &json!(1)));
    let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    let der = decode(&key["public_key"]);
    let signature = decode(&receipt.as_object_mut().unwrap().remove("signature").unwrap());
    let key = PublicKey::from_der(keyward_crypto::Algorithm::Ed25519, &der).unwrap();
    // Names are ASCII and numbers integers here, so that this is canonical already.
    let signed = receipt.to_string();
    let standard = keyward_crypto::SignatureForm::Standard;
    assert_eq!(key.verify(signed.as_bytes(), &signature, standard), Ok(true));
    assert_eq!(public("{}").unwrap()["key_version"], 2);
    assert!(matches!(public(r#"{"key_version":3}"#), Err(Error::NotFound(_))));
    for bad in [r#"{"version":1}"#, r#"{"key_version":0.5}"#, "[]"] {
        invalid(&public(bad), "not accepted");
    }
}

#[test]
fn any_change_of_meaning_shows_and_a_change_of_layout_does_not() {
    let host = host();
    let receipt = attest(&host, r#"{"a":[1,"x"]}"#).unwrap();
    let laid_out = serde_json::to_string_pretty(&receipt).unwrap().replace("[\n      1,", "[1.0 ,");
    let auditor = host.caller("kim", &["auditor"]);
    assert_eq!(invoke(&auditor, "check", laid_out).unwrap()["valid"], true);
    host.rotate("receipts");
    for (member, value) in [
        ("document", json!({ "a": [1, "y"] })),
        ("document", json!({ "a": ["x", 1] })),
        ("tenant", json!("other")),
        ("subject", json!("shopper")),
        ("time", json!(0)),
        ("key", json!("other")),
        ("key_version", json!(2)),
        ("signature", json!("AAAA")),
        ("signature", json!("")),
    ] {
        let mut changed = receipt.clone();
        changed[member] = value;
        assert_eq!(check(&host, &changed), json!({ "valid": false }), "{member}");
    }
    assert_eq!(check(&host, &receipt)["valid"], true);
}

#[test]
fn receipts_outlive_rotations_and_no_other_tenant_makes_them() {
    let host = host();
    let old = attest(&host, "1").unwrap();
    host.rotate("receipts");
    let new = attest(&host, "1").unwrap();
    assert_eq!(check(&host, &old)["key_version"], 1);
    assert_eq!(check(&host, &new)["key_version"], 2);
    let forged = attest(&self::host(), "1").unwrap();
    assert_eq!(check(&host, &forged), json!({ "valid": false }));
}

#[test]
fn every_algorithm_that_signs_will_do() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Rsa2048, Algorithm::MlDsa65] {
        let host = Harness::new("acme").key("receipts", algorithm);
        let receipt = attest(&host, "{}").unwrap();
        assert_eq!(check(&host, &receipt)["valid"], true, "{algorithm:?}");
    }
    let host = Harness::new("acme").key("receipts", Algorithm::XAes256Gcm);
    assert!(matches!(attest(&host, "{}"), Err(Error::Invalid(_))));
    assert!(matches!(attest(&Harness::new("acme"), "{}"), Err(Error::NotFound(_))));
}

#[test]
fn what_has_two_meanings_is_refused() {
    let host = host();
    for (body, why) in [
        ("", "not accepted"),
        ("{", "not accepted"),
        (r#"{"a":1,"a":2}"#, "twice"),
        ("[12345678901234567890]", "2^53"),
    ] {
        invalid(&attest(&host, body), why);
    }
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deepest = attest(&host, &nested(MAX_DEPTH)).unwrap();
    assert_eq!(check(&host, &deepest)["valid"], true);
    invalid(&attest(&host, &nested(MAX_DEPTH + 1)), "16 deep");
    invalid(&attest(&host, &format!("\"{}\"", "x".repeat(256 << 10))), "bytes");
    let plain =
        host.caller("shop", &["application"]).invoke::<Receipts>("attest", "text/plain", "1");
    assert!(matches!(plain, Err(Error::Invalid(said)) if said.contains("application/json")));
}

#[test]
fn what_is_no_receipt_is_refused() {
    let host = host();
    let receipt = attest(&host, "1").unwrap();
    let auditor = host.caller("kim", &["auditor"]);
    let refused = |receipt: &str, why: &str| invalid(&invoke(&auditor, "check", receipt), why);
    refused("[]", "not accepted");
    for member in receipt.as_object().unwrap().keys() {
        let mut without = receipt.clone();
        without.as_object_mut().unwrap().remove(member);
        refused(&without.to_string(), member);
    }
    let with = |member: &str, value: Value| {
        let mut changed = receipt.clone();
        changed[member] = value;
        changed.to_string()
    };
    refused(&with("extra", json!(1)), "extra");
    refused(&with("type", json!("keyward-receipt-v2")), "keyward-receipt-v1");
    refused(&with("signature", json!("not base64!")), "base64");
    refused(&with("key_version", json!(-1)), "not accepted");
    refused(&receipt.to_string().replacen('{', r#"{"time":5,"#, 1), "duplicate field");
}

#[test]
fn roles_do_what_is_theirs_and_nobody_signs_anything_else() {
    let host = host();
    for (roles, attests, checks) in [
        (&["application"][..], true, true),
        (&["auditor"], false, true),
        (&["tenant-admin"], false, false),
        (&[], false, false),
    ] {
        let call = host.caller("someone", roles).key("receipts");
        let allowed = |operation: &str| call.authorize::<Receipts>(operation).is_ok();
        assert_eq!((allowed("invoke/attest"), allowed("invoke/check")), (attests, checks));
        assert_eq!(allowed("invoke/public-key"), checks);
        for operation in ["sign", "encrypt", "mac", "verify", "invoke/sign", ""] {
            assert!(matches!(call.authorize::<Receipts>(operation), Err(Error::Denied(_))));
        }
    }
}
