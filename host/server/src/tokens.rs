//! Bearer tokens: their text form, how they are stored, and how a presented one is checked.
//!
//! A token is `kw_`, 32 random bytes and a CRC-32, both base64url. The checksum lets a typo be
//! refused, and a secret scanner be sure, without asking the store. Stored is only the SHA-256 of
//! the text: 256 random bits need no slow hash.

mod record;
mod text;
mod verified;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{CacheConfig, Change, Keyring, TenantName};
use keyward_policy_host::Caller;

use self::record::TokenRecord;
pub use self::text::Token;
use self::verified::{Found, Verified};

/// Role that lets a tenant's token manage the tenant's keys, tokens and policy.
pub const TENANT_ADMIN: &str = "tenant-admin";
/// Role name that no tenant's token may carry.
pub const OPERATOR: &str = "operator";

/// Where operator tokens are listed, so that a start finds out whether there is one.
const OPERATORS: &str = "operators";

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
}

impl Credential {
    /// Whether it carries `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.caller.roles.iter().any(|held| held == role)
    }
}

/// Why a token could not be minted or checked.
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

    /// Mints a token for `caller`.
    pub async fn mint(
        &self,
        reach: Reach,
        caller: Caller,
    ) -> Result<(Token, Credential), TokenError> {
        let token = Token::generate().map_err(|_| TokenError::Random)?;
        let credential = self.enrol(&token, reach, caller).await?;
        Ok((token, credential))
    }

    /// Stores a token generated before: from now on it is valid.
    pub async fn enrol(
        &self,
        token: &Token,
        reach: Reach,
        caller: Caller,
    ) -> Result<Credential, TokenError> {
        let hash = token.hash();
        let id = record::id_of(&hash);
        let credential = Credential { id, reach, caller };
        let record = TokenRecord::of(&hash, &credential);
        self.store.create(&record::path(&credential.id), &record.to_bytes()).await?;
        self.verified.created(&hash);
        if credential.reach == Reach::Operator {
            self.store.create(&format!("{OPERATORS}/{}", credential.id), b"{}").await?;
        }
        self.keyring.announce(Change::Token(credential.id.clone())).await;
        Ok(credential)
    }

    /// Checks a presented token. `None`: not a valid token, whatever the reason. One that another
    /// host minted may be unknown here for a second, if it was presented before that.
    ///
    /// While the store is unavailable, a token that was verified before stays valid for as long as
    /// its tenant's outage contract says.
    pub async fn verify(&self, presented: &str) -> Result<Option<Arc<Credential>>, TokenError> {
        let Some(hash) = text::hash_if_well_formed(presented) else {
            return Ok(None);
        };
        let old = match self.verified.get(&hash).await {
            Found::Fresh(credential) => return Ok(Some(credential)),
            Found::Absent => return Ok(None),
            Found::Ageing(credential) => {
                let tokens = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = tokens.look_up(hash).await {
                        tracing::debug!(%error, "a token could not be looked up ahead of time");
                    }
                });
                return Ok(Some(credential));
            }
            Found::Old { credential, beyond } if beyond < self.window(&credential.reach) => {
                credential
            }
            Found::Old { .. } | Found::Nothing => return self.look_up(hash).await,
        };
        if !self.keyring.is_store_away() {
            match tokio::time::timeout(PATIENCE, self.look_up(hash)).await {
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
    async fn look_up(&self, hash: [u8; 32]) -> Result<Option<Arc<Credential>>, TokenError> {
        let read = self.read(hash);
        self.verified.load(hash, read).await
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

    /// Whether any operator token was ever minted.
    pub async fn has_operator(&self) -> Result<bool, TokenError> {
        Ok(!self.store.list(OPERATORS).await?.is_empty())
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
        here.enrol(&token, Reach::Operator, caller()).await.unwrap();
        assert!(here.verify(token.expose()).await.unwrap().is_some());
        let start = Instant::now();
        while elsewhere.verify(token.expose()).await.unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
