//! Bearer tokens: their text form, how they are stored, and how a presented one is checked.
//!
//! A token is `kw_`, 32 random bytes and a CRC-32, both base64url. The checksum lets a typo be
//! refused, and a secret scanner be sure, without asking the store. Stored is only the SHA-256 of
//! the text: 256 random bits need no slow hash.

mod manage;
mod record;
pub mod scope;
mod text;
mod upkeep;
mod verified;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{CacheConfig, Change, Keyring, TenantName};
use keyward_policy_host::Caller;

pub use self::manage::Page;
use self::record::TokenRecord;
pub use self::scope::Scope;
pub use self::text::{PREFIX, Token};
pub(crate) use self::upkeep::{last_flush, start};
use self::verified::{Found, Verified};
use crate::clock;

/// Role that lets a tenant's token manage the tenant's keys, tokens and policy.
pub const TENANT_ADMIN: &str = "tenant-admin";
/// Role name that no tenant's token may carry.
pub const OPERATOR: &str = "operator";

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Operator: manages every tenant, encrypts and decrypts for none.
    Operator,
    /// One tenant.
    Tenant(TenantName),
}

/// A verified token: who is calling.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// The token's identifier, safe to show and log.
    pub id: String,
    /// Whom it speaks for.
    pub reach: Reach,
    /// Subject, roles and claims, as a policy sees them.
    pub caller: Caller,
    /// What it may be used for at all.
    pub scope: Scope,
    /// When it ends, in ms since 1970.
    pub expires_at: Option<u64>,
}

impl Credential {
    /// Whether it carries `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.caller.roles.iter().any(|held| held == role)
    }

    /// Whether it has ended at `now`, in ms since 1970.
    pub fn has_ended(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whom it speaks for.
    pub reach: Reach,
    /// Subject, roles and claims.
    pub caller: Caller,
    /// What it may be used for at all.
    pub scope: Scope,
    /// When it ends, in ms since 1970; `None`: never by itself.
    pub expires_at: Option<u64>,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Who made it.
    pub created_by: String,
}

impl NewToken {
    /// Without bounds, end and name; made by Keyward itself.
    pub fn of(reach: Reach, caller: Caller) -> Self {
        let (scope, expires_at, name, description) = Default::default();
        Self { reach, caller, scope, expires_at, name, description, created_by: "keyward".into() }
    }
}

/// What is known of a token: all but itself.
#[derive(Clone, Debug)]
pub struct Details {
    /// Its identifier.
    pub id: String,
    /// Whom it speaks for.
    pub reach: Reach,
    /// Subject, roles and claims.
    pub caller: Caller,
    /// What it may be used for at all.
    pub scope: Scope,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// When it was made, in ms since 1970, as all times here.
    pub created_at: u64,
    /// Who made it, where that was kept.
    pub created_by: Option<String>,
    /// When it ends.
    pub expires_at: Option<u64>,
    /// The token that took its place.
    pub replaced_by: Option<String>,
    /// When it was last used, to the minute; what other hosts saw since they last wrote it down
    /// is missing.
    pub last_used_at: Option<u64>,
}

/// Why a token could not be minted, found or checked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error("the token record {path} is damaged")]
    Corrupt {
        /// Its path in the store.
        path: String,
    },
    /// The random generator failed.
    #[error("no randomness for a new token")]
    Random,
    /// The token is known, and its time is over.
    #[error("the token has expired")]
    Expired,
    /// There is no token of this identifier.
    #[error("there is no such token")]
    NotFound,
    /// Somebody else changed the token at the same time.
    #[error("the token was changed at the same time")]
    Conflict,
}

/// How long a check waits for the store when the outage contract would have the token believed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Mints and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    keyring: Keyring,
    store: Arc<dyn Store>,
    verified: Verified,
    stale: Arc<AtomicU64>,
}

impl Tokens {
    /// Works on the keyring's store; a verified token is not looked up again for the cache's TTL.
    pub fn new(keyring: &Keyring, cache: &CacheConfig) -> Self {
        let store = Arc::clone(keyring.store());
        let verified = Verified::new(cache);
        Self { keyring: keyring.clone(), store, verified, stale: Arc::default() }
    }

    /// Mints a token.
    pub async fn mint(&self, new: NewToken) -> Result<(Token, Details), TokenError> {
        let token = Token::generate().map_err(|_| TokenError::Random)?;
        let details = self.enrol(&token, new).await?;
        Ok((token, details))
    }

    /// Stores a token generated before: from now on it is valid.
    pub async fn enrol(&self, token: &Token, new: NewToken) -> Result<Details, TokenError> {
        let hash = token.hash();
        let id = record::id_of(&hash);
        let index = format!("{}/{id}", record::index(&new.reach));
        let record = TokenRecord::of(&hash, new, clock::unix_ms());
        self.store.create(&record::path(&id), &record.to_bytes()).await?;
        self.verified.created(&hash);
        match self.store.create(&index, record::MARK).await {
            // A sweep found the token on no list, and put it there.
            Ok(_) | Err(StoreError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.keyring.announce(Change::Token(id.clone())).await;
        record.into_details(id)
    }

    /// Checks a presented token. `None`: not a valid token, whatever the reason. One that another
    /// host minted may be unknown here for a second, if it was presented before that.
    ///
    /// While the store is unavailable, a token that was verified before stays valid for as long as
    /// its tenant's outage contract says, and never beyond its own end: then it is
    /// [`TokenError::Expired`], whatever the store does.
    pub async fn verify(&self, presented: &str) -> Result<Option<Arc<Credential>>, TokenError> {
        let now = clock::unix_ms();
        match self.verify_at(presented, now).await {
            Ok(Some(credential)) if credential.has_ended(now) => Err(TokenError::Expired),
            verified => verified,
        }
    }

    async fn verify_at(
        &self,
        presented: &str,
        now: u64,
    ) -> Result<Option<Arc<Credential>>, TokenError> {
        let Some(hash) = text::hash_if_well_formed(presented) else {
            return Ok(None);
        };
        let old = match self.verified.get(&hash, now).await {
            Found::Fresh(credential) => return Ok(Some(credential)),
            Found::Absent => return Ok(None),
            Found::Ageing(credential) => {
                let tokens = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = tokens.look_up(hash, now).await {
                        tracing::debug!(%error, "a token could not be looked up ahead of time");
                    }
                });
                return Ok(Some(credential));
            }
            Found::Old { credential, beyond } if beyond < self.window(&credential.reach) => {
                credential
            }
            Found::Old { .. } | Found::Nothing => return self.look_up(hash, now).await,
        };
        if !self.keyring.is_store_away() {
            match tokio::time::timeout(PATIENCE, self.look_up(hash, now)).await {
                Ok(Err(TokenError::Store(error))) if error.is_unavailable() => {}
                Ok(looked_up) => return looked_up,
                // A store this slow is as good as unavailable.
                Err(_) => self.keyring.store_is_slow(),
            }
        }
        self.stale.fetch_add(1, Ordering::Relaxed);
        Ok(Some(old))
    }

    /// Asks the store, once for everybody who asks at the same time.
    async fn look_up(
        &self,
        hash: [u8; 32],
        now: u64,
    ) -> Result<Option<Arc<Credential>>, TokenError> {
        let read = self.read(hash);
        self.verified.load(hash, now, read).await
    }

    async fn read(&self, hash: [u8; 32]) -> Result<Option<Arc<Credential>>, TokenError> {
        let id = record::id_of(&hash);
        let path = record::path(&id);
        let Some(stored) = self.store.get(&path).await? else {
            return Ok(None);
        };
        let record = TokenRecord::from_bytes(&stored.value, path)?;
        if !record.is_of(&hash) {
            return Ok(None);
        }
        Ok(Some(Arc::new(record.into_credential(id)?)))
    }

    fn window(&self, reach: &Reach) -> Duration {
        let tenant = match reach {
            Reach::Operator => None,
            Reach::Tenant(tenant) => Some(tenant),
        };
        self.keyring.outage_window(tenant)
    }

    /// How often a token was believed beyond its time, by an outage contract.
    pub fn stale_serves(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// Asks the store the next time the token of this identifier is presented.
    pub async fn forget(&self, id: &str) {
        self.verified.forget(id).await;
    }

    /// Asks the store the next time any token is presented.
    pub fn forget_all(&self) {
        self.verified.forget_all();
    }

    /// Whether there is an operator token that has not ended: without one, nobody can make one.
    pub async fn has_operator(&self) -> Result<bool, TokenError> {
        let now = clock::unix_ms();
        for id in self.store.list(record::OPERATORS).await? {
            let stored = self.stored(&id).await.and_then(|(record, _)| record.into_credential(id));
            match stored {
                Ok(credential) if !credential.has_ended(now) => return Ok(true),
                // One that cannot be read lets nobody in.
                Ok(_) | Err(TokenError::NotFound | TokenError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use async_trait::async_trait;
    use keyward_keyring::store::Record;
    use keyward_keyring::store::memory::MemoryStore;

    use super::*;

    /// A store that counts reads.
    #[derive(Default)]
    struct Counting {
        below: MemoryStore,
        reads: AtomicU64,
    }

    #[async_trait]
    impl Store for Counting {
        async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.below.get(path).await
        }

        async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
            self.below.create(path, value).await
        }

        async fn replace(
            &self,
            path: &str,
            value: &[u8],
            expected_revision: u64,
        ) -> Result<u64, StoreError> {
            self.below.replace(path, value, expected_revision).await
        }

        async fn delete(&self, path: &str) -> Result<(), StoreError> {
            self.below.delete(path).await
        }

        async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
            self.below.list(prefix).await
        }

        async fn ping(&self) -> Result<(), StoreError> {
            self.below.ping().await
        }
    }

    fn host(store: &Arc<Counting>) -> Tokens {
        let cache = CacheConfig::default();
        Tokens::new(&Keyring::new(store.clone(), cache), &cache)
    }

    fn caller() -> Caller {
        Caller { subject: "s".into(), roles: vec![], claims: vec![] }
    }

    #[tokio::test]
    async fn an_unknown_token_does_not_read_the_store_each_time() {
        let store = Arc::new(Counting::default());
        let tokens = host(&store);
        let unknown = Token::generate().unwrap();
        for _ in 0..1_000 {
            assert!(tokens.verify(unknown.expose()).await.unwrap().is_none());
        }
        let reads = store.reads.load(Ordering::Relaxed);
        assert!((1..=2).contains(&reads), "{reads} reads");
    }

    #[tokio::test]
    async fn a_token_minted_here_works_at_once_and_elsewhere_within_a_second() {
        let store = Arc::new(Counting::default());
        let (here, elsewhere) = (host(&store), host(&store));
        let token = Token::generate().unwrap();
        for tokens in [&here, &elsewhere] {
            assert!(tokens.verify(token.expose()).await.unwrap().is_none());
        }
        here.enrol(&token, NewToken::of(Reach::Operator, caller())).await.unwrap();
        assert!(here.verify(token.expose()).await.unwrap().is_some());
        let start = Instant::now();
        while elsewhere.verify(token.expose()).await.unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
