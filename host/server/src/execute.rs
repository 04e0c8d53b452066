//! Carries out a policy's plan: the bytes of encrypt and decrypt, natively, from cached keys.
//!
//! A plan is prepared once and then used for every payload it was decided for, so that a batch
//! looks its key up once. What the caller got wrong and what the policy got wrong are different
//! errors: the latter are `policy_bad_plan`.

use std::str::FromStr;
use std::sync::Arc;

use keyward_crypto::stream::StreamHeader;
use keyward_crypto::{
    Algorithm, Batch, Binding, Channel, CryptoError, Header, KeyVersion, OpeningBatch, Operation,
    Suite,
};
use keyward_keyring::{Key, KeyName, Keyring, KeyringError, TenantName};
use keyward_policy_host::{Obligations, Plan};
use zeroize::Zeroizing;

use crate::errors::Code;
use crate::http::Problem;
use crate::metered::{Metered, MeteredOpener, MeteredSealer};

/// A plan ready to encrypt.
pub struct Sealer {
    key: Arc<Key>,
    version: Metered,
    suite: Option<Suite>,
    authenticated_data: Vec<u8>,
    obligations: Obligations,
    /// What messages that are sealed together have in common.
    batch: Option<Batch>,
}

impl Sealer {
    /// Prepares `plan` for requests that name the key `requested`.
    pub async fn prepare(
        keyring: &Keyring,
        tenant: &TenantName,
        requested: Option<&str>,
        plan: Plan,
    ) -> Result<Self, Problem> {
        let named = Named::of(&plan, requested)?;
        let key = named.key(keyring, tenant).await?;
        let Some(own_suite) = key.algorithm().default_suite() else {
            return Err(named.unsuitable(&key, Operation::Encrypt));
        };
        let suite = match plan.suite {
            None => None,
            Some(algorithm) => Some(
                Algorithm::from(algorithm)
                    .default_suite()
                    .ok_or_else(|| bad_plan("its suite does not encrypt"))?,
            ),
        };
        if suite.is_some_and(|suite| is_deterministic(suite) != is_deterministic(own_suite)) {
            return Err(bad_plan("its suite is not of the key's family"));
        }
        let Chosen { key, version, authenticated_data, obligations } =
            Chosen::of(keyring, key, &plan, Operation::Encrypt).await?;
        Ok(Self { key, version, suite, authenticated_data, obligations, batch: None })
    }

    /// Prepares for `messages` messages that are all at hand, see [`Batch`].
    pub fn expect(&mut self, messages: usize) -> Result<(), Problem> {
        self.batch = self.version.begin_batch(self.suite, messages).map_err(Problem::internal)?;
        Ok(())
    }

    /// What the plan obliges the host to.
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// The version it encrypts with.
    pub fn version(&self) -> u32 {
        self.version.version()
    }

    /// Begins a stream: its header, and what seals its chunks. The plan's suite is for single
    /// messages: streams have one of their own.
    pub fn stream(
        &self,
        context: &[u8],
    ) -> Result<([u8; StreamHeader::LEN], MeteredSealer), Problem> {
        if !self.key.algorithm().supports(Operation::Stream) {
            let detail = format!(
                "key {} is of algorithm {}, which does not encrypt streams",
                self.key.name(),
                self.key.algorithm()
            );
            return Err(Problem::new(Code::KeyUnsuitable, detail));
        }
        let binding = binding(&self.key, &self.authenticated_data, context);
        self.version.seal_stream(&binding).map_err(Problem::internal)
    }

    /// Encrypts into Keyward's binary format.
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Problem> {
        self.obligations.check_len(plaintext.len())?;
        let binding = binding(&self.key, &self.authenticated_data, context);
        let sealed = match &self.batch {
            Some(batch) => self.version.seal_in(batch, &binding, plaintext),
            None => self.version.seal(self.suite, &binding, plaintext),
        };
        sealed.map_err(|error| match error {
            CryptoError::SuiteNotAllowed { .. } => bad_plan("its suite is not of the key's family"),
            CryptoError::TooLong => {
                Problem::new(Code::PayloadTooLarge, "the plaintext is too long for the key's suite")
            }
            error => Problem::internal(error),
        })
    }
}

/// The key a plan or a request names, and who is to blame if it cannot be used.
struct Named<'a> {
    name: &'a str,
    by_policy: bool,
}

impl<'a> Named<'a> {
    fn of(plan: &'a Plan, requested: Option<&'a str>) -> Result<Self, Problem> {
        let by_policy = plan.key.as_deref().filter(|key| Some(*key) != requested);
        let Some(name) = by_policy.or(requested) else {
            let detail = "neither the request nor the tenant's policy names a key; add `key`";
            return Err(Problem::field(Code::KeyRequired, "/key", detail));
        };
        Ok(Self { name, by_policy: by_policy.is_some() })
    }

    async fn key(&self, keyring: &Keyring, tenant: &TenantName) -> Result<Arc<Key>, Problem> {
        let key = match KeyName::from_str(self.name) {
            Ok(name) => keyring.key(tenant, &name).await,
            Err(error) => Err(error),
        };
        key.map_err(|error| blame(error, |problem| self.fault(problem)))
    }

    fn fault(&self, problem: Problem) -> Problem {
        if self.by_policy {
            // Whatever the policy wrote there, the answer stays short.
            let name: String = self.name.chars().take(64).collect();
            return bad_plan(format!("its key {name:?} cannot be used: {}", problem.detail));
        }
        Problem { field: Some("/key".into()), ..problem }
    }

    /// Whether key and plan are made for `wanted`. What others verify cannot carry data of the
    /// policy's own: it would be lost in silence, so the plan is refused.
    fn check_fit(&self, key: &Key, plan: &Plan, wanted: Operation) -> Result<(), Problem> {
        if !key.algorithm().supports(wanted) {
            return Err(self.unsuitable(key, wanted));
        }
        if !plan.authenticated_data.is_empty() && wanted != Operation::Derive {
            return Err(bad_plan(format!("it binds data, which `{wanted}` cannot")));
        }
        Ok(())
    }

    fn unsuitable(&self, key: &Key, wanted: Operation) -> Problem {
        let detail = format!(
            "key {} is of algorithm {}, which does not {wanted}",
            key.name(),
            key.algorithm(),
        );
        self.fault(Problem::new(Code::KeyUnsuitable, detail))
    }
}

/// A plan ready for what neither encrypts nor decrypts: MACs, signatures, derived bytes.
#[derive(Clone)]
pub struct Chosen {
    key: Arc<Key>,
    version: Metered,
    authenticated_data: Vec<u8>,
    obligations: Obligations,
}

impl Chosen {
    /// Prepares `plan` for requests that name the key `requested` and want to do `wanted` with it.
    pub async fn prepare(
        keyring: &Keyring,
        tenant: &TenantName,
        requested: Option<&str>,
        plan: &Plan,
        wanted: Operation,
    ) -> Result<Self, Problem> {
        let named = Named::of(plan, requested)?;
        let key = named.key(keyring, tenant).await?;
        named.check_fit(&key, plan, wanted)?;
        Self::of(keyring, key, plan, wanted).await
    }

    async fn of(
        keyring: &Keyring,
        key: Arc<Key>,
        plan: &Plan,
        wanted: Operation,
    ) -> Result<Self, Problem> {
        let obligations = Obligations::of(plan)?;
        let number = plan.version.unwrap_or(key.current_version());
        let version = Metered::of(keyring, &key, number).await.map_err(|error| match error {
            KeyringError::VersionNotFound { .. } => bad_plan(error.to_string()),
            error => error.into(),
        })?;
        // What was derived once must be derived again: that takes no more than decrypting.
        if wanted != Operation::Derive {
            key.check_encrypts(number)?;
        }
        let authenticated_data = plan.authenticated_data.clone();
        Ok(Self { key, version, authenticated_data, obligations })
    }

    /// `length` bytes that follow from key, version, the policy's data, context, `info` and the length.
    pub fn derive(
        &self,
        context: &[u8],
        info: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let mut all = Vec::new();
        for part in [
            self.key.tenant().as_str().as_bytes(),
            self.key.name().as_str().as_bytes(),
            &self.authenticated_data,
            context,
            info,
        ] {
            // Each part is bounded far below 4 GiB.
            all.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            all.extend_from_slice(part);
        }
        // Else the longer output would begin with the shorter.
        all.extend_from_slice(&(length as u64).to_be_bytes());
        self.version.derive(&all, length).map_err(Problem::internal)
    }

    /// The version to use.
    pub fn version(&self) -> &Metered {
        &self.version
    }

    /// Holds an input of `len` bytes against the plan.
    pub fn check_len(&self, len: usize) -> Result<(), Problem> {
        Ok(self.obligations.check_len(len)?)
    }
}

/// A plan ready to verify: with the version the caller or the policy names, else with every
/// version in use.
#[derive(Clone)]
pub struct Verifier {
    key: Arc<Key>,
    only_version: Option<u32>,
    obligations: Obligations,
}

impl Verifier {
    /// Prepares `plan` for requests that name the key `requested`.
    pub async fn prepare(
        keyring: &Keyring,
        tenant: &TenantName,
        requested: Option<&str>,
        plan: &Plan,
        wanted: Operation,
    ) -> Result<Self, Problem> {
        let named = Named::of(plan, requested)?;
        let key = named.key(keyring, tenant).await?;
        named.check_fit(&key, plan, wanted)?;
        Ok(Self { key, only_version: plan.version, obligations: Obligations::of(plan)? })
    }

    /// The version whose signature or MAC it is, if it is one's: asked for `version` alone, or for
    /// each in use, newest first. `len` is the input's length; `fault` words what goes wrong.
    pub async fn version_of(
        &self,
        keyring: &Keyring,
        len: usize,
        version: Option<u32>,
        is_by: impl Fn(&KeyVersion) -> Result<bool, CryptoError>,
        fault: impl Fn(CryptoError) -> Problem,
    ) -> Result<Option<u32>, Problem> {
        self.obligations.check_len(len)?;
        if let Some(number) = version {
            let allowed = self.only_version.is_none_or(|only| only == number);
            let version = Metered::of(keyring, &self.key, number).await.map_err(at_version)?;
            let valid = allowed && version.is_by(&is_by).map_err(&fault)?;
            return Ok(valid.then_some(number));
        }
        // That a version of the policy's choice may not be used is said; otherwise it is left out.
        if let Some(only) = self.only_version {
            self.key.check_decrypts(only)?;
        }
        let usable = self.key.versions().iter().rev();
        for info in usable.filter(|info| self.key.is_in_use(info.version)) {
            if self.only_version.is_some_and(|only| only != info.version) {
                continue;
            }
            let version = Metered::if_in_use(keyring, &self.key, info.version).await?;
            let Some(version) = version else { continue };
            if version.is_by(&is_by).map_err(&fault)? {
                return Ok(Some(info.version));
            }
        }
        Ok(None)
    }
}

fn at_version(error: KeyringError) -> Problem {
    match Problem::from(error) {
        problem if problem.code.status().is_client_error() => {
            Problem { field: Some("/key_version".into()), ..problem }
        }
        problem => problem,
    }
}

/// A plan for what needs no key.
pub struct Keyless(Obligations);

impl Keyless {
    /// Prepares `plan`, which must not name a key or bind anything.
    pub fn prepare(plan: &Plan) -> Result<Self, Problem> {
        if plan.key.is_some() || plan.version.is_some() || !plan.authenticated_data.is_empty() {
            return Err(bad_plan("it names a key or binds data for what has no key"));
        }
        Ok(Self(Obligations::of(plan)?))
    }

    /// Holds an input or output of `len` bytes against the plan.
    pub fn check_len(&self, len: usize) -> Result<(), Problem> {
        Ok(self.0.check_len(len)?)
    }
}

/// A plan ready to decrypt what was made with one key.
pub struct Opener {
    key: Arc<Key>,
    only_version: Option<u32>,
    authenticated_data: Vec<u8>,
    obligations: Obligations,
    /// What ciphertexts that are opened together have in common.
    batch: Option<OpeningBatch>,
}

impl Opener {
    /// Prepares `plan` for ciphertexts made with `key`.
    pub fn prepare(key: Arc<Key>, plan: Plan) -> Result<Self, Problem> {
        let obligations = Obligations::of(&plan)?;
        // A plan for another key than the ciphertext's: nothing opens.
        if plan.key.as_deref().is_some_and(|name| name != key.name().as_str()) {
            return Err(Problem::ciphertext_invalid());
        }
        let Plan { version: only_version, authenticated_data, .. } = plan;
        Ok(Self { key, only_version, authenticated_data, obligations, batch: None })
    }

    /// Prepares for several ciphertexts, see [`OpeningBatch`].
    pub fn expect_several(&mut self) {
        self.batch = Some(OpeningBatch::default());
    }

    /// What the plan obliges the host to.
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// Begins to open a stream that version `number` made, after its whole header was read.
    pub async fn stream(
        &self,
        keyring: &Keyring,
        number: u32,
        context: &[u8],
        header: &[u8],
    ) -> Result<MeteredOpener, Problem> {
        let version = self.version(keyring, number).await?;
        let binding = binding(&self.key, &self.authenticated_data, context);
        version.open_stream(&binding, header).map_err(|_| Problem::ciphertext_invalid())
    }

    async fn version(&self, keyring: &Keyring, number: u32) -> Result<Metered, Problem> {
        if self.only_version.is_some_and(|only| only != number) {
            return Err(Problem::ciphertext_invalid());
        }
        Metered::of(keyring, &self.key, number).await.map_err(|error| match error {
            KeyringError::VersionNotFound { .. } => Problem::ciphertext_invalid(),
            error => error.into(),
        })
    }

    /// Opens a ciphertext; gives the plaintext and the version it was made with.
    pub async fn open(
        &self,
        keyring: &Keyring,
        header: &Header,
        context: &[u8],
        ciphertext: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, u32), Problem> {
        self.obligations.check_len(ciphertext.len())?;
        let number = header.key_version;
        if header.key_id != self.key.id() {
            return Err(Problem::ciphertext_invalid());
        }
        let version = self.version(keyring, number).await?;
        let binding = binding(&self.key, &self.authenticated_data, context);
        let opened = match &self.batch {
            Some(batch) => version.open_in(batch, &binding, ciphertext),
            None => version.open(&binding, ciphertext),
        };
        match opened {
            Ok(plaintext) => Ok((plaintext, number)),
            Err(_) => Err(Problem::ciphertext_invalid()),
        }
    }
}

fn binding<'a>(key: &'a Key, policy_data: &'a [u8], context: &'a [u8]) -> Binding<'a> {
    Binding {
        channel: Channel::Payload,
        tenant: key.tenant().as_str(),
        key_name: key.name().as_str(),
        policy_data,
        context,
    }
}

fn is_deterministic(suite: Suite) -> bool {
    suite == Suite::Aes256Siv
}

fn bad_plan(reason: impl std::fmt::Display) -> Problem {
    Problem::new(Code::PolicyBadPlan, format!("the policy's plan cannot be executed: {reason}"))
}

/// A key that does not exist is the fault of whoever named it; a store that fails is nobody's.
fn blame(error: KeyringError, fault: impl FnOnce(Problem) -> Problem) -> Problem {
    match error {
        KeyringError::KeyNotFound { .. } | KeyringError::InvalidName { .. } => fault(error.into()),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
