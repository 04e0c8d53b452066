//! A policy that says which one it is, in all that it decides and does. For tests that replace one
//! policy by another: they write another stamp into the component, which makes it another policy.

use std::cell::Cell;
use std::hint::black_box;

use keyward_policy::{Action, Error, Operation, Payload, Plan, Policy, Request, export_policy};

/// What tests replace, by something as long.
static STAMP: &str = "keyward-test-stamp-0000000000000000000000000000";

thread_local! {
    /// The stamp of the policy that decided, in the instance it decided in.
    static DECIDED: Cell<&'static str> = const { Cell::new("nobody") };
}

/// The stamp as the component has it, not as the compiler knew it.
fn stamp() -> &'static str {
    black_box(STAMP)
}

/// See the crate's documentation.
struct Stamp;

impl Policy for Stamp {
    fn authorize(_: &Request) -> Result<Plan, Error> {
        DECIDED.set(stamp());
        Ok(Plan::allow().bind(stamp()).note(stamp()))
    }

    fn invoke(request: &Request, _: Payload) -> Result<Payload, Error> {
        match request.action() {
            Action::Invoke("which") => {
                let body = [DECIDED.get(), " ", stamp()].concat().into_bytes();
                Ok(Payload { content_type: "text/plain".to_owned(), body })
            }
            _ => Err(Error::unknown_operation(&request.operation)),
        }
    }

    fn describe() -> Vec<Operation> {
        vec![Operation {
            name: "which".to_owned(),
            description: stamp().to_owned(),
            input_schema: "{}".to_owned(),
            output_schema: "{}".to_owned(),
        }]
    }
}

export_policy!(Stamp);
