use keyward_policy::harness::{Call, Harness};
use keyward_policy::{Algorithm, Error};
use serde_json::{Value, json};

use crate::FourEyes;

fn host() -> Harness {
    Harness::new("acme").key("letters", Algorithm::XAes256Gcm)
}

fn invoke(call: &Call, operation: &str, body: &Value) -> Result<Value, Error> {
    let answer = call.invoke::<FourEyes>(operation, "application/json", body.to_string())?;
    Ok(serde_json::from_slice(&answer.body).unwrap())
}

fn sealed(host: &Harness) -> Vec<u8> {
    let shop = host.caller("shop", &["application"]).key("letters");
    shop.encrypt::<FourEyes>("Dear Jane").unwrap()
}

/// Asks as Kim, approves as Lee.
fn grant(host: &Harness) {
    let kim = host.caller("kim", &["support"]);
    let asked = invoke(&kim, "request-access", &json!({ "key": "letters", "reason": "ticket 7" }));
    let lee = host.caller("lee", &["approver"]);
    let granted = invoke(&lee, "approve", &json!({ "id": asked.unwrap()["id"] })).unwrap();
    assert_eq!(
        granted,
        json!({ "subject": "kim", "key": "letters", "reason": "ticket 7", "expires_in": 900 })
    );
}

fn denied<T: std::fmt::Debug>(result: &Result<T, Error>, why: &str) {
    assert!(matches!(result, Err(Error::Denied(said)) if said.contains(why)), "{result:?}");
}

#[test]
fn it_takes_two_and_lasts_a_quarter_of_an_hour() {
    let host = host();
    let letter = sealed(&host);
    let kim = host.caller("kim", &["support"]).key("letters");
    denied(&kim.decrypt::<FourEyes>(&letter), "nobody has approved");
    grant(&host);
    assert_eq!(kim.decrypt::<FourEyes>(&letter).unwrap(), b"Dear Jane");
    let other = host.caller("max", &["support"]).key("letters");
    denied(&other.decrypt::<FourEyes>(&letter), "nobody has approved");
    let start = kim.request("decrypt").time;
    assert!(kim.clone().time(start + 899_999).decrypt::<FourEyes>(&letter).is_ok());
    denied(&kim.time(start + 900_000).decrypt::<FourEyes>(&letter), "nobody has approved");
}

#[test]
fn nobody_approves_their_own_wish_or_one_twice() {
    let host = host();
    let both = host.caller("kim", &["support", "approver"]);
    let wish = json!({ "key": "letters", "reason": "ticket 7" });
    let id = invoke(&both, "request-access", &wish).unwrap();
    denied(&invoke(&both, "approve", &json!({ "id": id["id"] })), "somebody else");
    let lee = host.caller("lee", &["approver"]);
    denied(&invoke(&lee, "request-access", &wish), "needs one of the roles");
    assert!(invoke(&lee, "approve", &json!({ "id": id["id"] })).is_ok());
    for gone in [id["id"].clone(), json!("guessed")] {
        let again = invoke(&lee, "approve", &json!({ "id": gone }));
        assert!(matches!(again, Err(Error::NotFound(_))), "{again:?}");
    }
    let kim = host.caller("kim", &["support"]);
    denied(&invoke(&kim, "approve", &json!({ "id": "x" })), "needs one of the roles");
}

#[test]
fn a_wish_is_forgotten_after_an_hour() {
    let host = host();
    let kim = host.caller("kim", &["support"]);
    let asked =
        invoke(&kim, "request-access", &json!({ "key": "letters", "reason": "t" })).unwrap();
    let late = host.caller("lee", &["approver"]).time(kim.request("").time + 3_600_000);
    let approved = invoke(&late, "approve", &json!({ "id": asked["id"] }));
    assert!(matches!(approved, Err(Error::NotFound(_))), "{approved:?}");
}

#[test]
fn reading_is_bounded_by_the_minute() {
    let host = host();
    let letter = sealed(&host);
    grant(&host);
    let kim = host.caller("kim", &["support"]).key("letters");
    for _ in 0..60 {
        kim.decrypt::<FourEyes>(&letter).unwrap();
    }
    denied(&kim.decrypt::<FourEyes>(&letter), "in this minute");
    let later = kim.request("").time + 60_000;
    assert!(kim.time(later).decrypt::<FourEyes>(&letter).is_ok());
}

#[test]
fn glass_is_broken_with_a_reason_three_times_a_day() {
    let host = host();
    let letter = sealed(&host);
    let doctor = host.caller("doctor", &["break-glass"]).key("letters");
    let without = doctor.decrypt::<FourEyes>(&letter);
    assert!(matches!(without, Err(Error::Invalid(_))), "{without:?}");
    let urgent = doctor.purpose("patient unconscious");
    for _ in 0..3 {
        assert_eq!(urgent.decrypt::<FourEyes>(&letter).unwrap(), b"Dear Jane");
    }
    denied(&urgent.decrypt::<FourEyes>(&letter), "emergencies a day");
    let log = host.log();
    assert_eq!(log.len(), 3);
    assert!(log[0].fields.contains(&("reason".to_owned(), "patient unconscious".to_owned())));
    let tomorrow = urgent.request("").time + 86_400_000;
    assert!(urgent.time(tomorrow).decrypt::<FourEyes>(&letter).is_ok());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let host = host();
    let kim = host.caller("kim", &["support"]);
    for body in [
        json!({}),
        json!([]),
        json!({ "key": "letters" }),
        json!({ "key": "letters", "reason": " " }),
        json!({ "key": "letters", "reason": "r", "subject": "max" }),
    ] {
        let asked = invoke(&kim, "request-access", &body);
        assert!(matches!(asked, Err(Error::Invalid(_))), "{body}: {asked:?}");
    }
    let plain = kim.invoke::<FourEyes>("request-access", "text/plain", "{}");
    assert!(matches!(plain, Err(Error::Invalid(_))), "{plain:?}");
    assert!(kim.authorize::<FourEyes>("sign").is_err());
}
