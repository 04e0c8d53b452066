//! Four eyes: what is encrypted is read only by somebody whom somebody else has allowed to, for a
//! while, and not without bound.
//!
//! `invoke/request-access` asks for access to a key, `invoke/approve` grants it for a quarter of an
//! hour; nobody approves their own. In an emergency the role `break-glass` reads without approval: a
//! few times a day, with a reason, and with a line in the log that somebody should look at. What was
//! asked, granted and counted is in the policy's state, so it holds on every host.

mod access;
#[cfg(test)]
mod tests;

use keyward_policy::{Action, Error, Operation, Payload, Plan, Policy, Request, export_policy};

/// Roles that may encrypt, and ask for access.
const MEMBERS: &[&str] = &["application", "support"];
/// The role that approves what another has asked for.
const APPROVER: &str = "approver";
/// The role that may read without approval in an emergency.
const BREAK_GLASS: &str = "break-glass";

/// The only media type of the operations.
const JSON: &str = "application/json";
/// Largest body of an operation, in bytes.
const MAX_BODY: u32 = 4 << 10;

/// Access that two people agree on.
struct FourEyes;

impl Policy for FourEyes {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        match request.action() {
            Action::Encrypt | Action::Rewrap => needs(request, MEMBERS).map(|()| Plan::allow()),
            Action::Decrypt => access::check(request),
            Action::Invoke("request-access") => {
                needs(request, MEMBERS).map(|()| Plan::allow().max_bytes(MAX_BODY))
            }
            Action::Invoke("approve") => {
                needs(request, &[APPROVER]).map(|()| Plan::allow().max_bytes(MAX_BODY))
            }
            _ => Err(Error::unknown_operation(&request.operation)),
        }
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        let media_type = payload.content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(JSON) {
            return Err(Error::invalid("the content type must be application/json"));
        }
        let answer = match request.action() {
            Action::Invoke("request-access") => access::ask(request, &payload.body)?,
            Action::Invoke("approve") => access::approve(request, &payload.body)?,
            _ => return Err(Error::unknown_operation(&request.operation)),
        };
        Ok(Payload { content_type: JSON.to_owned(), body: answer.to_string().into_bytes() })
    }

    fn describe() -> Vec<Operation> {
        vec![
            Operation {
                name: "request-access".to_owned(),
                description: "Asks that the caller may decrypt with a key for a while.".to_owned(),
                input_schema: include_str!("schemas/wish.json").to_owned(),
                output_schema: include_str!("schemas/asked.json").to_owned(),
            },
            Operation {
                name: "approve".to_owned(),
                description: "Grants what somebody else has asked for.".to_owned(),
                input_schema: include_str!("schemas/approval.json").to_owned(),
                output_schema: include_str!("schemas/granted.json").to_owned(),
            },
        ]
    }
}

export_policy!(FourEyes);

fn needs(request: &Request, roles: &[&str]) -> Result<(), Error> {
    if request.caller.has_any_role(roles) {
        return Ok(());
    }
    let roles = roles.join("`, `");
    Err(Error::denied([&request.operation, " needs one of the roles `", &roles, "`"].concat()))
}
