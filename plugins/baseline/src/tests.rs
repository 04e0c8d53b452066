use keyward_policy::harness::{Call, Harness};
use keyward_policy::{Algorithm, Error, Plan, Policy};

use crate::Baseline;

fn host() -> Harness {
    Harness::new("acme").key("orders", Algorithm::XAes256Gcm).key_with(
        "patients",
        Algorithm::XAes256Gcm,
        &[("context", "required")],
    )
}

fn call(host: &Harness, role: &str) -> Call {
    host.caller("someone", &[role]).key("orders")
}

#[test]
fn an_application_gets_back_what_it_encrypted() {
    let host = host();
    let shop = call(&host, "application");
    let ciphertext = shop.encrypt::<Baseline>("4111 1111").unwrap();
    assert_eq!(shop.decrypt::<Baseline>(&ciphertext).unwrap(), b"4111 1111");
    host.rotate("orders");
    assert_eq!(shop.decrypt::<Baseline>(&ciphertext).unwrap(), b"4111 1111");
}

#[test]
fn each_role_may_do_what_the_table_says() {
    const OPERATIONS: [&str; 11] = [
        "encrypt",
        "datakey",
        "mac",
        "sign",
        "random",
        "hash",
        "verify-mac",
        "verify",
        "decrypt",
        "rewrap",
        "derive",
    ];
    let host = host();
    for (role, may) in [
        ("application", &OPERATIONS[..]),
        ("writer", &OPERATIONS[..8]),
        ("reader", &OPERATIONS[5..9]),
        ("tenant-admin", &[]),
        ("Application", &[]),
        ("", &[]),
    ] {
        let call = call(&host, role);
        for operation in OPERATIONS {
            let allowed = call.authorize::<Baseline>(operation).is_ok();
            assert_eq!(allowed, may.contains(&operation), "{role} {operation}");
        }
    }
}

#[test]
fn what_has_no_key_needs_none() {
    let host = host();
    let application = host.caller("someone", &["application"]);
    for operation in ["random", "hash"] {
        assert_eq!(application.authorize::<Baseline>(operation), Ok(Plan::allow()));
    }
    for operation in ["mac", "sign", "derive", "rewrap"] {
        let refused = application.authorize::<Baseline>(operation);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{operation}");
    }
}

#[test]
fn roles_add_up() {
    let host = host();
    let both = host.caller("someone", &["writer", "reader"]).key("orders");
    assert_eq!(both.authorize::<Baseline>("encrypt"), Ok(Plan::allow()));
    assert_eq!(both.authorize::<Baseline>("decrypt"), Ok(Plan::allow()));
}

#[test]
fn a_refusal_names_the_roles_that_would_do() {
    let host = host();
    let refused = call(&host, "tenant-admin").authorize::<Baseline>("decrypt");
    let message = "decrypt needs one of the roles `application`, `reader`";
    assert_eq!(refused, Err(Error::denied(message)));
}

#[test]
fn a_key_may_demand_a_context_for_both_directions() {
    let host = host();
    let clinic = call(&host, "application").key("patients");
    let message = "key `patients` demands a context: send one, in `context`";
    for operation in ["encrypt", "decrypt", "rewrap", "datakey"] {
        for call in [clinic.clone(), clinic.clone().context("")] {
            assert_eq!(call.authorize::<Baseline>(operation), Err(Error::invalid(message)));
        }
    }
    let seven = clinic.clone().context("patient 7");
    let ciphertext = seven.encrypt::<Baseline>("A+").unwrap();
    assert_eq!(seven.decrypt::<Baseline>(&ciphertext).unwrap(), b"A+");
    assert!(clinic.context("patient 8").decrypt::<Baseline>(&ciphertext).is_err());
}

#[test]
fn a_key_that_is_missing_is_named() {
    let host = host();
    let application = host.caller("someone", &["application"]);
    assert!(matches!(application.authorize::<Baseline>("encrypt"), Err(Error::Invalid(_))));
    let unknown = application.key("none").authorize::<Baseline>("encrypt");
    assert!(matches!(unknown, Err(Error::NotFound(message)) if message.contains("`none`")));
}

#[test]
fn what_it_does_not_know_it_refuses() {
    let host = host();
    for operation in ["invoke/protect", "unwrap", "", "Encrypt", "encrypt "] {
        let refused = call(&host, "application").authorize::<Baseline>(operation);
        assert!(matches!(refused, Err(Error::Denied(_))), "{operation}");
    }
}

#[test]
fn a_batch_is_decided_item_by_item_and_asks_about_a_key_once() {
    let host = host();
    let application = call(&host, "application");
    let mut requests = vec![application.request("encrypt"); 50];
    requests.push(application.clone().key("patients").request("encrypt"));
    requests.push(call(&host, "reader").request("encrypt"));
    let decisions = host.run(|| Baseline::authorize_many(&requests));
    assert_eq!(decisions.len(), 52);
    assert!(decisions[..50].iter().all(Result::is_ok));
    assert!(matches!(decisions[50], Err(Error::Invalid(_))));
    assert!(matches!(decisions[51], Err(Error::Denied(_))));
    assert!(host.calls() <= 4, "{} calls of the host", host.calls());
}
