//! Purpose limits: data opens only for the purpose it was encrypted for, and only for callers
//! whose role is granted that purpose.
//!
//! The purpose a caller states is checked against a table and bound into the ciphertext's
//! authenticated data. Stating another purpose later therefore does not open it, whatever the
//! caller's roles. This policy imports no capability at all.

mod purposes;
#[cfg(test)]
mod tests;

use keyward_policy::{Action, Error, Plan, Policy, Request, export_policy};

use purposes::{GRANTS, PURPOSES, WRITERS};

/// Keeps this policy's authenticated data apart from any other's.
const DOMAIN: &str = "keyward records v1";

/// Purpose limits.
struct Records;

impl Policy for Records {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        match request.action() {
            // A rewrapped record keeps its purpose, and nobody sees it.
            Action::Encrypt | Action::Datakey | Action::Rewrap => {
                if !request.caller.has_any_role(WRITERS) {
                    let needs = [&request.operation, " needs one of the roles"].concat();
                    return Err(Error::denied(listing(&needs, WRITERS)));
                }
                known_purpose(request).map(plan)
            }
            Action::Decrypt => {
                let purpose = known_purpose(request)?;
                let granted = GRANTS
                    .iter()
                    .any(|grant| request.has_role(grant.role) && grant.purposes.contains(&purpose));
                if !granted {
                    return Err(Error::denied(
                        ["no role of yours is granted the purpose `", purpose, "`"].concat(),
                    ));
                }
                Ok(plan(purpose))
            }
            _ => Err(Error::unknown_operation(&request.operation)),
        }
    }
}

export_policy!(Records);

fn plan(purpose: &str) -> Plan {
    Plan::allow().bind(DOMAIN).bind(purpose)
}

fn known_purpose(request: &Request) -> Result<&str, Error> {
    match request.purpose.as_deref() {
        Some(purpose) if PURPOSES.contains(&purpose) => Ok(purpose),
        Some(_) => Err(Error::invalid(listing("`purpose` must be one of", PURPOSES))),
        None => Err(Error::invalid(listing("say what it is for: `purpose` is one of", PURPOSES))),
    }
}

fn listing(introduction: &str, names: &[&str]) -> String {
    let mut text = introduction.to_owned();
    for (nth, name) in names.iter().enumerate() {
        text.push_str(if nth == 0 { " `" } else { ", `" });
        text.push_str(name);
        text.push('`');
    }
    text
}
