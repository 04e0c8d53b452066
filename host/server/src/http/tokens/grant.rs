//! Nobody grants more than they hold, or ends what is more than they hold.

use crate::errors::Code;
use crate::http::Problem;
use crate::tokens::{Credential, Details, NewToken, Reach, TENANT_ADMIN};

/// Whether `by` may end a token: one that it could make. Else who is limited to little could end what
/// everybody else works with.
pub(super) fn check_ends(by: &Credential, old: &Details) -> Result<(), Problem> {
    by.scope.check_covers(&old.scope).map_err(|missing| {
        let detail = format!("{missing}, and so cannot end a token that has it");
        Problem::new(Code::OutOfScope, detail)
    })
}

/// Whether `by` may make `new`: its scope is within their own; and if it manages, and could so
/// make others in turn, it ends no later than they do.
pub(super) fn check(by: &Credential, new: &NewToken) -> Result<(), Problem> {
    by.scope.check_covers(&new.scope).map_err(|missing| {
        let detail = format!("{missing}, and so cannot give it; name less in `scope`");
        Problem::field(Code::OutOfScope, "/scope", detail)
    })?;
    let manages =
        new.reach == Reach::Operator || new.caller.roles.iter().any(|role| role == TENANT_ADMIN);
    let Some(own_end) = by.expires_at.filter(|_| manages) else {
        return Ok(());
    };
    if new.expires_at.is_some_and(|end| end <= own_end) {
        return Ok(());
    }
    let detail = "a token that manages cannot outlive the credential it is made with; give it an \
                  end before that one's";
    Err(Problem::field(Code::Forbidden, "/expires_at", detail))
}
