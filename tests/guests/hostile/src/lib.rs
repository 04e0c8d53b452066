//! A policy that does everything a policy must not, one thing for each request. For tests of the
//! sandbox only.
//!
//! What it does is chosen by the request: `purpose` names what [`authorize`](Policy::authorize)
//! does; without a purpose it allows, and `invoke/NAME` does `NAME` in [`invoke`](Policy::invoke).
//! What comes back at all says what happened: a note of the plan, a payload, or a refusal.

mod memory;
mod misdeeds;
mod plans;
mod signing;

use keyward_policy::{Action, Error, Operation, Payload, Plan, Policy, Request, export_policy};

/// See the crate's documentation.
struct Hostile;

impl Policy for Hostile {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        match request.purpose.as_deref() {
            None | Some("allow") => Ok(Plan::allow()),
            Some("deny") => Err(Error::denied("no")),
            Some(name) => match plans::by_name(name) {
                Some(plan) => Ok(plan),
                None => match misdeeds::commit(name, request) {
                    Ok(outcome) => Ok(Plan::allow().note(outcome)),
                    Err(outcome) => Err(Error::Denied(outcome)),
                },
            },
        }
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        match request.action() {
            Action::Invoke("echo") => Ok(payload),
            Action::Invoke(name) => {
                let outcome = misdeeds::commit(name, request).map_err(Error::Denied)?;
                let content_type = "text/plain".to_owned();
                Ok(Payload { content_type, body: outcome.into_bytes() })
            }
            _ => Err(Error::unknown_operation(&request.operation)),
        }
    }

    fn describe() -> Vec<Operation> {
        let names = misdeeds::NAMES.iter().chain(&["echo"]);
        names
            .map(|name| Operation {
                name: (*name).to_owned(),
                description: "Something a policy must not do.".to_owned(),
                input_schema: "{}".to_owned(),
                output_schema: "{}".to_owned(),
            })
            .collect()
    }
}

export_policy!(Hostile);
