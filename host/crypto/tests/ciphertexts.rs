//! Properties of sealing and opening, on the default provider.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

mod common;

use common::{Case, case};
use keyward_crypto::{
    Algorithm, Binding, Channel, CryptoError, Header, KeyId, KeyMaterial, KeyVersion, Operation,
    Suite,
};
use proptest::prelude::*;

fn seal(case: &Case) -> Vec<u8> {
    case.key::<keyward_crypto::provider::Default>()
        .seal(Some(case.suite), &case.binding(), &case.plaintext)
        .unwrap()
}

/// Asserts that `case` does not open `ciphertext`, with the one error there is.
fn refuses(case: &Case, ciphertext: &[u8]) {
    let key = case.key::<keyward_crypto::provider::Default>();
    let error = key.open(&case.binding(), ciphertext).err();
    assert_eq!(error, Some(CryptoError::CiphertextInvalid), "{ciphertext:02x?}");
}

/// Whether to damage this place of a ciphertext: each, unless it is one of those with an
/// encapsulated key of a thousand bytes, each of whose trials is a decapsulation. Of these each of
/// the first and last 100 bytes, and of the others one bit in 64, all of them over many cases; of
/// those to an RSA key, whose trials take milliseconds, one bit in 64 everywhere.
fn is_tried(suite: Suite, byte: usize, bit: usize, length: usize) -> bool {
    (byte * 8 + bit + length).is_multiple_of(64)
        || !is_rsa(suite) && (length < 1_000 || byte < 100 || byte + 100 >= length)
}

fn is_rsa(suite: Suite) -> bool {
    matches!(suite, Suite::RsaOaep2048 | Suite::RsaOaep3072 | Suite::RsaOaep4096)
}

/// Whether flipping this bit of the material gives the same key: X25519 sets or clears these five
/// bits of a private key before it is used (RFC 7748 section 5, decodeScalar25519).
fn is_clamped(suite: Suite, byte: usize, bit: u32) -> bool {
    suite == Suite::HpkeX25519 && matches!((byte, bit), (0, 0..=2) | (31, 6..=7))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens(case in case(5000)) {
        let sealed = seal(&case);
        prop_assert_eq!(sealed.len(), case.plaintext.len() + case.suite.overhead());
        prop_assert_eq!(sealed.capacity(), sealed.len(), "more than one allocation");
        prop_assert_eq!(Header::parse(&sealed).unwrap(), Header {
            suite: case.suite,
            key_id: KeyId(case.key_id),
            key_version: case.version,
        });
        let key = case.key::<keyward_crypto::provider::Default>();
        let opened = key.open(&case.binding(), &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), case.plaintext.as_slice());
    }

    #[test]
    fn only_siv_is_deterministic(case in case(100)) {
        let (one, two) = (seal(&case), seal(&case));
        prop_assert_eq!(one == two, case.suite == Suite::Aes256Siv);
    }

    /// Format, suite, key id, version, nonce, commitment, ciphertext, tag: every bit of them.
    #[test]
    fn no_bit_may_flip(case in case(40)) {
        let sealed = seal(&case);
        for bit in (0..sealed.len() * 8).filter(|bit| is_tried(case.suite, bit / 8, bit % 8, sealed.len())) {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refuses(&case, &damaged);
        }
    }

    #[test]
    fn no_byte_may_be_missing_or_added(case in case(40), extra in any::<u8>()) {
        let sealed = seal(&case);
        for length in (0..sealed.len()).filter(|length| is_tried(case.suite, *length, 0, sealed.len())) {
            refuses(&case, &sealed[..length]);
            refuses(&case, &sealed[sealed.len() - length..]);
        }
        for position in (0..=sealed.len()).filter(|at| is_tried(case.suite, *at, 0, sealed.len())) {
            let mut longer = sealed.clone();
            longer.insert(position, extra);
            refuses(&case, &longer);
        }
        refuses(&case, &[sealed.as_slice(), sealed.as_slice()].concat());
    }

    #[test]
    fn arbitrary_bytes_do_not_open(case in case(0), garbage: Vec<u8>) {
        refuses(&case, &garbage);
        // Nor behind a header that fits.
        refuses(&case, &[&seal(&case)[..Header::LEN], &garbage].concat());
    }

    #[test]
    fn it_opens_nowhere_else(case in case(40), bit in 0..8u32, at: prop::sample::Index) {
        let sealed = seal(&case);
        let other_channel = match case.channel {
            Channel::Payload => Channel::Policy,
            Channel::Policy => Channel::Payload,
        };
        let mut material = case.material;
        material[at.index(32)] ^= 1 << bit;
        let elsewhere = [
            Case { channel: other_channel, ..case.clone() },
            Case { tenant: format!("{}x", case.tenant), ..case.clone() },
            Case { tenant: String::new(), ..case.clone() },
            Case { key_name: format!("{}x", case.key_name), ..case.clone() },
            Case { key_name: case.tenant.clone() + "x", tenant: case.key_name.clone(), ..case.clone() },
            Case { policy_data: [&case.policy_data[..], b"x"].concat(), ..case.clone() },
            Case { context: [&case.context[..], b"x"].concat(), ..case.clone() },
            Case { material, ..case.clone() },
            Case { key_id: case.key_id ^ 1, ..case.clone() },
            Case { version: case.version ^ 1, ..case.clone() },
        ];
        // The RSA keys of all cases are one.
        let is_same_key = is_rsa(case.suite) || is_clamped(case.suite, at.index(32), bit);
        for other in elsewhere.into_iter().filter(|other| {
            !is_same_key || other.material == case.material
        }) {
            refuses(&other, &sealed);
            // Nor with the header of where it was moved to.
            let header = &seal(&other)[..Header::LEN];
            refuses(&other, &[header, &sealed[Header::LEN..]].concat());
        }
        for other in Suite::ALL.into_iter().filter(|&suite| suite != case.suite) {
            refuses(&Case { suite: other, ..case.clone() }, &{
                let mut moved = sealed.clone();
                moved[1] = other.id();
                moved
            });
        }
    }

    /// Bytes may not wander from one part of the binding to its neighbour.
    #[test]
    fn parts_do_not_run_together(case in case(10)) {
        let sealed = seal(&case);
        let mut policy_data = case.policy_data.clone();
        policy_data.push(0);
        let context = [&[0], &case.context[..]].concat();
        let shifted = Case { policy_data, context: case.context.clone(), ..case.clone() };
        let other = Case { policy_data: case.policy_data.clone(), context, ..case.clone() };
        refuses(&shifted, &sealed);
        refuses(&shifted, &seal(&other));
        let (first, rest) = case.key_name.split_at(1);
        let wandered = Case {
            tenant: format!("{}{first}", case.tenant),
            key_name: rest.to_owned(),
            ..case.clone()
        };
        refuses(&wandered, &sealed);
    }

    /// The commitment binds a ciphertext to one secret: that of another key does not fit it.
    #[test]
    fn the_commitment_of_another_key_does_not_fit(mut case in case(40), other: [u8; 32]) {
        case.suite = Suite::XAes256Gcm;
        prop_assume!(case.material != other);
        let sealed = seal(&case);
        let stranger = seal(&Case { material: other, ..case.clone() });
        let mut swapped = sealed.clone();
        let commitment = Header::LEN + 24..Header::LEN + 24 + 32;
        swapped[commitment.clone()].copy_from_slice(&stranger[commitment]);
        refuses(&case, &swapped);
    }
}

const BINDING: Binding<'static> = Binding {
    channel: Channel::Payload,
    tenant: "acme",
    key_name: "orders",
    policy_data: b"",
    context: b"",
};

fn key(algorithm: Algorithm) -> KeyVersion {
    let material = if algorithm.is_asymmetric() {
        KeyMaterial::generate(algorithm).unwrap()
    } else {
        KeyMaterial::from_bytes(algorithm, &[7; 32]).unwrap()
    };
    KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap()
}

#[test]
fn each_algorithm_has_its_suites() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        assert_eq!((key.algorithm(), key.key_id(), key.version()), (algorithm, KeyId(1), 1));
        let by_default = key.seal(None, &BINDING, b"x");
        match algorithm.default_suite() {
            Some(suite) => {
                assert_eq!(Header::parse(&by_default.unwrap()).unwrap().suite, suite);
                assert!(algorithm.allows(suite));
            }
            None => assert_eq!(
                by_default,
                Err(CryptoError::OperationNotSupported {
                    algorithm,
                    operation: Operation::Encrypt
                })
            ),
        }
        for suite in Suite::ALL {
            let sealed = key.seal(Some(suite), &BINDING, b"x");
            if algorithm.allows(suite) {
                assert_eq!(key.open(&BINDING, &sealed.unwrap()).unwrap().as_slice(), b"x");
            } else if algorithm.default_suite().is_none() {
                assert!(matches!(sealed, Err(CryptoError::OperationNotSupported { .. })));
            } else {
                assert_eq!(sealed, Err(CryptoError::SuiteNotAllowed { algorithm, suite }));
            }
        }
    }
    // One material under two algorithms: the families share no subkey, so nothing crosses over.
    let sealed = key(Algorithm::XAes256Gcm).seal(None, &BINDING, b"x").unwrap();
    for algorithm in [Algorithm::Aes256Siv, Algorithm::HmacSha256] {
        let error = key(algorithm).open(&BINDING, &sealed).err();
        assert_eq!(error, Some(CryptoError::CiphertextInvalid));
    }
}

#[test]
fn names_and_ids_read_back() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    for suite in Suite::ALL {
        assert_eq!(suite.to_string().parse(), Ok(suite));
        assert_eq!(Suite::from_id(suite.id()), Some(suite));
    }
    assert_eq!("AES-256-GCM".parse::<Algorithm>(), Err(CryptoError::UnknownAlgorithm));
    assert_eq!("hmac-sha-256".parse::<Suite>(), Err(CryptoError::UnknownSuite));
    assert_eq!(Algorithm::default(), Algorithm::XAes256Gcm);
}

#[test]
fn empty_and_large_plaintexts() {
    for algorithm in [Algorithm::XAes256Gcm, Algorithm::Aes256Gcm, Algorithm::Aes256Siv] {
        let key = key(algorithm);
        for length in [0, 1, 15, 16, 17, 4095, 4096, 1 << 20] {
            let plaintext = vec![0xa5; length];
            let sealed = key.seal(None, &BINDING, &plaintext).unwrap();
            assert_eq!(key.open(&BINDING, &sealed).unwrap().as_slice(), plaintext);
        }
    }
}

/// Of a private key of X25519 these five bits count for nothing, and every other one counts.
#[test]
fn only_clamped_bits_make_no_other_key() {
    let case = Case {
        suite: Suite::HpkeX25519,
        material: [0x5a; 32],
        key_id: 7,
        version: 1,
        channel: Channel::Payload,
        tenant: "acme".into(),
        key_name: "main".into(),
        policy_data: Vec::new(),
        context: b"context".to_vec(),
        plaintext: b"plaintext".to_vec(),
    };
    let sealed = seal(&case);
    for byte in 0..32 {
        for bit in 0..8 {
            let mut material = case.material;
            material[byte] ^= 1 << bit;
            let other = Case { material, ..case.clone() };
            let opened =
                other.key::<keyward_crypto::provider::Default>().open(&other.binding(), &sealed);
            assert_eq!(opened.is_ok(), is_clamped(case.suite, byte, bit), "{byte} {bit}");
        }
    }
}
