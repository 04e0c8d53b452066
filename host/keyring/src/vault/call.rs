//! A call of a store to Vault: everything between what is asked and the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use vaultrs::error::ClientError;

use super::connection::Connection;
use super::shared::{Shared, Verdict};
use super::{Operation, Vault, VaultError};

/// What a call is. Every call may be carried out twice: it changes nothing the second time (reads,
/// destruction), or is guarded by compare-and-set. A guarded write whose first answer was lost finds
/// its own revision: see `retried` in [`VaultError::CasMismatch`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// How it is counted, and which capability is named when it is denied.
    pub operation: Operation,
    /// The path below `/v1/`, for errors: `secret/data/e2ee/tenants/demo`.
    pub path: &'a str,
}

impl Vault {
    /// Makes a call. `send` makes the request with the connection it is given; it is called once
    /// for every try, with the token in use then:
    ///
    /// ```text
    /// let call = Call { operation: Operation::KvRead, path: &path };
    /// let request = Raw::<Secret>::get(&path);
    /// vault
    ///     .call(call, |connection| {
    ///         let request = request.clone();
    ///         async move { vaultrs::api::exec_with_result(&**connection, request).await }
    ///     })
    ///     .await
    /// ```
    ///
    /// The whole takes at most the configured timeout: the wait for the first login, for a permit,
    /// and all tries. What fails for a passing reason is tried again with a growing, random pause.
    /// After a denial the token is looked into: a dead one is replaced, and the call made once
    /// more. The caller may drop the future at any time.
    pub(crate) async fn call<T, F, Fut>(&self, call: Call<'_>, send: F) -> Result<T, VaultError>
    where
        F: Fn(Arc<Connection>) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let shared = &self.0.shared;
        let started = Instant::now();
        let result = shared.guarded(call, started + shared.config.timeout, send).await;
        shared.count(call.operation, started, &result);
        if let Err(error) = &result
            && error.is_unavailable()
        {
            shared.suspect();
        }
        result
    }
}

impl Shared {
    async fn guarded<T, F, Fut>(
        &self,
        call: Call<'_>,
        deadline: Instant,
        send: F,
    ) -> Result<T, VaultError>
    where
        F: Fn(Arc<Connection>) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let pass = self.breaker.admit()?;
        let result = self.tries(call, deadline, send).await;
        pass.end(result.as_ref().err());
        result
    }

    async fn tries<T, F, Fut>(
        &self,
        call: Call<'_>,
        deadline: Instant,
        send: F,
    ) -> Result<T, VaultError>
    where
        F: Fn(Arc<Connection>) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut retries = 0;
        let mut refreshed = false;
        let mut maybe_executed = false;
        loop {
            let session = self.session(deadline).await?;
            let permit = timeout_at(deadline, self.permits.acquire())
                .await
                .map_err(|_| VaultError::Busy { limit: self.config.max_concurrent })?
                .map_err(|_| VaultError::ShutDown)?;
            let request = send(Arc::clone(&session.connection));
            let result = self.attempt(call.operation, call.path, deadline, request).await;
            drop(permit);
            let failure = match result {
                Ok(answer) => {
                    session.served.store(true, Relaxed);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            match failure.error {
                VaultError::PermissionDenied { .. } if !refreshed => {
                    refreshed = true;
                    match self.refresh(session.epoch, deadline).await {
                        Verdict::Replaced => continue,
                        Verdict::Valid => return Err(failure.error),
                        Verdict::Failed(error) => return Err(error),
                    }
                }
                VaultError::CasMismatch { path, .. } => {
                    return Err(VaultError::CasMismatch { path, retried: maybe_executed });
                }
                _ => {}
            }
            maybe_executed |= failure.maybe_executed;
            let pause = pause(retries);
            let again = is_passing(&failure.error)
                && retries < self.config.max_retries
                && Instant::now() + pause < deadline;
            if !again {
                return Err(failure.error);
            }
            retries += 1;
            self.counters.retries.fetch_add(1, Relaxed);
            sleep(pause).await;
        }
    }
}

/// Whether the same call may succeed in a moment. A sealed Vault stays so for longer, and a call
/// that timed out has no time left.
fn is_passing(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Unreachable { .. }
            | VaultError::ServerError { .. }
            | VaultError::RateLimited
            | VaultError::Standby { .. }
    )
}

/// The pause before the next try: between half and all of 50 ms, 100 ms, 200 ms … 1 s.
fn pause(retries: u32) -> Duration {
    let longest = Duration::from_millis(50 << retries.min(5)).min(Duration::from_secs(1));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn those_who_failed_together_do_not_try_again_together() {
        for (retries, longest) in [(0, 50), (3, 400), (5, 1_000), (u32::MAX, 1_000)] {
            let longest = Duration::from_millis(longest);
            let pauses: BTreeSet<Duration> = (0..200).map(|_| pause(retries)).collect();
            let (shortest, last) = (*pauses.first().unwrap(), *pauses.last().unwrap());
            assert!(shortest >= longest / 2 && last <= longest, "{shortest:?} to {last:?}");
            assert!(last > shortest + longest / 4 && pauses.len() > 100, "{} pauses", pauses.len());
        }
    }
}
