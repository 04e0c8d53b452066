use keyward_policy::harness::Harness;
use keyward_policy::{Algorithm, Error};

use crate::Records;
use crate::purposes::{GRANTS, PURPOSES};

fn host() -> Harness {
    Harness::new("clinic").key("records", Algorithm::XAes256Gcm)
}

#[test]
fn a_record_opens_for_its_purpose_and_no_other() {
    let host = host();
    let application = host.caller("intake", &["application"]).key("records");
    let treatment = application.clone().purpose("treatment");
    let ciphertext = treatment.encrypt::<Records>("blood group A+").unwrap();
    assert_eq!(treatment.decrypt::<Records>(&ciphertext).unwrap(), b"blood group A+");
    // Granted to the same role, and yet another purpose than it was written for.
    let error = application.purpose("billing").decrypt::<Records>(&ciphertext).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}

#[test]
fn each_role_reads_for_its_purposes_alone() {
    let host = host();
    for grant in GRANTS {
        for purpose in PURPOSES {
            let call = host.caller("someone", &[grant.role]).key("records").purpose(purpose);
            let decision = call.authorize::<Records>("decrypt");
            assert_eq!(decision.is_ok(), grant.purposes.contains(purpose), "{}", grant.role);
        }
    }
}

#[test]
fn whoever_may_read_a_purpose_opens_what_another_role_wrote_for_it() {
    let host = host();
    let intake = host.caller("intake", &["application"]).key("records").purpose("research");
    let ciphertext = intake.encrypt::<Records>("age 41").unwrap();
    assert!(intake.decrypt::<Records>(&ciphertext).is_err());
    let researcher = host.caller("kim", &["researcher"]).key("records");
    assert_eq!(researcher.purpose("research").decrypt::<Records>(&ciphertext).unwrap(), b"age 41");
}

#[test]
fn a_purpose_must_be_given_and_known() {
    let host = host();
    let application = host.caller("intake", &["application"]).key("records");
    for operation in ["encrypt", "decrypt", "rewrap", "datakey"] {
        for call in [
            application.clone(),
            application.clone().purpose(""),
            application.clone().purpose("marketing"),
            application.clone().purpose("Treatment"),
        ] {
            let refused = call.authorize::<Records>(operation).unwrap_err();
            assert!(matches!(&refused, Error::Invalid(text) if text.contains("`treatment`")));
        }
    }
}

#[test]
fn only_writers_write() {
    let host = host();
    for (role, writes) in [("application", true), ("clinician", true), ("researcher", false)] {
        let call = host.caller("someone", &[role]).key("records").purpose("research");
        for operation in ["encrypt", "datakey", "rewrap"] {
            assert_eq!(call.authorize::<Records>(operation).is_ok(), writes, "{role} {operation}");
        }
    }
}

#[test]
fn nobody_reads_without_a_grant() {
    let host = host();
    for roles in [&[][..], &["tenant-admin"], &["writer"]] {
        let call = host.caller("someone", roles).key("records").purpose("treatment");
        assert!(matches!(call.authorize::<Records>("decrypt"), Err(Error::Denied(_))));
    }
}

#[test]
fn what_it_does_not_know_it_refuses() {
    let host = host();
    let call = host.caller("intake", &["application"]).purpose("treatment");
    for operation in ["invoke/protect", "sign", ""] {
        assert!(matches!(call.authorize::<Records>(operation), Err(Error::Denied(_))));
    }
}

#[test]
fn every_granted_purpose_is_a_known_one() {
    for grant in GRANTS {
        assert!(grant.purposes.iter().all(|purpose| PURPOSES.contains(purpose)));
    }
}
