//! The glue between a [`Policy`](crate::Policy) and the component's exports. Not an interface of
//! this crate: `export_policy!` uses it.

use core::marker::PhantomData;

use crate::{Error, Operation, Payload, Plan, Policy, Request};

/// Generated from `wit/policy.wit`; documented there.
#[allow(unsafe_code, reason = "the canonical ABI passes pointers; all of it is generated")]
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "policy",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_component",
        default_bindings_module: "keyward_policy::component::bindings",
        runtime_path: "wit_bindgen::rt",
        with: {
            "keyward:policy/types@0.1.0/caller": crate::Caller,
            "keyward:policy/types@0.1.0/request": crate::Request,
            "keyward:policy/types@0.1.0/algorithm": crate::Algorithm,
            "keyward:policy/types@0.1.0/signature-form": crate::SignatureForm,
            "keyward:policy/types@0.1.0/obligation": crate::Obligation,
            "keyward:policy/types@0.1.0/plan": crate::Plan,
            "keyward:policy/types@0.1.0/error": crate::Error,
            "keyward:policy/sealing@0.1.0/plaintext": crate::Plaintext,
            "keyward:policy/opening@0.1.0/ciphertext": crate::Ciphertext,
            "keyward:policy/handler@0.1.0/payload": crate::Payload,
            "keyward:policy/handler@0.1.0/operation": crate::Operation,
        },
    });
}

const SDK_TEXT: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// Tells, in a custom section of the module, which SDK a policy was written with: name, a space,
/// version. Hosts and tools show it; nothing depends on it.
#[used]
#[allow(unsafe_code, reason = "a section of its own name clashes with nothing")]
#[unsafe(link_section = "keyward:sdk")]
static SDK: [u8; SDK_TEXT.len()] = match SDK_TEXT.as_bytes().first_chunk() {
    Some(text) => *text,
    None => [0; SDK_TEXT.len()],
};

/// The exports of policy `P`.
pub struct Glue<P>(PhantomData<P>);

/// Leaves the request's memory to the instance, which ends with the request anyway.
fn answer<T, U>(input: T, f: impl FnOnce(&T) -> U) -> U {
    f(&core::mem::ManuallyDrop::new(input))
}

impl<P: Policy> bindings::exports::keyward::policy::guard::Guest for Glue<P> {
    fn authorize(request: Request) -> Result<Plan, Error> {
        answer(request, P::authorize)
    }

    fn authorize_many(requests: Vec<Request>) -> Vec<Result<Plan, Error>> {
        answer(requests, |requests| P::authorize_many(requests))
    }
}

impl<P: Policy> bindings::exports::keyward::policy::handler::Guest for Glue<P> {
    fn invoke(request: Request, payload: Payload) -> Result<Payload, Error> {
        answer(request, |request| P::invoke(request, payload))
    }

    fn describe() -> Vec<Operation> {
        P::describe()
    }
}

impl crate::Algorithm {
    /// What the generated code calls for an `algorithm`; the canonical ABI admits no discriminant
    /// beyond the last.
    #[doc(hidden)]
    pub fn _lift(discriminant: u8) -> Self {
        Self::ALL.get(usize::from(discriminant)).copied().unwrap_or(Self::MlDsa65)
    }
}

impl crate::SignatureForm {
    /// The same for a `signature-form`.
    #[doc(hidden)]
    pub fn _lift(discriminant: u8) -> Self {
        Self::ALL.get(usize::from(discriminant)).copied().unwrap_or(Self::Pkcs1)
    }
}
