//! Misdeeds on what the tenant's policy remembers, on tokens and on recipients.

use core::time::Duration;

use keyward_policy::{Key, Request, recipients, state, tokens};

use crate::misdeeds::FOREIGN;

/// Asks without end.
pub fn calls() -> String {
    for _ in 0..1_000_000 {
        let _ = state::get("x");
    }
    "a million calls of state".to_owned()
}

/// Writes as much as one request may.
pub fn fill(request: &Request) -> Result<String, String> {
    let value = vec![7; 4 << 10];
    for nth in 0..16 {
        state::put(&format!("{} {nth}", request.id), &value, None)
            .map_err(|error| format!("{nth} entries, then {error:?}"))?;
    }
    Ok("filled".to_owned())
}

/// Looks for what another tenant's policy remembers: its entry `secret`.
pub fn foreign() -> Result<String, String> {
    let found = |name: &str| matches!(state::get(name), Ok(Some(_)));
    let names: Vec<&str> = FOREIGN.iter().copied().filter(|name| found(name)).collect();
    if names.is_empty() { Err("found nothing".to_owned()) } else { Ok(format!("found {names:?}")) }
}

/// Names and values that are too long, and lives too short.
pub fn unfit() -> Result<String, String> {
    let (long, large) = ("n".repeat(257), vec![0; (4 << 10) + 1]);
    let kept = [
        state::put("", b"x", None).is_ok(),
        state::put(&long, b"x", None).is_ok(),
        state::put("large", &large, None).is_ok(),
        state::put("brief", b"x", Some(Duration::ZERO)).is_ok(),
        state::add("", 1, None).is_ok(),
        state::get(&long).is_ok(),
        state::remove("", None).is_ok(),
        state::put("text", b"x", None).is_ok() && state::add("text", 1, None).is_ok(),
    ];
    if kept.contains(&true) { Ok(format!("{kept:?}")) } else { Err("refused".to_owned()) }
}

/// Not a misdeed: counts how often it was asked.
pub fn count() -> Result<String, String> {
    state::add("visits", 1, None).map(|visits| visits.to_string()).map_err(|e| format!("{e:?}"))
}

/// Not a misdeed: leaves an entry called `secret`.
pub fn remember() -> Result<String, String> {
    state::put("secret", b"ours", None).map(|_| "kept".to_owned()).map_err(|e| format!("{e:?}"))
}

/// Tokens by keys that make none, of texts that have none, and of alphabets that are none.
pub fn tokens(request: &Request) -> Result<String, String> {
    let key = Key::open(request.key.as_deref().unwrap_or("demo")).map_err(|e| format!("{e:?}"))?;
    let digits = tokens::DIGITS;
    let huge = "0".repeat(2_000_000);
    let every: String = (0_u32..70_000).filter_map(char::from_u32).collect();
    let made = [
        key.tokenize(digits, b"", "1234567890").is_ok(),
        key.tokenize(digits, b"", "12345").is_ok(),
        key.tokenize(digits, b"", "12345678\u{661}0").is_ok(),
        key.tokenize("", b"", "1234567890").is_ok(),
        key.tokenize("00", b"", "0000000000").is_ok(),
        key.tokenize(&every, b"", "1234567890").is_ok(),
        key.reveal(digits, b"", &huge).is_ok(),
        tokens::random("", 10).is_ok(),
        tokens::random(digits, 0).is_ok(),
        tokens::random(digits, u32::MAX).is_ok(),
        recipients::seal(b"", b"", b"", b"x").is_ok(),
        recipients::seal(&vec![0x30; 1 << 20], b"", b"", b"x").is_ok(),
    ];
    if made.contains(&true) { Ok(format!("{made:?}")) } else { Err("refused".to_owned()) }
}
