//! A baseline above a tenant's policy: two plans become one.
//!
//! The baseline is asked first, and its refusal is final. What it demands, the tenant's policy cannot
//! take back: the data it binds stands before the policy's own, a key or version it names is the one
//! that is used, and its obligations are met beside the policy's.

use std::sync::Arc;

use crate::bindings::Plan;
use crate::error::{HostError, PolicyError};

/// Data bound under a baseline begins so. A policy's own data may not: nothing that a policy binds
/// looks as if a baseline had bound it.
pub const PREFIX: &[u8] = b"keyward baseline v1\0";

/// What a baseline binds into all that is sealed and opened in one run of the policy below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound(Option<Arc<[u8]>>);

impl Bound {
    /// The data of a baseline's plan; without any, nothing is added.
    pub fn by(plan: &Plan) -> Self {
        let data = &plan.authenticated_data;
        Self((!data.is_empty()).then(|| data.as_slice().into()))
    }

    /// Authenticated data with what is bound: `PREFIX`, the number of bytes that the baseline
    /// binds (32 bits, big-endian), these bytes, and the policy's own data. `None`: the policy's own
    /// data pretends to be of a baseline.
    pub fn before<'a>(&self, own: &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
        if own.starts_with(PREFIX) {
            return None;
        }
        let Some(data) = &self.0 else { return Some(own.into()) };
        let length = u32::try_from(data.len()).ok()?;
        Some([PREFIX, &length.to_be_bytes(), data, own].concat().into())
    }
}

fn pretends() -> PolicyError {
    let reason = "its authenticated data begins as only a baseline's may".into();
    PolicyError::BadPlan { reason }
}

/// A policy's plan below no baseline.
pub fn alone(own: Plan) -> Result<Plan, PolicyError> {
    if own.authenticated_data.starts_with(PREFIX) { Err(pretends()) } else { Ok(own) }
}

/// What is to be done when both allow it.
pub fn compose(baseline: &Plan, own: Plan) -> Result<Plan, PolicyError> {
    let differs = |what: &str| {
        let detail = format!("the operator's baseline demands another {what} than the policy");
        PolicyError::Refused(HostError::Denied(detail))
    };
    let bound = Bound::by(baseline).before(&own.authenticated_data).ok_or_else(pretends)?;
    let authenticated_data = bound.into_owned();
    let obligations = [baseline.obligations.as_slice(), own.obligations.as_slice()].concat();
    Ok(Plan {
        key: one_of(baseline.key.clone(), own.key).ok_or_else(|| differs("key"))?,
        version: one_of(baseline.version, own.version).ok_or_else(|| differs("version"))?,
        suite: one_of(baseline.suite, own.suite).ok_or_else(|| differs("suite"))?,
        authenticated_data,
        obligations,
    })
}

/// What both want, if they do not want different things.
#[expect(clippy::option_option, reason = "whether they agree, and on what")]
fn one_of<T: PartialEq>(baseline: Option<T>, own: Option<T>) -> Option<Option<T>> {
    match (baseline, own) {
        (Some(baseline), Some(own)) if baseline != own => None,
        (Some(either), _) | (None, Some(either)) => Some(Some(either)),
        (None, None) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bindings::Obligation;

    fn plan(key: Option<&str>, data: &[u8]) -> Plan {
        Plan {
            key: key.map(str::to_owned),
            version: None,
            suite: None,
            authenticated_data: data.to_vec(),
            obligations: Vec::new(),
        }
    }

    #[test]
    fn what_the_baseline_demands_is_done() {
        let max = |value: &str| Obligation { name: "max-bytes".into(), value: value.into() };
        let baseline = Plan {
            version: Some(3),
            obligations: vec![max("100")],
            ..plan(Some("regional"), b"eu")
        };
        let own = Plan { obligations: vec![max("200")], ..plan(None, b"mine") };
        let both = compose(&baseline, own.clone()).unwrap();
        assert_eq!((both.key.as_deref(), both.version), (Some("regional"), Some(3)));
        assert_eq!(both.obligations, [max("100"), max("200")]);
        assert_eq!(both.authenticated_data, b"keyward baseline v1\0\x00\x00\x00\x02eumine");
        for other in [plan(Some("other"), b""), Plan { version: Some(2), ..plan(None, b"") }] {
            let refused = compose(&baseline, other).unwrap_err();
            assert!(matches!(&refused, PolicyError::Refused(HostError::Denied(_))), "{refused}");
        }
        // One that binds nothing changes nothing of what is bound.
        let both = compose(&plan(None, b""), own.clone()).unwrap();
        assert_eq!(both.authenticated_data, own.authenticated_data);
    }

    #[test]
    fn no_policy_binds_what_only_a_baseline_may() {
        let pretending = [PREFIX, b"\x00\x00\x00\x02eumine"].concat();
        for baseline in [plan(None, b""), plan(None, b"eu")] {
            let refused = compose(&baseline, plan(None, &pretending)).unwrap_err();
            assert!(matches!(refused, PolicyError::BadPlan { .. }), "{refused}");
        }
        assert!(alone(plan(None, &pretending)).is_err());
        assert!(alone(plan(None, &PREFIX[..PREFIX.len() - 1])).is_ok());
        assert_eq!(Bound::default().before(&pretending), None);
    }

    proptest! {
        /// Different pairs are bound differently, those without a baseline among them.
        #[test]
        fn what_is_bound_has_one_reading(
            baselines in prop::array::uniform2(prop::collection::vec(any::<u8>(), 0..6)),
            owns in prop::array::uniform2(prop::collection::vec(any::<u8>(), 0..6)),
        ) {
            let bound = |at: usize| {
                let bound = Bound::by(&plan(None, &baselines[at]));
                bound.before(&owns[at]).map(std::borrow::Cow::into_owned)
            };
            let same = baselines[0] == baselines[1] && owns[0] == owns[1];
            prop_assert_eq!(bound(0) == bound(1), same);
        }
    }
}
