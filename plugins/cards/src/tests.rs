use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy::harness::{Call, Harness};
use keyward_policy::{Algorithm, Error, Key};
use serde_json::{Value, json};

use crate::Cards;

const NUMBER: &str = "4111111111111111";

fn host() -> Harness {
    Harness::new("acme").key("cards", Algorithm::Aes256Siv).key("bank", Algorithm::X25519)
}

fn invoke(call: &Call, operation: &str, body: &Value) -> Result<Value, Error> {
    let answer = call.invoke::<Cards>(operation, "application/json", body.to_string())?;
    Ok(serde_json::from_slice(&answer.body).unwrap())
}

fn tokenize(host: &Harness, number: &str) -> Result<Value, Error> {
    invoke(&host.caller("shop", &["application"]), "tokenize", &json!({ "number": number }))
}

fn reveal(host: &Harness, token: &Value) -> Result<Value, Error> {
    invoke(&host.caller("risk", &["card-reader"]), "reveal", token)
}

#[test]
fn a_token_looks_like_the_number_and_leads_back_to_it() {
    let host = host();
    for number in [NUMBER, "4222222222222", "6304000000000000000"] {
        let token = tokenize(&host, number).unwrap();
        let text = token["token"].as_str().unwrap();
        assert_eq!(
            (text.len(), &text[text.len() - 4..]),
            (number.len(), &number[number.len() - 4..])
        );
        assert_ne!(text, number);
        assert_eq!(tokenize(&host, number).unwrap(), token);
        assert_eq!(reveal(&host, &token).unwrap(), json!({ "number": number }));
    }
}

#[test]
fn tokens_outlive_rotations() {
    let host = host();
    let old = tokenize(&host, NUMBER).unwrap();
    host.rotate("cards");
    let new = tokenize(&host, NUMBER).unwrap();
    assert_eq!((&old["key_version"], &new["key_version"]), (&json!(1), &json!(2)));
    assert_ne!(old["token"], new["token"]);
    for token in [old, new] {
        assert_eq!(reveal(&host, &token).unwrap()["number"], NUMBER);
    }
}

#[test]
fn no_refusal_shows_a_number() {
    let host = host();
    let wrong = NUMBER.replace("4111", "4112");
    for number in [wrong.as_str(), "4111 1111 1111 1111", "411111111111", "41111111111111111111"] {
        let Err(Error::Invalid(said)) = tokenize(&host, number) else { panic!("{number}") };
        assert!(!said.contains("411"), "{said}");
    }
    let shop = host.caller("shop", &["application"]);
    for body in [json!(NUMBER), json!({ "number": NUMBER, (NUMBER): 1 }), json!({ (NUMBER): 1 })] {
        let Err(Error::Invalid(said)) = invoke(&shop, "tokenize", &body) else { panic!("{body}") };
        assert!(!said.contains("411"), "{said}");
    }
}

#[test]
fn each_operation_has_its_role() {
    let host = host();
    let shop = host.caller("shop", &["application"]);
    let reader = host.caller("risk", &["card-reader"]);
    for (call, operation) in
        [(&shop, "reveal"), (&shop, "register"), (&reader, "tokenize"), (&reader, "seal")]
    {
        let denied = invoke(call, operation, &json!({}));
        assert!(matches!(denied, Err(Error::Denied(_))), "{operation}: {denied:?}");
    }
    for operation in ["encrypt", "decrypt", "sign", "invoke/other"] {
        assert!(shop.authorize::<Cards>(operation).is_err(), "{operation}");
    }
}

#[test]
fn numbers_are_sealed_to_who_is_registered() {
    let host = host();
    let der = host.run(|| Key::open("bank").unwrap().public_key()).unwrap();
    let registrar = host.caller("ops", &["registrar"]);
    let bank = json!({ "name": "bank", "public_key": STANDARD.encode(der) });
    assert_eq!(invoke(&registrar, "register", &bank).unwrap(), json!({ "name": "bank" }));
    let shop = host.caller("shop", &["application"]);
    let seal = |recipient: &str| {
        invoke(&shop, "seal", &json!({ "recipient": recipient, "number": NUMBER }))
    };
    let sealed = seal("bank").unwrap();
    let bytes = STANDARD.decode(sealed["sealed"].as_str().unwrap()).unwrap();
    assert_eq!(bytes.len(), 32 + NUMBER.len() + 16);
    assert!(matches!(seal("other"), Err(Error::NotFound(_))));
    assert!(matches!(seal("../bank"), Err(Error::Invalid(_))));
    for public_key in ["", "AAAA", "?"] {
        let bad = json!({ "name": "bad", "public_key": public_key });
        let registered = invoke(&registrar, "register", &bad);
        assert!(matches!(registered, Err(Error::Invalid(_))), "{registered:?}");
    }
}
