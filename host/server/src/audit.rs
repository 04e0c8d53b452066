//! Every request's entry in the audit trail. [`Scope`](crate::http::Scope) makes one for each request
//! but the health checks and `/metrics`, whatever route it is for and however it ends; handlers
//! [`note`] in it what only they know. What the entries are written to is [`keyward_audit`]'s.

mod auditors;
mod operation;
mod record;
mod sinks;

pub use self::auditors::Auditors;
pub use self::operation::{Operation, UNKNOWN};
pub use self::record::{Record, end, ending, note, within};

pub use self::sinks::{
    Figures, OtlpSettings, SinkError, SinkSettings, Sinks, WebhookSettings, headers,
};

use keyward_audit::Items;

use crate::errors::Code;

/// Notes that a key took part in the request, and with which version.
pub fn uses(key: &str, version: Option<u32>) {
    note(|entry| entry.uses(key, version));
}

/// Notes whom the request's credential speaks for.
pub fn by(credential: &crate::tokens::Credential) {
    use crate::tokens::Reach;
    note(|entry| {
        entry.subject = Some(credential.caller.subject.as_str().into());
        entry.credential = Some(credential.id.as_str().into());
        entry.credential_tenant = match &credential.reach {
            Reach::Operator => None,
            Reach::Tenant(tenant) => Some(tenant.as_str().into()),
        };
    });
}

/// Notes the tenant that the request is about.
pub fn about(tenant: &str) {
    note(|entry| {
        if entry.tenant.as_deref() != Some(tenant) {
            entry.tenant = Some(tenant.into());
        }
    });
}

/// Notes what else the request is about.
pub fn target(target: &str) {
    note(|entry| entry.target = Some(target.into()));
}

/// Notes which policy is asked.
pub fn policy(digest: &str) {
    note(|entry| entry.policy = Some(digest.into()));
}

/// Notes that the policy allowed what was asked; `purpose` is what it is for.
pub fn asked(key: Option<&str>, purpose: Option<&str>) {
    note(|entry| {
        if let Some(key) = key {
            entry.uses(key, None);
        }
        entry.purpose = purpose.map(Into::into);
    });
}

/// Notes that the policy allowed it.
pub fn allowed() {
    note(|entry| entry.decision = Some("allow"));
}

/// Notes how an item of a batch ended.
pub fn item(failed: Option<Code>) {
    note(|entry| {
        let items = entry.items.get_or_insert_with(Box::<Items>::default);
        match failed {
            None => items.done += 1,
            Some(code) => items.fail(code.as_str()),
        }
    });
}

/// What a policy decided, by how the request ended, if it was not to allow it.
fn decision(code: Code) -> Option<&'static str> {
    match code {
        Code::PolicyRefused
        | Code::PolicyInvalid
        | Code::PolicyNotFound
        | Code::PolicyConflict
        | Code::OperationNotFound => Some("deny"),
        Code::PolicyUnavailable
        | Code::PolicyBusy
        | Code::PolicyTrap
        | Code::PolicyCpuLimit
        | Code::PolicyTimeout
        | Code::PolicyMemoryLimit
        | Code::PolicyTableLimit
        | Code::PolicyHandleLimit
        | Code::PolicyHostCallLimit
        | Code::PolicyHostCallBytesLimit
        | Code::PolicyRandomLimit
        | Code::PolicyStateLimit
        | Code::PolicyBadPlan
        | Code::ObligationUnknown => Some("error"),
        _ => None,
    }
}
