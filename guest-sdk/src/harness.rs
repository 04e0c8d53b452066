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
        Self {
            host: Host::new(tenant),
        }
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
        self.host
            .rotate(name)
            .unwrap_or_else(|error| panic!("{error}"))
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
                time: 1_767_225_600_000,
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
        self.request
            .caller
            .claims
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the host's clock, in milliseconds since 1970. Initially 2026-01-01.
    #[must_use]
    pub fn time(mut self, time: u64) -> Self {
        self.request.time = time;
        self
    }

    /// The request as the policy will see it.
    pub fn request(&self, operation: &str) -> Request {
        Request {
            operation: operation.to_owned(),
            ..self.request.clone()
        }
    }

    /// What the policy decides on an operation.
    pub fn authorize<P: Policy>(&self, operation: &str) -> Result<Plan, Error> {
        self.host.install(|| P::authorize(&self.request(operation)))
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
        let payload = Payload {
            content_type: content_type.to_owned(),
            body,
        };
        self.host.install(|| {
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
                    return Err(Error::invalid(format!(
                        "more than the policy's {limit} bytes"
                    )));
                }
            }
            "note" => assert!(
                value.len() <= MAX_NOTE,
                "a note is longer than {MAX_NOTE} bytes"
            ),
            other => panic!("the host knows no obligation `{other}`"),
        }
    }
    Ok(())
}
