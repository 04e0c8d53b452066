//! An in-memory host for a policy's own unit tests: `cargo test`, no component, no server.
//!
//! The keys are made for the test and live in memory; the cryptography, the ciphertext format and
//! what is bound into a ciphertext are the host's own. What the host refuses by its limits (time,
//! memory, calls) is not simulated.
//!
//! ```
//! use keyward_policy::harness::Harness;
//! use keyward_policy::{Algorithm, Error, Plan, Policy, Request};
//!
//! struct Anyone;
//! impl Policy for Anyone {
//!     fn authorize(_: &Request) -> Result<Plan, Error> {
//!         Ok(Plan::allow())
//!     }
//! }
//!
//! let host = Harness::new("acme").key("orders", Algorithm::XAes256Gcm);
//! let call = host.caller("shop", &["application"]).key("orders").context("order 17");
//! let ciphertext = call.encrypt::<Anyone>("4111 1111").unwrap();
//! host.rotate("orders");
//! assert_eq!(call.decrypt::<Anyone>(&ciphertext).unwrap(), b"4111 1111");
//! assert!(call.context("order 18").decrypt::<Anyone>(&ciphertext).is_err());
//! ```

use std::rc::Rc;

use keyward_crypto::Channel;

use crate::host::{Host, Use};
use crate::log::Level;
use crate::{Algorithm, Caller, Error, Payload, Plan, Policy, Request};

/// Most bytes of authenticated data a plan may carry, as in the host.
const MAX_AUTHENTICATED_DATA: usize = 4 << 10;
/// The clock of a new harness: 2026-01-01T00:00:00Z in milliseconds since 1970.
const START: u64 = 1_767_225_600_000;
/// Longest `note` of a plan, as in the host.
const MAX_NOTE: usize = 256;

/// The in-memory host of one tenant.
#[derive(Debug)]
pub struct Harness {
    host: Rc<Host>,
}

/// A line the policy logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Name and value.
    pub fields: Vec<(String, String)>,
}

impl Harness {
    /// A host without keys.
    pub fn new(tenant: &str) -> Self {
        let host = Host::new(tenant);
        host.set_time(START);
        Self { host }
    }

    /// Adds a key without attributes.
    #[must_use]
    pub fn key(self, name: &str, algorithm: Algorithm) -> Self {
        self.key_with(name, algorithm, &[])
    }

    /// Adds a key with attributes, as name and value.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    #[must_use]
    pub fn key_with(self, name: &str, algorithm: Algorithm, attributes: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes = attributes.iter().map(owned).collect();
        self.host
            .create(name, algorithm, attributes)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        self
    }

    /// Adds a version to a key and returns its number.
    ///
    /// # Panics
    /// If there is no such key.
    pub fn rotate(&self, name: &str) -> u32 {
        self.host.rotate(name).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs `f` with the typed host functions answered by this host, on this thread.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        self.host.install(f)
    }

    /// Starts a call by someone who holds these roles.
    pub fn caller(&self, subject: &str, roles: &[&str]) -> Call {
        Call {
            host: Rc::clone(&self.host),
            request: Request {
                id: "test".to_owned(),
                tenant: self.host.tenant().to_owned(),
                caller: Caller {
                    subject: subject.to_owned(),
                    roles: roles.iter().map(|role| (*role).to_owned()).collect(),
                    claims: Vec::new(),
                },
                time: START,
                ..Request::default()
            },
        }
    }

    /// How often policies have called the host so far.
    pub fn calls(&self) -> u32 {
        self.host.calls()
    }

    /// What policies have logged so far.
    pub fn log(&self) -> Vec<LogLine> {
        self.host.log()
    }
}

/// A call of the service, to be completed and then sent through a policy. It may be sent often.
#[derive(Debug, Clone)]
pub struct Call {
    host: Rc<Host>,
    request: Request,
}

impl Call {
    /// Names a key.
    #[must_use]
    pub fn key(mut self, name: &str) -> Self {
        self.request.key = Some(name.to_owned());
        self
    }

    /// Gives a context.
    #[must_use]
    pub fn context(mut self, context: impl AsRef<[u8]>) -> Self {
        self.request.context = Some(context.as_ref().to_vec());
        self
    }

    /// Gives a purpose.
    #[must_use]
    pub fn purpose(mut self, purpose: &str) -> Self {
        self.request.purpose = Some(purpose.to_owned());
        self
    }

    /// Adds a claim to the caller's credential.
    #[must_use]
    pub fn claim(mut self, name: &str, value: &str) -> Self {
        self.request.caller.claims.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the host's clock, in milliseconds since 1970. Initially 2026-01-01.
    #[must_use]
    pub fn time(mut self, time: u64) -> Self {
        self.request.time = time;
        self
    }

    fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        self.host.set_time(self.request.time);
        self.host.install(f)
    }

    /// The request as the policy will see it.
    pub fn request(&self, operation: &str) -> Request {
        Request { operation: operation.to_owned(), ..self.request.clone() }
    }

    /// What the policy decides on an operation.
    pub fn authorize<P: Policy>(&self, operation: &str) -> Result<Plan, Error> {
        self.install(|| P::authorize(&self.request(operation)))
    }

    /// Encrypts as the host does: asks the policy, then executes its plan.
    ///
    /// # Panics
    /// If the plan is one the host refuses: that is a mistake in the policy.
    pub fn encrypt<P: Policy>(&self, plaintext: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let plaintext = plaintext.as_ref();
        let plan = self.authorize::<P>("encrypt")?;
        check(&plan, plaintext.len())?;
        let key = plan.key.as_deref().or(self.request.key.as_deref());
        let key = key.ok_or_else(|| Error::invalid("neither request nor plan names a key"))?;
        self.host.seal(&self.used(&plan, key), plaintext)
    }

    /// Decrypts as the host does: finds the key by the ciphertext, asks the policy, then executes
    /// its plan.
    ///
    /// # Panics
    /// If the plan is one the host refuses: that is a mistake in the policy.
    pub fn decrypt<P: Policy>(&self, ciphertext: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let ciphertext = ciphertext.as_ref();
        let made_with = self.host.key_of(ciphertext)?;
        let call = self.clone().key(&made_with);
        let plan = call.authorize::<P>("decrypt")?;
        check(&plan, ciphertext.len())?;
        let key = plan.key.as_deref().unwrap_or(&made_with);
        self.host.unseal(&self.used(&plan, key), ciphertext)
    }

    /// Calls one of the policy's own operations as the host does: asks `authorize`, then `invoke`.
    ///
    /// # Panics
    /// If the plan is one the host refuses: that is a mistake in the policy.
    pub fn invoke<P: Policy>(
        &self,
        operation: &str,
        content_type: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<Payload, Error> {
        let request = self.request(&format!("invoke/{operation}"));
        let body = body.as_ref().to_vec();
        let payload = Payload { content_type: content_type.to_owned(), body };
        self.install(|| {
            let plan = P::authorize(&request)?;
            check(&plan, payload.body.len())?;
            P::invoke(&request, payload)
        })
    }

    fn used<'a>(&'a self, plan: &'a Plan, key: &'a str) -> Use<'a> {
        Use {
            key,
            version: plan.version,
            suite: plan.suite,
            channel: Channel::Payload,
            policy_data: &plan.authenticated_data,
            context: self.request.context.as_deref().unwrap_or_default(),
        }
    }
}

/// What the host checks on every plan before it executes it.
fn check(plan: &Plan, payload: usize) -> Result<(), Error> {
    assert!(
        plan.authenticated_data.len() <= MAX_AUTHENTICATED_DATA,
        "the plan's authenticated data is longer than {MAX_AUTHENTICATED_DATA} bytes"
    );
    for obligation in &plan.obligations {
        let value = &obligation.value;
        match obligation.name.as_str() {
            "max-bytes" => {
                let limit: usize = value
                    .parse()
                    .unwrap_or_else(|_| panic!("`max-bytes` is not a number: {value}"));
                if payload > limit {
                    return Err(Error::invalid(format!("more than the policy's {limit} bytes")));
                }
            }
            "note" => assert!(value.len() <= MAX_NOTE, "a note is longer than {MAX_NOTE} bytes"),
            other => panic!("the host knows no obligation `{other}`"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Obligation, SignatureForm, log, random};

    /// Allows with the plan that the caller's claims describe.
    struct ByClaims;

    impl Policy for ByClaims {
        fn authorize(request: &Request) -> Result<Plan, Error> {
            let caller = &request.caller;
            let mut plan = Plan::allow().bind(request.purpose.as_deref().unwrap_or_default());
            plan.key = caller.claim("key").map(str::to_owned);
            plan.version = caller.claim("version").and_then(|version| version.parse().ok());
            plan.suite = caller.claim("suite").map(|_| Algorithm::Aes256Gcm);
            for (name, value) in caller.claims.iter().filter(|(name, _)| name.contains('-')) {
                plan.obligations.push(Obligation { name: name.clone(), value: value.clone() });
            }
            Ok(plan)
        }

        fn invoke(_: &Request, payload: Payload) -> Result<Payload, Error> {
            let body = Key::open("main")?.encrypt(&payload.body, b"")?;
            Ok(Payload { body, ..payload })
        }
    }

    fn host() -> Harness {
        Harness::new("acme")
            .key_with("main", Algorithm::XAes256Gcm, &[("owner", "shop")])
            .key("other", Algorithm::XAes256Gcm)
            .key("search", Algorithm::HmacSha256)
    }

    fn call(host: &Harness) -> Call {
        host.caller("svc", &[]).key("main")
    }

    fn does_not_open(result: &Result<Vec<u8>, Error>) {
        assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    }

    #[test]
    fn a_plan_is_executed_as_the_host_does() {
        let host = host();
        let other = call(&host).claim("key", "other").claim("suite", "gcm").context("c");
        let ciphertext = other.purpose("p").encrypt::<ByClaims>("secret").unwrap();
        // Header: format, then the suite's id.
        assert_eq!(ciphertext[..2], [1, 2]);
        let opener = host.caller("svc", &[]).context("c");
        assert_eq!(
            opener.clone().purpose("p").decrypt::<ByClaims>(&ciphertext).unwrap(),
            b"secret"
        );
        does_not_open(&opener.clone().purpose("q").decrypt::<ByClaims>(&ciphertext));
        does_not_open(
            &opener.clone().purpose("p").claim("key", "main").decrypt::<ByClaims>(&ciphertext),
        );
        does_not_open(&opener.purpose("p").context("d").decrypt::<ByClaims>(&ciphertext));
    }

    #[test]
    fn a_plan_may_name_a_version() {
        let host = host();
        let old = call(&host).encrypt::<ByClaims>("old").unwrap();
        assert_eq!(host.rotate("main"), 2);
        let first = call(&host).claim("version", "1");
        assert_eq!(first.decrypt::<ByClaims>(&old).unwrap(), b"old");
        let new = call(&host).encrypt::<ByClaims>("new").unwrap();
        does_not_open(&first.decrypt::<ByClaims>(&new));
        let pinned = first.encrypt::<ByClaims>("pinned").unwrap();
        assert_eq!(first.decrypt::<ByClaims>(&pinned).unwrap(), b"pinned");
        let unknown = call(&host).claim("version", "3").encrypt::<ByClaims>("x");
        assert!(matches!(unknown, Err(Error::NotFound(_))));
    }

    #[test]
    fn obligations_are_met() {
        let host = host();
        let bounded = call(&host).claim("max-bytes", "3");
        assert!(bounded.encrypt::<ByClaims>("abc").is_ok());
        assert!(matches!(bounded.encrypt::<ByClaims>("abcd"), Err(Error::Invalid(_))));
    }

    #[test]
    #[should_panic(expected = "no obligation `shred-after`")]
    fn an_unknown_obligation_is_the_policys_mistake() {
        let _ = call(&host()).claim("shred-after", "").encrypt::<ByClaims>("x");
    }

    #[test]
    fn what_a_policy_sealed_opens_through_a_policy_alone() {
        let host = host();
        let sealed = call(&host).invoke::<ByClaims>("seal", "text/plain", "secret").unwrap().body;
        does_not_open(&call(&host).decrypt::<ByClaims>(&sealed));
        let opened = host.run(|| Key::open("main").unwrap().decrypt(&sealed, b""));
        assert_eq!(opened.unwrap(), b"secret");
        let planned = call(&host).encrypt::<ByClaims>("secret").unwrap();
        does_not_open(&host.run(|| Key::open("main").unwrap().decrypt(&planned, b"")));
    }

    #[test]
    fn handles_answer_for_their_version() {
        let host = host();
        host.rotate("main");
        host.run(|| {
            let key = Key::open("main").unwrap();
            assert_eq!((key.name().as_str(), key.version()), ("main", 2));
            assert_eq!(key.algorithm(), Algorithm::XAes256Gcm);
            assert_eq!(key.attribute("owner").as_deref(), Some("shop"));
            assert_eq!(key.attribute("colour"), None);
            let new = key.encrypt(b"x", b"").unwrap();
            let old = Key::open_version("main", 1).unwrap();
            does_not_open(&old.decrypt(&new, b""));
            let sealed = old.encrypt(b"x", b"").unwrap();
            assert_eq!(key.decrypt(&sealed, b"").unwrap(), b"x");
            assert!(matches!(Key::open("none"), Err(Error::NotFound(_))));
            assert!(matches!(Key::open_version("main", 3), Err(Error::NotFound(_))));
        });
    }

    #[test]
    fn tags_and_terms_come_from_a_mac_key() {
        let host = host();
        host.run(|| {
            let key = Key::open("search").unwrap();
            let tag = key.mac(b"data").unwrap();
            assert_eq!(tag.len(), 32);
            assert_eq!(key.verify(b"data", &tag), Ok(true));
            assert_eq!(key.verify(b"date", &tag), Ok(false));
            let term = key.term("email", b"a@b").unwrap();
            assert_ne!(term, key.term("name", b"a@b").unwrap());
            host.rotate("search");
            let terms = key.terms("email", b"a@b").unwrap();
            assert_eq!((terms.len(), &terms[1]), (2, &term));
            assert!(matches!(key.encrypt(b"x", b""), Err(Error::Invalid(_))));
        });
    }

    #[test]
    fn signatures_come_from_a_signing_key_and_outlive_rotations() {
        let form = SignatureForm::Fixed;
        let host = host().key("signing", Algorithm::EcdsaP256);
        host.run(|| {
            let key = Key::open("signing").unwrap();
            let old = key.sign(b"data", form).unwrap();
            let old_public = key.public_key().unwrap();
            assert_eq!(old.len(), 64);
            host.rotate("signing");
            let key = Key::open("signing").unwrap();
            let new = key.sign(b"data", form).unwrap();
            assert_ne!(key.public_key().unwrap(), old_public);
            assert_eq!(key.verify_signature(b"data", &old, form), Ok(Some(1)));
            assert_eq!(key.verify_signature(b"data", &new, form), Ok(Some(2)));
            assert_eq!(key.verify_signature(b"date", &new, form), Ok(None));
            let standard = SignatureForm::Standard;
            assert_eq!(key.verify_signature(b"data", &new, standard), Ok(None));
            let first = Key::open_version("signing", 1).unwrap();
            assert_eq!(first.public_key().unwrap(), old_public);
            assert_eq!(first.verify_signature(b"data", &old, form), Ok(Some(1)));
            assert_eq!(first.verify_signature(b"data", &new, form), Ok(None));
            assert!(matches!(key.sign(b"data", SignatureForm::Pkcs1), Err(Error::Invalid(_))));
            let aead = Key::open("main").unwrap();
            assert!(matches!(aead.sign(b"data", standard), Err(Error::Invalid(_))));
            assert!(matches!(aead.verify_signature(b"", b"", standard), Err(Error::Invalid(_))));
            assert!(matches!(aead.public_key(), Err(Error::Invalid(_))));
        });
    }

    #[test]
    fn every_algorithm_that_encrypts_does_so_through_a_handle() {
        for algorithm in [
            Algorithm::Aes256Siv,
            Algorithm::RsaOaep2048,
            Algorithm::X25519,
            Algorithm::MlKem768,
            Algorithm::X25519MlKem768,
        ] {
            let host = Harness::new("acme").key("main", algorithm);
            host.run(|| {
                let key = Key::open("main").unwrap();
                let sealed = key.encrypt(b"x", b"aad").unwrap();
                assert_eq!(key.decrypt(&sealed, b"aad").unwrap(), b"x");
                does_not_open(&key.decrypt(&sealed, b""));
            });
        }
    }

    #[test]
    fn lines_and_random_bytes_are_the_hosts() {
        let host = host();
        host.run(|| {
            log::warn("odd", &[("what", "this")]);
            assert_eq!(random::bytes(16).len(), 16);
        });
        let fields = vec![("what".to_owned(), "this".to_owned())];
        let line = LogLine { level: Level::Warn, message: "odd".to_owned(), fields };
        assert_eq!((host.log(), host.calls()), (vec![line], 2));
    }

    #[test]
    #[should_panic(expected = "no host on this thread")]
    fn outside_of_a_call_there_is_no_host() {
        let _ = Key::open("main");
    }
}
