//! The trait a policy implements, and the macro that makes a component of it.

use crate::{Error, Operation, Payload, Plan, Request};

/// A policy: decides every request of its tenant, and may offer operations of its own.
///
/// The host starts a fresh instance for every request, so a policy keeps nothing: `static`s
/// have their initial values each time.
pub trait Policy {
    /// Allows the request with a plan, or refuses it. Asked before [`Policy::invoke`] as well,
    /// then with the operation `invoke/NAME`.
    fn authorize(request: &Request) -> Result<Plan, Error>;

    /// The same for a batch: one result for each request, in order.
    fn authorize_many(requests: &[Request]) -> Vec<Result<Plan, Error>> {
        requests.iter().map(Self::authorize).collect()
    }

    /// Executes one of the operations in [`Policy::describe`], which
    /// [`Policy::authorize`] has allowed. A policy without operations refuses.
    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        drop(payload);
        Err(Error::unknown_operation(&request.operation))
    }

    /// The operations this policy offers. Called at admission, without a request.
    fn describe() -> Vec<Operation> {
        Vec::new()
    }
}

/// Makes the crate a policy component: `export_policy!(Mine);`, once, at the crate's root.
///
/// On native targets it only checks that the type is a [`Policy`], so that unit tests build.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        const _: () = {
            const fn is_a_policy<P: $crate::Policy>() {}
            is_a_policy::<$policy>();
        };
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the component's exported functions")]
        const _: () = {
            type Exported = $crate::component::Glue<$policy>;
            $crate::component::bindings::__export_component!(Exported with_types_in $crate::component::bindings);
        };
    };
}
