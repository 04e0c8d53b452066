//! Plans no host may execute.

use keyward_policy::{Obligation, Plan};

/// Authenticated data as the host binds it for an operator's baseline, for two bytes of it.
pub const AS_BASELINE: &[u8] = b"keyward baseline v1\0\0\0\0\x02eu";

/// A bad plan by its name.
pub fn by_name(name: &str) -> Option<Plan> {
    let oblige = |name: &str, value: &str| Plan {
        obligations: vec![Obligation { name: name.to_owned(), value: value.to_owned() }],
        ..Plan::allow()
    };
    Some(match name {
        "garbage-key" => Plan::allow().with_key("no-such-key"),
        "garbage-foreign-key" => Plan::allow().with_key("../other/keys/secret"),
        "garbage-empty-key" => Plan::allow().with_key(""),
        "garbage-long-key" => Plan::allow().with_key("k".repeat(100_000)),
        "garbage-version" => Plan::allow().with_version(u32::MAX),
        "garbage-version-zero" => Plan::allow().with_version(0),
        "garbage-aad" => Plan::allow().bind(vec![0x61; 4 << 10]),
        "garbage-baseline" => Plan { authenticated_data: AS_BASELINE.to_vec(), ..Plan::allow() },
        "garbage-obligation" => oblige("shred-afterwards", "yes"),
        "garbage-obligation-value" => oblige("max-bytes", "-1"),
        "garbage-note" => oblige("note", &"n".repeat(257)),
        "garbage-obligations" => Plan {
            obligations: vec![
                Obligation { name: "note".to_owned(), value: String::new() };
                100_000
            ],
            ..Plan::allow()
        },
        _ => return None,
    })
}
