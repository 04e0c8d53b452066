//! The table to edit: which role may do what.

/// What the holder of a role may do with the tenant's data.
pub struct Role {
    /// As the credential carries it.
    pub name: &'static str,
    /// May encrypt.
    pub encrypt: bool,
    /// May decrypt.
    pub decrypt: bool,
}

/// A caller may do what any of its roles may. Roles that are not here may do nothing;
/// `tenant-admin` is here to say that managing keys does not include reading data.
pub const ROLES: &[Role] = &[
    Role { name: "application", encrypt: true, decrypt: true },
    Role { name: "writer", encrypt: true, decrypt: false },
    Role { name: "reader", encrypt: false, decrypt: true },
    Role { name: "tenant-admin", encrypt: false, decrypt: false },
];
