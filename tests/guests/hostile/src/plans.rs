//! Plans no host may execute.

use keyward_policy::{Obligation, Plan};

/// A bad plan by its name.
pub fn by_name(name: &str) -> Option<Plan> {
    let oblige = |name: &str, value: &str| Plan {
        obligations: vec![Obligation {
            name: name.to_owned(),
            value: value.to_owned(),
        }],
        ..Plan::allow()
    };
    Some(match name {
        "plan-unknown-key" => Plan::allow().with_key("no-such-key"),
        "plan-foreign-key" => Plan::allow().with_key("../other/keys/secret"),
        "plan-empty-key" => Plan::allow().with_key(""),
        "plan-long-key" => Plan::allow().with_key("k".repeat(100_000)),
        "plan-version" => Plan::allow().with_version(u32::MAX),
        "plan-version-zero" => Plan::allow().with_version(0),
        "plan-data" => Plan::allow().bind(vec![0x61; 4 << 10]),
        "plan-unknown-obligation" => oblige("shred-afterwards", "yes"),
        "plan-unreadable-obligation" => oblige("max-bytes", "-1"),
        "plan-long-note" => oblige("note", &"n".repeat(257)),
        "plan-many-obligations" => Plan {
            obligations: vec![
                Obligation {
                    name: "note".to_owned(),
                    value: String::new()
                };
                100_000
            ],
            ..Plan::allow()
        },
        _ => return None,
    })
}
