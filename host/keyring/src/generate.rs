//! Fresh key material, without holding up who else is served.

use keyward_crypto::{Algorithm, CryptoError, KeyMaterial};
use tokio::sync::Semaphore;

/// Searches for primes at once. More would only share the processors with everybody else.
static SEARCHES: Semaphore = Semaphore::const_new(1);

/// Fresh material for a key of `algorithm`; see [`KeyMaterial::generate`]. The search for RSA's
/// primes, which takes up to seconds, is done on a thread of its own, one at a time.
pub async fn generate(algorithm: Algorithm) -> Result<KeyMaterial, CryptoError> {
    if !algorithm.is_rsa() {
        return KeyMaterial::generate(algorithm);
    }
    // The semaphore is never closed.
    let _turn = SEARCHES.acquire().await;
    let search = tokio::task::spawn_blocking(move || KeyMaterial::generate(algorithm));
    // It panics never, and is cancelled only when the runtime stops.
    search.await.unwrap_or(Err(CryptoError::Provider))
}
