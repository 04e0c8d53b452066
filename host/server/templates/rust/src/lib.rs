//! Applications encrypt and decrypt; what was encrypted for one purpose opens for no other.

use keyward_policy::{Action, Error, Plan, Policy, Request, export_policy};

struct {{type}};

impl Policy for {{type}} {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        if !request.has_role("application") {
            return Err(Error::denied("this needs the role `application`"));
        }
        let Some(purpose) = &request.purpose else {
            return Err(Error::invalid("say what it is for, in `purpose`"));
        };
        match request.action() {
            Action::Encrypt | Action::Decrypt => Ok(Plan::allow().bind(purpose)),
            _ => Err(Error::unknown_operation(&request.operation)),
        }
    }
}

export_policy!({{type}});
