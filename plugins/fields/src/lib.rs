//! A policy.

use keyward_policy::{Error, Plan, Policy, Request, export_policy};

struct Baseline;

impl Policy for Baseline {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        if request.has_role("application") { Ok(Plan::allow()) } else { Err(Error::denied("role `application` needed")) }
    }
}

export_policy!(Baseline);
