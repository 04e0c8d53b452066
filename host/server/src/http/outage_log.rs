//! What failures that come in numbers leave in the log. In an outage of Vault's every request fails
//! alike, and the monitor has said why; under too much load a line for each refusal would be work that
//! whoever sends too much can have done at will. Each request then adds nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use keyward_keyring::store::StoreError;

use crate::clock;
use crate::errors::Code;

/// How long a code is not said again, in ms.
const SILENCE: u64 = 10_000;

/// Whether Vault's state explains the code, so that the monitor, the login or the start says it.
fn is_said_elsewhere(code: Code) -> bool {
    matches!(
        code,
        Code::NotReady
            | Code::VaultUnreachable
            | Code::VaultSealed
            | Code::VaultUninitialized
            | Code::VaultStandby
            | Code::VaultNotLoggedIn
            | Code::VaultLoginFailed
            | Code::VaultTokenInvalid
    )
}

/// Whether a request that failed so is to be said as a warning: of refusals that come in numbers that is
/// the first in ten seconds.
pub fn is_worth_a_warning(code: Code) -> bool {
    let comes_in_numbers = matches!(
        code,
        Code::Overloaded
            | Code::PolicyBusy
            | Code::VaultBusy
            | Code::AuditUnavailable
            | Code::RequestTimeout
    );
    !is_said_elsewhere(code) && (!comes_in_numbers || is_news(code, clock::unix_ms()))
}

/// Logs a failure of Vault's, which names path and capability where those matter: as a warning
/// the first time in ten seconds.
pub fn failed(code: Code, reason: &StoreError) {
    let text = code.as_str();
    if !is_said_elsewhere(code) && is_news(code, clock::unix_ms()) {
        tracing::warn!(code = text, %reason, "Vault failed");
    } else {
        tracing::debug!(code = text, %reason, "Vault failed");
    }
}

fn is_news(code: Code, now: u64) -> bool {
    static SAID: [AtomicU64; Code::ALL.len()] = [const { AtomicU64::new(0) }; Code::ALL.len()];
    let said = &SAID[code as usize];
    let before = said.load(Ordering::Relaxed);
    now >= before.saturating_add(SILENCE)
        && said.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_said_once_in_a_while() {
        let times = [20_000, 20_001, 29_999, 30_000, 30_001];
        let said = times.map(|now| is_news(Code::TenantExists, now));
        assert_eq!(said, [true, false, false, true, false]);
        assert!(is_news(Code::KeyExists, 20_001), "each code for itself");
    }
}
