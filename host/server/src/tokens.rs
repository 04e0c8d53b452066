//! Bearer tokens: their text form, how they are stored, and how a presented one is checked.
//!
//! A token is `kw_`, 32 random bytes and a CRC-32, both base64url. The checksum lets a typo be
//! refused, and a secret scanner be sure, without asking the store. Stored is only the SHA-256 of
//! the text: 256 random bits need no slow hash.

mod record;
mod text;

use std::sync::Arc;
use std::time::Duration;

use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{Keyring, TenantName};
use keyward_policy_host::Caller;
use moka::future::Cache;

use self::record::TokenRecord;
pub use self::text::Token;

/// Role that lets a tenant's token manage the tenant's keys, tokens and policy.
pub const TENANT_ADMIN: &str = "tenant-admin";
/// Role name that no tenant's token may carry.
pub const OPERATOR: &str = "operator";

/// Where operator tokens are listed, so that a start finds out whether there is one.
const OPERATORS: &str = "operators";
const CACHED_TOKENS: u64 = 100_000;

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
#[derive(Debug, thiserror::Error)]
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

/// Mints and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    store: Arc<dyn Store>,
    /// By SHA-256 of the token's text, so that the hot path neither reads the store nor allocates.
    verified: Cache<[u8; 32], Arc<Credential>>,
}

impl Tokens {
    /// Works on the keyring's store; a verified token is not looked up again for `ttl`.
    pub fn new(keyring: &Keyring, ttl: Duration) -> Self {
        let verified = Cache::builder().max_capacity(CACHED_TOKENS).time_to_live(ttl).build();
        Self { store: Arc::clone(keyring.store()), verified }
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
        if credential.reach == Reach::Operator {
            self.store.create(&format!("{OPERATORS}/{}", credential.id), b"{}").await?;
        }
        Ok(credential)
    }

    /// Checks a presented token. `None`: not a valid token, whatever the reason.
    pub async fn verify(&self, presented: &str) -> Result<Option<Arc<Credential>>, TokenError> {
        let Some(hash) = text::hash_if_well_formed(presented) else {
            return Ok(None);
        };
        if let Some(credential) = self.verified.get(&hash).await {
            return Ok(Some(credential));
        }
        let id = record::id_of(&hash);
        let path = record::path(&id);
        let Some(stored) = self.store.get(&path).await? else {
            return Ok(None);
        };
        let record = TokenRecord::from_bytes(&stored.value, path)?;
        if !record.is_of(&hash) {
            return Ok(None);
        }
        let credential = Arc::new(record.into_credential(id)?);
        self.verified.insert(hash, Arc::clone(&credential)).await;
        Ok(Some(credential))
    }

    /// Whether any operator token was ever minted.
    pub async fn has_operator(&self) -> Result<bool, TokenError> {
        Ok(!self.store.list(OPERATORS).await?.is_empty())
    }
}
