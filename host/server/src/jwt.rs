//! Bearer tokens of an identity provider: JWTs (RFC 7519), signed, verified with the keys that the
//! provider publishes (JWKS, RFC 7517).
//!
//! Which algorithm a token may be signed with is this server's to say, never the token's: the
//! allow-list has public-key signatures alone, and a key verifies only what it is made for.

mod claims;
mod config;
mod keys;
mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use moka::future::Cache;
use serde_json::{Map, Value};

pub use self::config::{JwtConfig, Source, algorithm};
use self::keys::KeySet;
pub use self::source::Statistics;
use self::source::{Keys, Setup};
use crate::clock;
use crate::tokens::Credential;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// Most keys tried on one token.
const MAX_TRIED: usize = 8;
/// Most verified tokens remembered. Each is a few hundred bytes.
const CAPACITY: u64 = 50_000;
/// Longest time one is remembered: those that do not come back make room.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Why a JWT is not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// There are no keys to verify with: the provider was not reached, or not for too long.
    #[error("the identity provider's keys are not there; retry after the time given")]
    Unavailable,
    /// It was good, and its time is over.
    #[error("the JWT has expired; get another one from the identity provider")]
    Expired,
    /// It is not for this server, or nobody's.
    #[error("{0}")]
    Refused(&'static str),
}

/// A token that was verified, and by which set of keys: what is no longer published no longer
/// counts.
struct Verified {
    credential: Arc<Credential>,
    generation: u64,
}

/// Verifies the JWTs of one issuer.
pub struct Jwt {
    config: JwtConfig,
    keys: Arc<Keys>,
    verified: Cache<[u8; 32], Arc<Verified>>,
}

impl Jwt {
    /// Fetches the provider's keys once, to see whether that goes: how many there are.
    pub(crate) async fn try_source(config: &JwtConfig) -> Result<usize, String> {
        Setup::of(config)?.try_once().await
    }

    /// Sets it up and starts to look for the provider's keys, for as long as this lives. It is no
    /// error if they are not to be had.
    pub fn start(config: JwtConfig) -> Result<Self, String> {
        let keys = Keys::start(Setup::of(&config)?);
        let verified = Cache::builder().max_capacity(CAPACITY).time_to_live(REMEMBERED).build();
        Ok(Self { config, keys, verified })
    }

    /// How it is with the keys.
    pub fn statistics(&self) -> Statistics {
        self.keys.statistics()
    }

    /// Whom `token` speaks for.
    pub async fn verify(&self, token: &str) -> Result<Arc<Credential>, JwtError> {
        if token.len() > MAX_TOKEN {
            return Err(JwtError::Refused("the JWT has over 16 KiB"));
        }
        let set = self.keys.current().ok_or(JwtError::Unavailable)?;
        let hash = keyward_crypto::sha256(token.as_bytes());
        if let Some(known) = self.verified.get(&hash).await
            && known.generation == set.generation
        {
            if known.credential.has_ended(clock::unix_ms()) {
                return Err(JwtError::Expired);
            }
            return Ok(Arc::clone(&known.credential));
        }
        let header = decode_header(token).map_err(|_| {
            JwtError::Refused("the bearer token is neither a Keyward token (kw_…) nor a signed JWT")
        })?;
        let set = self.set_for(set, &header).await?;
        let claims = self.checked(&set, &header, token)?;
        let credential = Arc::new(claims::credential(&self.config, &claims, &hash)?);
        let (known, generation) = (Arc::clone(&credential), set.generation);
        self.verified.insert(hash, Arc::new(Verified { credential: known, generation })).await;
        Ok(credential)
    }

    /// The set of keys that has the one the token names, if any does: the provider may have
    /// changed its keys a moment ago.
    async fn set_for(&self, set: Arc<KeySet>, header: &Header) -> Result<Arc<KeySet>, JwtError> {
        if !self.config.algorithms.contains(&header.alg) {
            return Err(JwtError::Refused("the JWT's algorithm is not one of `jwt.algorithms`"));
        }
        if header.crit.is_some() {
            return Err(JwtError::Refused("the JWT has critical extensions, and none is known"));
        }
        if set.candidates(header).next().is_some() {
            return Ok(set);
        }
        self.keys.look_again().await;
        self.keys.current().ok_or(JwtError::Unavailable)
    }

    fn checked(
        &self,
        set: &KeySet,
        header: &Header,
        token: &str,
    ) -> Result<Map<String, Value>, JwtError> {
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.config.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        for key in set.candidates(header).take(MAX_TRIED) {
            match decode::<Map<String, Value>>(token, key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => match refused(error.kind()) {
                    // Another one may have made it.
                    None => {}
                    Some(error) => return Err(error),
                },
            }
        }
        Err(JwtError::Refused(
            "the JWT is not signed by a key that the identity provider publishes",
        ))
    }
}

/// What is wrong with a token whose signature is right; `None`: the signature is not.
fn refused(kind: &ErrorKind) -> Option<JwtError> {
    Some(match kind {
        ErrorKind::ExpiredSignature => JwtError::Expired,
        ErrorKind::ImmatureSignature => JwtError::Refused("the JWT is not valid yet"),
        ErrorKind::InvalidIssuer => JwtError::Refused("the JWT is of another issuer"),
        ErrorKind::InvalidAudience => JwtError::Refused("the JWT is for another audience"),
        ErrorKind::MissingRequiredClaim(_) => {
            JwtError::Refused("the JWT lacks `exp`, `iss` or `aud`")
        }
        ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            JwtError::Refused("the JWT's claims cannot be read")
        }
        _ => return None,
    })
}
