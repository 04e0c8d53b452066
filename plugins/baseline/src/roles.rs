//! The table to edit: which role may do what.

/// What the holder of a role may do with the tenant's data.
pub struct Role {
    /// As the credential carries it.
    pub name: &'static str,
    /// Operations, as the contract names them.
    pub may: &'static [&'static str],
}

/// A caller may do what any of its roles may. Roles that are not here may do nothing;
/// `tenant-admin` is here to say that managing keys does not include using them.
pub const ROLES: &[Role] = &[
    Role {
        name: "application",
        may: &[
            "encrypt",
            "decrypt",
            "rewrap",
            "datakey",
            "mac",
            "verify-mac",
            "sign",
            "verify",
            "derive",
            "random",
            "hash",
        ],
    },
    Role {
        name: "writer",
        may: &["encrypt", "datakey", "mac", "verify-mac", "sign", "verify", "random", "hash"],
    },
    Role { name: "reader", may: &["decrypt", "verify-mac", "verify", "hash"] },
    Role { name: "tenant-admin", may: &[] },
];
