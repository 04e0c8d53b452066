//! What an operation on data is made of.

use keyward_keyring::{Keyring, TenantName};
use keyward_policy_host::Plan;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::item::Item;
use crate::http::Problem;

/// Whose keys an operation works with.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub keyring: &'a Keyring,
    pub tenant: &'a TenantName,
}

/// What the policy decided for an item: one plan, and a second where the item asks for two.
pub struct Plans {
    pub first: Plan,
    pub second: Option<Plan>,
}

/// One operation, in the order of a request: the fields of its item are read, the policy decides,
/// the plan is prepared once for every item that shares the decision, and executed for each.
/// Pointers in problems are relative to the item.
pub trait Operation: Send + Sync + 'static {
    /// Its name, as policies know it.
    const NAME: &'static str;
    /// What its answer is called in the API's description.
    const ANSWER: &'static str;
    /// The item as it stands in the body.
    type Fields<'a>: Deserialize<'a> + JsonSchema + Send;
    /// What is to be done with it, decoded.
    type Work: Send + Sync;
    /// A plan, ready for every item it was decided for.
    type Ready: Send + Sync;

    /// The fields that [`execute`](Self::execute) appends.
    fn answer(generator: &mut SchemaGenerator) -> Schema;

    /// Decodes an item. Where a ciphertext names the key, this finds it.
    fn read<'a>(
        place: Place<'a>,
        fields: Self::Fields<'a>,
    ) -> impl Future<Output = Result<Item<'a, Self::Work>, Problem>> + Send;

    /// Prepares what was decided.
    fn prepare(
        place: Place<'_>,
        item: &Item<'_, Self::Work>,
        plans: Plans,
    ) -> impl Future<Output = Result<Self::Ready, Problem>> + Send;

    /// Says for how many items, all of them at hand, `ready` is used, if for more than one.
    fn expect(_ready: &mut Self::Ready, _items: usize) -> Result<(), Problem> {
        Ok(())
    }

    /// Does the bytes and appends the answer's fields, without braces.
    fn execute(
        place: Place<'_>,
        ready: &Self::Ready,
        item: &Item<'_, Self::Work>,
        out: &mut String,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
}
