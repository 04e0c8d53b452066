//! Every error code of the HTTP API, in one table.
//!
//! A code is a promise: clients branch on it, so it never changes its meaning. docs/errors.md is
//! generated from this table ([`markdown`]) and a test compares the two.

use std::fmt::Write;

use axum::http::StatusCode;
use keyward_keyring::backup::BackupError;
use keyward_keyring::store::StoreError;
use keyward_keyring::vault::VaultError;
use keyward_policy_host::{AdmissionError, HostError, Limit, ObligationError, PolicyError};

use crate::oci::OciError;

macro_rules! codes {
    ($($variant:ident $code:literal $status:ident $title:literal $about:literal)*) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $about] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it stands in a response.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status it comes with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// A short title, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

codes! {
    // The request
    InvalidJson "invalid_json" BAD_REQUEST "Body is not JSON"
        "The body is not well-formed JSON. `detail` gives line and column."
    InvalidField "invalid_field" BAD_REQUEST "Invalid field"
        "A field is missing, unknown, of the wrong type or out of range. `field` is its JSON Pointer."
    InvalidBase64 "invalid_base64" BAD_REQUEST "Not standard base64"
        "A field is not standard base64 (RFC 4648 section 4, with padding). `field` is its JSON Pointer."
    InvalidName "invalid_name" BAD_REQUEST "Invalid name"
        "A tenant's, key's or operation's name has characters or a length that are not allowed."
    InvalidRequest "invalid_request" BAD_REQUEST "Invalid request"
        "A path, query or header cannot be right. `detail` says which."
    NoItems "no_items" BAD_REQUEST "Empty batch"
        "`items` is empty. A batch has at least one item."
    TooManyItems "too_many_items" PAYLOAD_TOO_LARGE "Too many items"
        "`items` is longer than `http.max_items`. Split the batch."
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE "Payload too large"
        "The body is larger than the limit that `detail` states."
    RangeNotSatisfiable "range_not_satisfiable" RANGE_NOT_SATISFIABLE "Range outside the plaintext"
        "The Range header asks for bytes that the plaintext does not have. `detail` states its length."
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "Unsupported media type"
        "The Content-Type is not the one this route takes. `detail` names it."
    BodyTimeout "body_timeout" REQUEST_TIMEOUT "Body did not arrive"
        "The body did not arrive within `http.body_timeout`."
    BodyIncomplete "body_incomplete" BAD_REQUEST "Body ended early"
        "The connection failed while the body was read."
    RouteNotFound "route_not_found" NOT_FOUND "No such route"
        "No route has this path."
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "Method not allowed"
        "The route exists, but not for this method. The Allow header lists those it has."

    // The credential
    Unauthenticated "unauthenticated" UNAUTHORIZED "Not authenticated"
        "The Authorization header is missing, or its bearer token is malformed or unknown."
    TokenExpired "token_expired" UNAUTHORIZED "Token expired"
        "The token was good and its time is over. Get another one: a manager makes or rotates tokens, an identity provider issues them."
    IdentityUnavailable "identity_unavailable" SERVICE_UNAVAILABLE "Identity provider unavailable"
        "The keys of the identity provider are not there, so its JWTs cannot be verified; Keyward's own tokens work. Retry after the time given."
    Forbidden "forbidden" FORBIDDEN "Forbidden"
        "The token is valid but not for this: another tenant, or a role it does not carry. Operators never encrypt or decrypt."

    OutOfScope "out_of_scope" FORBIDDEN "Out of the token's scope"
        "The credential is limited to some operations, keys or tenants, and what is asked for is none of them. `detail` names which is missing."
    TokenNotFound "token_not_found" NOT_FOUND "No such token"
        "There is no token of that identifier here: it was never made, is somebody else's, or was revoked."
    TokenEnded "token_ended" CONFLICT "Token has ended"
        "A token whose time is over cannot be rotated. Make a new one."

    // Rates and load
    RateLimited "rate_limited" TOO_MANY_REQUESTS "Too many requests"
        "The token, the tenant, or the tenant's requests of this kind come faster than they may; `detail` says which, and the RateLimit headers how much is left. Retry after the time given."
    TenantBusy "tenant_busy" TOO_MANY_REQUESTS "Tenant has too much under way"
        "The tenant has as many requests under way as its quota allows. Retry after the time given."
    PolicyCpuQuota "policy_cpu_quota" TOO_MANY_REQUESTS "Policy's CPU time used up"
        "The tenant's policies used the CPU time that its quota gives them for a second. Retry after the time given."
    PolicyInstancesQuota "policy_instances_quota" TOO_MANY_REQUESTS "Policy instances used up"
        "As many of the tenant's policies run as its quota allows at once. Retry after the time given."
    Overloaded "overloaded" SERVICE_UNAVAILABLE "Overloaded"
        "The server has as much under way as it takes on, or the tenant its share of it. Nothing was done. Retry after the time given."

    // Tenants, keys, ciphertexts
    TenantNotFound "tenant_not_found" NOT_FOUND "No such tenant"
        "Only operators are told so; to others a foreign tenant is `forbidden`, whether it exists or not."
    TenantExists "tenant_exists" CONFLICT "Tenant exists"
        "A tenant of that name exists already."
    KeyNotFound "key_not_found" NOT_FOUND "No such key"
        "The tenant has no key of that name."
    KeyExists "key_exists" CONFLICT "Key exists"
        "The tenant has a key of that name already. Rotate it, or choose another name."
    KeyVersionNotFound "key_version_not_found" NOT_FOUND "No such key version"
        "The key has no such version."
    KeyVersionDestroyed "key_version_destroyed" CONFLICT "Key version destroyed"
        "The version was destroyed: what was encrypted with it cannot be opened any more."
    KeyVersionIsCurrent "key_version_is_current" CONFLICT "Key version is current"
        "The current version cannot be destroyed. Rotate the key or roll it back first."
    KeyVersionBelowMinDecrypt "key_version_below_min_decrypt" CONFLICT "Key version too old to decrypt"
        "The version is below the key's `min_decrypt_version`: it does not decrypt, unwrap or verify until that is lowered."
    KeyVersionBelowMinEncrypt "key_version_below_min_encrypt" CONFLICT "Key version too old to encrypt"
        "The version is below the key's `min_encrypt_version`: it does not encrypt, sign or make MACs, and the key cannot be rolled back to it."
    KeyVersionInUse "key_version_in_use" CONFLICT "Key version in use"
        "A version that was to be destroyed is still in use. Nothing was destroyed."
    KeyTrimTooHigh "key_trim_too_high" CONFLICT "Versions to trim still decrypt"
        "Only versions below `min_decrypt_version` can be trimmed. Raise that first."
    KeyNotExportable "key_not_exportable" CONFLICT "Key not exportable"
        "The key's material is not given out. That is chosen when a key is created (`exportable`); it can be forbidden later and never allowed."
    KeyNotImported "key_not_imported" CONFLICT "Key was not imported"
        "Versions are imported only into keys that were imported themselves. Rotate the key, or import one of another name."
    WrappedKeyInvalid "wrapped_key_invalid" BAD_REQUEST "Wrapped key does not unwrap"
        "The wrapped key does not unwrap here. Damaged, wrapped to another key or version, or bound to another tenant, name or algorithm: the answer is the same for all."
    KeyDisabled "key_disabled" FORBIDDEN "Key disabled"
        "The key is disabled: it neither encrypts nor decrypts until it is enabled again."
    KeyDeleted "key_deleted" CONFLICT "Key deleted"
        "The key is deleted: nothing can be done with it until it is restored, and its name is taken until it is purged."
    KeyNotDeleted "key_not_deleted" CONFLICT "Key not deleted"
        "Only a deleted key can be restored, and this one is not."
    KeyRestoreWindowOver "key_restore_window_over" CONFLICT "Restore window over"
        "The deleted key can no longer be restored: the time there was for that has passed."
    KeyDestroyed "key_destroyed" CONFLICT "Key destroyed"
        "The key's destruction has begun and cannot be undone. Destroy it again to finish it."
    KeyRequired "key_required" BAD_REQUEST "No key named"
        "Neither the request nor the policy's plan names a key. Add `key`."
    KeyUnsuitable "key_unsuitable" BAD_REQUEST "Key cannot do this"
        "The key's algorithm does not do what is asked. `detail` names it."
    CiphertextInvalid "ciphertext_invalid" BAD_REQUEST "Ciphertext does not open"
        "The ciphertext does not open here. Damaged, of another tenant, key or context: the answer is the same for all."
    Conflict "conflict" CONFLICT "Conflict"
        "Somebody else changed the same thing at the same time. Read it again and retry."

    // The policy's answer
    KeyNotGranted "key_not_granted" FORBIDDEN "Key not granted"
        "The tenant's policies may not use the key: it is none of those that its quotas name."
    PolicyMissing "policy_missing" FORBIDDEN "No active policy"
        "The tenant has no active policy, so nothing is allowed. Activate one with PUT …/policy."
    PolicyNotSet "policy_not_set" NOT_FOUND "No policy"
        "The tenant has no policy to show."
    PolicyUnusable "policy_unusable" SERVICE_UNAVAILABLE "Policy did not load"
        "The tenant's active policy could not be loaded, or is above the tenant's ceiling; `detail` says which. Nothing is allowed until another one is activated, or the ceiling is raised."
    PolicyRefused "policy_refused" FORBIDDEN "Refused by policy"
        "The tenant's policy does not allow it. `detail` is the policy's reason."
    PolicyInvalid "policy_invalid" BAD_REQUEST "Invalid by policy"
        "The tenant's policy finds the request invalid. `detail` is its reason."
    PolicyNotFound "policy_not_found" NOT_FOUND "Not found by policy"
        "The tenant's policy did not find what it needs. `detail` is its reason."
    PolicyConflict "policy_conflict" CONFLICT "Conflict by policy"
        "The tenant's policy reports a conflict. `detail` is its reason."
    PolicyUnavailable "policy_unavailable" SERVICE_UNAVAILABLE "Unavailable by policy"
        "The tenant's policy, or the host on its behalf, cannot do it now. Retry after the time given."
    PolicyMaxBytes "policy_max_bytes" PAYLOAD_TOO_LARGE "Too large by policy"
        "The plaintext or ciphertext is longer than the policy's `max-bytes` obligation allows."
    OperationNotFound "operation_not_found" NOT_FOUND "No such operation"
        "The tenant's policy offers no operation of that name. GET …/policy lists what it offers."

    // The policies a tenant keeps
    PolicyNotKept "policy_not_kept" NOT_FOUND "Policy not kept"
        "The tenant keeps no component of that digest. Push it, or see GET …/policies."
    PolicyRecordingOff "policy_recording_off" FORBIDDEN "Recording is off"
        "This server records no runs of policies. An operator turns it on: `policy.record`."
    PolicyRecordingTooLarge "policy_recording_too_large" UNPROCESSABLE_ENTITY "Recording too large"
        "More crossed the policy's boundary than is kept of one run, 8 MiB. Ask with a smaller payload."
    PolicyInUse "policy_in_use" CONFLICT "Policy in use"
        "The component is active, or what a roll-back leads to, and cannot be deleted."
    PolicyActiveDiffers "policy_active_differs" CONFLICT "Another policy is active"
        "The active policy is not the one that `if_active` names. `detail` names it. Nothing was changed."
    PolicyNoPrevious "policy_no_previous" CONFLICT "No policy to go back to"
        "No other policy was active before this one."
    PoliciesTooMany "policies_too_many" CONFLICT "Too many policies kept"
        "The tenant keeps `policy.max_kept` components. `detail` names some that can be deleted."
    PolicyUntrusted "policy_untrusted" FORBIDDEN "Policy not trusted"
        "The component is not signed as the tenant's policies must be. `detail` says by whom it has to be."
    PolicyStoreUnavailable "policy_store_unavailable" SERVICE_UNAVAILABLE "Policies' components unavailable"
        "The bucket that components are kept in does not answer, or refuses this server; its log has the reason. What is active goes on; what was never on this server cannot be had. Retry after the time given."
    RegistryNotAllowed "registry_not_allowed" FORBIDDEN "Registry not allowed"
        "The server does not pull from that registry, or not from that repository for this tenant. An operator lists what it pulls from in `policy.registry.allow`."
    RegistryUnavailable "registry_unavailable" SERVICE_UNAVAILABLE "Registry unavailable"
        "The registry does not answer. Nothing was changed. Retry after the time given."
    RegistryRefused "registry_refused" BAD_GATEWAY "Registry refuses"
        "The registry does not let this server pull the artefact, or answers what no registry answers. An operator sees to `policy.registry.auth_file`."
    ArtefactNotFound "artefact_not_found" NOT_FOUND "No such artefact"
        "The registry has no artefact of that name and tag or digest."
    ArtefactInvalid "artefact_invalid" UNPROCESSABLE_ENTITY "Not a policy's artefact"
        "The artefact is not one WebAssembly component, or what the registry gave is not what its digest says. `detail` says which."
    PolicySignatureInvalid "policy_signature_invalid" BAD_REQUEST "Signature not valid"
        "A `Keyward-Policy-Signature` header is not of the right form, or its signature is not of this component for this tenant."

    // A broken policy
    PolicyTrap "policy_trap" BAD_GATEWAY "Policy crashed"
        "The policy crashed on this request. Other requests are unaffected."
    PolicyCpuLimit "policy_cpu_limit" BAD_GATEWAY "Policy exceeded CPU time"
        "The policy used more CPU time than `policy.cpu`."
    PolicyTimeout "policy_timeout" BAD_GATEWAY "Policy took too long"
        "The policy ran longer than `policy.wall`, waits included."
    PolicyMemoryLimit "policy_memory_limit" BAD_GATEWAY "Policy exceeded memory"
        "The policy wanted more memory than `policy.memory`, or `policy.image.memory` where that holds."
    PolicyTableLimit "policy_table_limit" BAD_GATEWAY "Policy exceeded table size"
        "The policy wanted larger tables than it may have."
    PolicyHandleLimit "policy_handle_limit" BAD_GATEWAY "Policy opened too many keys"
        "The policy held more key handles at once than it may."
    PolicyHostCallLimit "policy_host_call_limit" BAD_GATEWAY "Policy made too many calls"
        "The policy called the host more often than `policy.host_calls`."
    PolicyStateLimit "policy_state_limit" BAD_GATEWAY "Policy made too many calls of state"
        "The policy called `state` more often than `policy.state_calls`."
    PolicyHostCallBytesLimit "policy_host_call_bytes_limit" BAD_GATEWAY "Policy passed too many bytes"
        "The policy passed more bytes in one call or result than `policy.host_call_bytes`."
    PolicyRandomLimit "policy_random_limit" BAD_GATEWAY "Policy asked for too many random bytes"
        "The policy asked for more random bytes in one call than it may."
    PolicyBadPlan "policy_bad_plan" BAD_GATEWAY "Policy's plan cannot be executed"
        "The policy's plan names a key, version or suite that does not exist, or makes no sense."
    ObligationUnknown "obligation_unknown" BAD_GATEWAY "Unknown obligation"
        "The policy's plan carries an obligation this host does not know, so the host refuses."

    // An uploaded component
    ComponentTooLarge "component_too_large" PAYLOAD_TOO_LARGE "Component too large"
        "The component is larger than `policy.max_component`, or `policy.image.max_component` where that holds."
    ComponentInvalid "component_invalid" UNPROCESSABLE_ENTITY "Not a component"
        "The body is not a WebAssembly component the sandbox accepts."
    ComponentForbiddenImports "component_forbidden_imports" UNPROCESSABLE_ENTITY "Forbidden imports"
        "The component imports what Keyward does not offer. `detail` lists it."
    ComponentNewerContract "component_newer_contract" UNPROCESSABLE_ENTITY "Newer contract"
        "The component needs a version of the contract that this host does not have yet."
    ComponentAboveCeiling "component_above_ceiling" UNPROCESSABLE_ENTITY "Above the ceiling"
        "The component wants more than the tenant's ceiling allows. `detail` says what was wanted and what is allowed."
    ComponentMissingExports "component_missing_exports" UNPROCESSABLE_ENTITY "Missing exports"
        "The component does not export what a policy must."
    ComponentWrongTypes "component_wrong_types" UNPROCESSABLE_ENTITY "Wrong types"
        "The component's imports or exports differ from the contract's."
    ComponentNeedsTooMuch "component_needs_too_much" UNPROCESSABLE_ENTITY "Needs too much"
        "The component needs more memory, tables or instances than a pool slot holds."
    ComponentCompileFailed "component_compile_failed" UNPROCESSABLE_ENTITY "Does not compile"
        "The compiler refused the component."
    ComponentCompileTimeout "component_compile_timeout" UNPROCESSABLE_ENTITY "Compiles too slowly"
        "Compiling the component took too long."
    ComponentBadDescription "component_bad_description" UNPROCESSABLE_ENTITY "Unusable description"
        "The policy's `describe` failed or gave something unusable."

    // Backup and restore
    BackupRecipientInvalid "backup_recipient_invalid" BAD_REQUEST "Not a recipient"
        "A recipient of a backup is not an X25519 recipient of age (`age1…`), or there is none. `field` names it."
    BackupOriginInvalid "backup_origin_invalid" BAD_REQUEST "Not an origin"
        "The origin to restore from is not `ed25519:` and 64 hexadecimal digits, as `keyward backup` prints it."
    BackupKeyUnstable "backup_key_unstable" CONFLICT "Key keeps changing"
        "A key changed so often during the backup that no complete state of it was seen. Run the backup again."
    BackupForeign "backup_foreign" UNPROCESSABLE_ENTITY "Not a backup"
        "The body is not an age file, or what is encrypted in it is no backup of Keyward."
    BackupWrongIdentity "backup_wrong_identity" UNPROCESSABLE_ENTITY "Backup is for somebody else"
        "The backup is not encrypted to the identity that is to open it. The server opens what is encrypted to its own restore recipient, which changes with each start."
    BackupNewerFormat "backup_newer_format" UNPROCESSABLE_ENTITY "Backup has a newer format"
        "A newer version of Keyward wrote the backup. Restore it with that version."
    BackupDamaged "backup_damaged" UNPROCESSABLE_ENTITY "Backup is damaged"
        "The backup is not what was written. Use another copy of it, or an older backup. Nothing was changed."
    BackupTruncated "backup_truncated" UNPROCESSABLE_ENTITY "Backup is cut short"
        "The backup ends too early. Copy it again, or use an older backup. Nothing was changed."
    BackupWrongOrigin "backup_wrong_origin" UNPROCESSABLE_ENTITY "Backup of another store"
        "Another store than the one expected wrote the backup. Nothing was changed."
    RestoreConflicts "restore_conflicts" CONFLICT "Store differs from the backup"
        "The store holds other things under the same names. Nothing was changed; look at the dry run, then keep what exists or replace it."
    RestoreClash "restore_clash" CONFLICT "Key material would be lost"
        "Store and backup have different material for the same version of the same key. Nothing was changed; restore into an empty store, or keep what exists."
    RestoreStoreChanged "restore_store_changed" CONFLICT "Store changed meanwhile"
        "Somebody changed the same things during the restore. Run it again: it does what is left."

    // The host
    PolicyBusy "policy_busy" SERVICE_UNAVAILABLE "Policy instances busy"
        "All policy instances, or this tenant's share, are in use. Retry after the time given."
    StoreUnavailable "store_unavailable" SERVICE_UNAVAILABLE "Key store unavailable"
        "The key store did not answer. Retry after the time given."
    VaultUnreachable "vault_unreachable" SERVICE_UNAVAILABLE "Vault unreachable"
        "The Vault that keeps the keys cannot be reached. Retry after the time given."
    VaultTimeout "vault_timeout" SERVICE_UNAVAILABLE "Vault timed out"
        "The Vault that keeps the keys did not answer within `vault.timeout`. Retry after the time given."
    VaultSealed "vault_sealed" SERVICE_UNAVAILABLE "Vault sealed"
        "The Vault that keeps the keys is sealed. Its operators unseal it; retry after the time given."
    VaultUninitialized "vault_uninitialized" SERVICE_UNAVAILABLE "Vault not initialised"
        "The Vault that keeps the keys was never initialised. Its operators do that; retry after the time given."
    VaultStandby "vault_standby" SERVICE_UNAVAILABLE "Vault on standby"
        "The Vault that keeps the keys is a standby that does not forward. Retry after the time given."
    VaultPermissionDenied "vault_permission_denied" SERVICE_UNAVAILABLE "Vault denies permission"
        "Vault does not let this server do what the request needs: its policy lacks a capability. The server's log names path and capability."
    VaultRateLimited "vault_rate_limited" SERVICE_UNAVAILABLE "Vault limits the rate"
        "Vault has a quota, and it is used up. Retry after the time given."
    VaultServerError "vault_server_error" SERVICE_UNAVAILABLE "Vault failed"
        "The Vault that keeps the keys answered with an error of its own. Retry after the time given."
    VaultBusy "vault_busy" SERVICE_UNAVAILABLE "Too many calls to Vault"
        "`vault.max_concurrent` calls to Vault are under way, and none ended in time. Retry after the time given."
    VaultTokenInvalid "vault_token_invalid" SERVICE_UNAVAILABLE "Vault's token invalid"
        "Vault does not accept this server's token: it is expired or revoked. The server's operators give it another one."
    VaultNotLoggedIn "vault_not_logged_in" SERVICE_UNAVAILABLE "Not logged in to Vault"
        "This server has no valid token of Vault's at the moment and is getting one. Retry after the time given."
    VaultLoginFailed "vault_login_failed" SERVICE_UNAVAILABLE "Login to Vault failed"
        "Vault refuses this server's login. The server's log and `GET /api/v1/vault/health` say why."
    VaultMountMissing "vault_mount_missing" SERVICE_UNAVAILABLE "Vault's KV engine is missing"
        "There is no secrets engine at the mount of `vault.secret_path`. The server's log has the command that makes one."
    VaultMountNotKv2 "vault_mount_not_kv2" SERVICE_UNAVAILABLE "Vault's engine is not KV version 2"
        "The secrets engine at the mount of `vault.secret_path` is not KV version 2. The server's log has the command that makes one."
    VaultMalformedResponse "vault_malformed_response" SERVICE_UNAVAILABLE "Not an answer of Vault's"
        "What answers at `vault.addr` is not Vault, or its answer was cut off. Retry after the time given."
    VaultMalformed "vault_malformed" INTERNAL_SERVER_ERROR "Damaged record in Vault"
        "What Vault holds is not what was written. The server's log names the path; restore it from a backup."
    VaultRejected "vault_rejected" INTERNAL_SERVER_ERROR "Vault rejects the call"
        "Vault refused a call as wrong in itself. The server's log names the path and Vault's status."
    VaultNotUsed "vault_not_used" CONFLICT "No Vault"
        "The keys are in the embedded store, so there is no Vault and no token to renew."
    VaultTokenNotRenewable "vault_token_not_renewable" CONFLICT "Token not renewable"
        "The server's token of Vault's cannot be renewed; where the server can log in, it does so before the token ends."
    AuditUnavailable "audit_unavailable" SERVICE_UNAVAILABLE "Audit log cannot be written"
        "The audit log has no place for the request's entry, so the server refuses it; with `audit.strict` also if the entry did not reach the disk in time, and then what was asked may have been done. Retry after the time given."
    AuditOff "audit_off" CONFLICT "No audit log"
        "This server keeps no audit log: `audit.enabled` is off."
    NotReady "not_ready" SERVICE_UNAVAILABLE "Not ready"
        "The server cannot serve now. `detail` gives the reasons."
    RequestTimeout "request_timeout" SERVICE_UNAVAILABLE "Request took too long"
        "The server gave up on the request after `http.body_timeout` + `http.request_timeout`; with a policy in it, + `policy.compile_timeout`."
    Internal "internal" INTERNAL_SERVER_ERROR "Internal error"
        "A fault of the server's own, never of the input. The log has more under the request id."
}

impl Code {
    /// Seconds after which a retry makes sense, for codes that mean "later".
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::PolicyBusy
            | Self::RateLimited
            | Self::TenantBusy
            | Self::PolicyCpuQuota
            | Self::PolicyInstancesQuota
            | Self::Overloaded
            | Self::PolicyUnavailable
            | Self::VaultRateLimited
            | Self::VaultBusy
            | Self::VaultNotLoggedIn => Some(1),
            Self::StoreUnavailable
            | Self::IdentityUnavailable
            | Self::NotReady
            | Self::PolicyStoreUnavailable
            | Self::RegistryUnavailable
            | Self::AuditUnavailable
            | Self::RequestTimeout
            | Self::VaultUnreachable
            | Self::VaultTimeout
            | Self::VaultStandby
            | Self::VaultServerError
            | Self::VaultMalformedResponse => Some(5),
            Self::PolicyUnusable
            | Self::VaultSealed
            | Self::VaultUninitialized
            | Self::VaultTokenInvalid
            | Self::VaultPermissionDenied
            | Self::VaultLoginFailed
            | Self::VaultMountMissing
            | Self::VaultMountNotKv2 => Some(30),
            _ => None,
        }
    }
}

impl Code {
    /// The row for a code of Vault's or the keyring's, such as `vault-sealed`; one that has none
    /// is an unavailable store.
    pub fn of(code: &str) -> Self {
        let code = code.replace('-', "_");
        let known = Self::ALL.iter().find(|known| known.as_str() == code);
        known.copied().unwrap_or(Self::StoreUnavailable)
    }
}

impl Code {
    /// The row for what a registry, or the way to it, failed with.
    pub fn of_registry(error: &OciError) -> Self {
        let known = Self::ALL.iter().find(|known| known.as_str() == error.code());
        known.copied().unwrap_or(Self::Internal)
    }
}

impl From<&VaultError> for Code {
    /// Calls that are suspended are answered with what they are suspended for.
    fn from(error: &VaultError) -> Self {
        match error {
            VaultError::CircuitOpen { cause } => Self::of(cause),
            error => Self::of(error.code()),
        }
    }
}

impl From<&StoreError> for Code {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Vault(error) => error.into(),
            _ => Self::StoreUnavailable,
        }
    }
}

impl From<&BackupError> for Code {
    fn from(error: &BackupError) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Io { .. } => Self::Internal,
            error => Self::of(error.code()),
        }
    }
}

impl From<&HostError> for Code {
    fn from(error: &HostError) -> Self {
        match error {
            HostError::Denied(_) => Self::PolicyRefused,
            HostError::Invalid(_) => Self::PolicyInvalid,
            HostError::NotFound(_) => Self::PolicyNotFound,
            HostError::Conflict(_) => Self::PolicyConflict,
            HostError::Unavailable(_) => Self::PolicyUnavailable,
        }
    }
}

impl From<&PolicyError> for Code {
    fn from(error: &PolicyError) -> Self {
        match error {
            PolicyError::Refused(error) => error.into(),
            PolicyError::Baseline(error) => (&**error).into(),
            PolicyError::UnknownOperation { .. } => Self::OperationNotFound,
            PolicyError::Trap { .. } => Self::PolicyTrap,
            PolicyError::Limit(limit) => (*limit).into(),
            PolicyError::BadPlan { .. } => Self::PolicyBadPlan,
            PolicyError::Obligation(error) => error.into(),
            PolicyError::Busy { .. } => Self::PolicyBusy,
            _ => Self::Internal,
        }
    }
}

impl From<&ObligationError> for Code {
    fn from(error: &ObligationError) -> Self {
        match error {
            ObligationError::Unknown { .. } => Self::ObligationUnknown,
            ObligationError::BadValue { .. } => Self::PolicyBadPlan,
            ObligationError::TooLong { .. } => Self::PolicyMaxBytes,
        }
    }
}

impl From<Limit> for Code {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Cpu(_) => Self::PolicyCpuLimit,
            Limit::Wall(_) => Self::PolicyTimeout,
            Limit::Memory(_) => Self::PolicyMemoryLimit,
            Limit::Table(_) => Self::PolicyTableLimit,
            Limit::Handles(_) => Self::PolicyHandleLimit,
            Limit::HostCalls(_) => Self::PolicyHostCallLimit,
            Limit::StateCalls(_) => Self::PolicyStateLimit,
            Limit::HostCallBytes(_) => Self::PolicyHostCallBytesLimit,
            Limit::RandomBytes(_) => Self::PolicyRandomLimit,
            _ => Self::PolicyTrap,
        }
    }
}

impl From<&AdmissionError> for Code {
    fn from(error: &AdmissionError) -> Self {
        match error {
            AdmissionError::TooLarge { .. } => Self::ComponentTooLarge,
            AdmissionError::NotAComponent { .. } => Self::ComponentInvalid,
            AdmissionError::ForbiddenImports { .. } => Self::ComponentForbiddenImports,
            AdmissionError::NewerContract { .. } => Self::ComponentNewerContract,
            AdmissionError::AboveCeiling { .. } => Self::ComponentAboveCeiling,
            AdmissionError::MissingExports { .. } => Self::ComponentMissingExports,
            AdmissionError::WrongTypes { .. } => Self::ComponentWrongTypes,
            AdmissionError::NeedsTooMuch { .. } => Self::ComponentNeedsTooMuch,
            AdmissionError::CompileFailed { .. } => Self::ComponentCompileFailed,
            AdmissionError::CompileTimeout(_) => Self::ComponentCompileTimeout,
            AdmissionError::BadDescription { .. } => Self::ComponentBadDescription,
            AdmissionError::Busy => Self::PolicyBusy,
            _ => Self::Internal,
        }
    }
}

/// The table as Markdown: the text of docs/errors.md.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Error codes\n\n\
         Every error response is `application/problem+json` (RFC 9457) with `type`, `title`, \
         `status`, `detail`, `code`, `request_id` and, where one field is to blame, `field`: its \
         JSON Pointer. Branch on `code`; it never changes its meaning. In a batch the response is \
         200 and an item that failed has `error` with `code`, `detail` and `field`.\n\n\
         Responses with 429 and 503 carry `Retry-After` in seconds; 401 carries `WWW-Authenticate`, 405 \
         carries `Allow`.\n\n\
         | code | status | meaning |\n| --- | --- | --- |\n",
    );
    for code in Code::ALL {
        let (name, status, about) = (code.as_str(), code.status().as_u16(), code.about());
        let _ = writeln!(out, "| `{name}` | {status} | {about} |");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn codes_are_unique() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn every_429_and_503_says_when_to_retry() {
        for code in Code::ALL {
            let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]
                .contains(&code.status());
            assert_eq!(code.retry_after().is_some(), later, "{code:?}");
        }
    }

    #[test]
    fn the_policy_hosts_codes_are_the_same() {
        let refused = HostError::Denied("no".into());
        assert_eq!(Code::from(&refused).as_str(), refused.code());
        for limit in [
            Limit::Cpu(Duration::ZERO),
            Limit::Wall(Duration::ZERO),
            Limit::Memory(0),
            Limit::Table(0),
            Limit::Handles(0),
            Limit::HostCalls(0),
            Limit::HostCallBytes(0),
            Limit::RandomBytes(0),
            Limit::StateCalls(0),
        ] {
            assert_eq!(Code::from(limit).as_str(), limit.code());
        }
        for error in [
            AdmissionError::TooLarge { size: 0, limit: 0 },
            AdmissionError::NotAComponent { reason: String::new() },
            AdmissionError::ForbiddenImports { wanted: vec![] },
            AdmissionError::NewerContract { needs: String::new(), has: "" },
            AdmissionError::AboveCeiling { reason: String::new() },
            AdmissionError::Busy,
            AdmissionError::MissingExports { missing: vec![] },
            AdmissionError::WrongTypes { reason: String::new() },
            AdmissionError::NeedsTooMuch { what: "", needed: 0, limit: 0 },
            AdmissionError::CompileFailed { reason: String::new() },
            AdmissionError::CompileTimeout(Duration::ZERO),
            AdmissionError::BadDescription { reason: String::new() },
        ] {
            assert_eq!(Code::from(&error).as_str(), error.code());
        }
    }

    #[test]
    fn the_backups_codes_are_the_same() {
        let (path, text) = (String::from("p"), String::from("t"));
        for error in [
            BackupError::Recipient(text.clone()),
            BackupError::Foreign(""),
            BackupError::WrongIdentity(""),
            BackupError::NewerFormat { found: 2, known: 1 },
            BackupError::Damaged(""),
            BackupError::Truncated,
            BackupError::WrongOrigin { expected: text.clone(), found: text.clone() },
            BackupError::Origin,
            BackupError::Conflicts { count: 1, first: path.clone() },
            BackupError::Clash { path: path.clone() },
            BackupError::Changed { path: path.clone() },
            BackupError::TenantNotFound(text.clone()),
            BackupError::Unstable { path },
        ] {
            assert_eq!(Code::from(&error).as_str(), error.code().replace('-', "_"));
        }
    }

    #[test]
    fn the_documentation_is_this_table() {
        crate::docs::assert_current("errors.md", &markdown());
    }
}
