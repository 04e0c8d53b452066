//! A policy that does everything a policy must not, one thing for each request. For tests of the
//! sandbox only.
//!
//! What it does is chosen by the request: `purpose` names what [`authorize`](Policy::authorize)
//! does; without a purpose it allows, and `invoke/NAME` does `NAME` in [`invoke`](Policy::invoke).
//! What comes back at all says what happened, as a refusal's text or a payload.

mod misdeeds;
mod plans;

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
                None => Err(Error::Denied(misdeeds::commit(name, request))),
            },
        }
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        match request.action() {
            Action::Invoke("echo") => Ok(payload),
            Action::Invoke(name) => Ok(Payload {
                content_type: "text/plain".to_owned(),
                body: misdeeds::commit(name, request).into_bytes(),
            }),
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
