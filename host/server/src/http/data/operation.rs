//! What an operation on data is made of.

use std::sync::{Arc, Mutex, PoisonError};

use keyward_crypto::KeyId;
use keyward_keyring::{Key, Keyring, TenantName};
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
    /// In a batch.
    pub recent: Option<&'a RecentKey>,
}

/// The key of the ciphertext that a batch read last: mostly it is the next one's, too. One batch's
/// own, so that what changes is seen by the next.
#[derive(Default)]
pub struct RecentKey(Mutex<Option<Arc<Key>>>);

impl Place<'_> {
    /// The key with this id, if it is the one the batch read last.
    pub fn recent_key(&self, id: KeyId) -> Option<Arc<Key>> {
        let recent = self.recent?.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.as_ref().filter(|key| key.id() == id).cloned()
    }

    /// Keeps it for the next.
    pub fn keep_key(&self, key: &Arc<Key>) {
        if let Some(RecentKey(recent)) = self.recent {
            *recent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(key));
        }
    }
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
