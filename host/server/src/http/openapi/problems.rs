//! Which errors go together: what a part of a request can fail with.

#![allow(clippy::enum_glob_use, reason = "the lists are of nothing but its variants")]

use crate::errors::Code::{self, *};

/// Whatever is asked.
pub const ALWAYS: &[Code] = &[Internal, RequestTimeout, AuditUnavailable];

/// Where the path has parameters.
pub const PATH: &[Code] = &[InvalidRequest];

/// Where the store is asked.
pub const STORE: &[Code] = &[
    StoreUnavailable,
    VaultUnreachable,
    VaultTimeout,
    VaultSealed,
    VaultUninitialized,
    VaultStandby,
    VaultPermissionDenied,
    VaultRateLimited,
    VaultServerError,
    VaultBusy,
    VaultTokenInvalid,
    VaultNotLoggedIn,
    VaultLoginFailed,
    VaultMountMissing,
    VaultMountNotKv2,
    VaultMalformedResponse,
    VaultMalformed,
    VaultRejected,
];

/// Where a credential is needed.
pub const CREDENTIAL: &[Code] = &[
    Unauthenticated,
    TokenExpired,
    IdentityUnavailable,
    Forbidden,
    OutOfScope,
    RateLimited,
    TenantBusy,
    Overloaded,
];

/// Where operators name a tenant.
pub const TENANT: &[Code] = &[TenantNotFound, InvalidName];

/// Where the body is raw bytes.
pub const BODY: &[Code] = &[PayloadTooLarge, BodyTimeout, BodyIncomplete];

/// Where the body is JSON, beside [`BODY`].
pub const JSON: &[Code] = &[InvalidJson, InvalidField, UnsupportedMediaType];

/// Where the tenant's policy decides.
pub const POLICY: &[Code] = &[
    PolicyMissing,
    PolicyUnusable,
    PolicyStoreUnavailable,
    PolicyRefused,
    PolicyInvalid,
    PolicyNotFound,
    PolicyConflict,
    PolicyUnavailable,
    PolicyMaxBytes,
    OperationNotFound,
    PolicyTrap,
    PolicyCpuLimit,
    PolicyTimeout,
    PolicyMemoryLimit,
    PolicyTableLimit,
    PolicyHandleLimit,
    PolicyHostCallLimit,
    PolicyHostCallBytesLimit,
    PolicyRandomLimit,
    PolicyStateLimit,
    PolicyBadPlan,
    ObligationUnknown,
    PolicyBusy,
    PolicyCpuQuota,
    PolicyInstancesQuota,
    KeyNotGranted,
];

/// Where data is given in items.
pub const ITEMS: &[Code] = &[NoItems, TooManyItems, InvalidBase64];

/// Where a key works on data.
pub const KEY_USE: &[Code] = &[
    InvalidName,
    KeyNotFound,
    KeyVersionNotFound,
    KeyVersionDestroyed,
    KeyVersionBelowMinDecrypt,
    KeyVersionBelowMinEncrypt,
    KeyDisabled,
    KeyDeleted,
    KeyDestroyed,
    KeyRequired,
    KeyUnsuitable,
];

/// Where a key is seen.
pub const KEY: &[Code] = &[InvalidName, KeyNotFound];

/// Where a key is changed, beside [`KEY`].
pub const KEY_CHANGE: &[Code] = &[KeyDeleted, KeyDestroyed, Conflict, InvalidField];

/// Where a key is created.
pub const KEY_NEW: &[Code] =
    &[InvalidName, KeyExists, KeyDeleted, KeyDestroyed, Conflict, InvalidField];

/// Where a component is uploaded.
pub const COMPONENT: &[Code] = &[
    UnsupportedMediaType,
    Conflict,
    ComponentTooLarge,
    ComponentInvalid,
    ComponentForbiddenImports,
    ComponentNewerContract,
    ComponentAboveCeiling,
    ComponentMissingExports,
    ComponentWrongTypes,
    ComponentNeedsTooMuch,
    ComponentCompileFailed,
    ComponentCompileTimeout,
    ComponentBadDescription,
    PolicyBusy,
    PolicyStoreUnavailable,
];

/// Where a component is pushed, beside [`COMPONENT`].
pub const PUSH: &[Code] = &[PoliciesTooMany, PolicyUntrusted, PolicySignatureInvalid];

/// Where a component is pulled, beside [`PUSH`].
pub const PULL: &[Code] =
    &[RegistryNotAllowed, RegistryUnavailable, RegistryRefused, ArtefactNotFound, ArtefactInvalid];

/// Where a backup is restored.
pub const RESTORE: &[Code] = &[
    InvalidRequest,
    BackupOriginInvalid,
    BackupForeign,
    BackupWrongIdentity,
    BackupNewerFormat,
    BackupDamaged,
    BackupTruncated,
    BackupWrongOrigin,
    RestoreConflicts,
    RestoreClash,
    RestoreStoreChanged,
];
