//! What a policy remembers from one request to the next.

use super::Outcome;
use crate::bindings::{state, types};
use crate::error::HostError;
use crate::instance::Instance;
use crate::state::{MAX_STATE_NAME, MAX_STATE_VALUE};

impl Instance {
    /// Before every call: counts it, and suspends. A run that began on its caller's stack is begun
    /// anew on a fiber (see [`crate::at_once`]) before the call had an effect, so that no effect
    /// comes twice.
    async fn ask_state(&mut self, name: &str) -> Outcome<()> {
        self.count_state_call().map_err(wasmtime::Error::new)?;
        tokio::task::yield_now().await;
        if !(1..=MAX_STATE_NAME).contains(&name.len()) {
            let reason = format!("the name of an entry is of 1 to {MAX_STATE_NAME} bytes");
            return Ok(Err(types::Error::Invalid(reason)));
        }
        Ok(Ok(()))
    }

    async fn write_state(
        &mut self,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Outcome<u64> {
        if let Err(refused) = self.ask_state(name).await?.and_then(|()| checked(ttl)) {
            return Ok(Err(refused));
        }
        if value.len() > MAX_STATE_VALUE {
            let reason = format!("the value of an entry has at most {MAX_STATE_VALUE} bytes");
            return Ok(Err(types::Error::Invalid(reason)));
        }
        Ok(answer(self.services.state.put(&self.tenant, name, value, ttl, expected).await))
    }
}

impl state::Host for Instance {
    async fn get(&mut self, name: String) -> Outcome<Option<state::Entry>> {
        if let Err(refused) = self.ask_state(&name).await? {
            return Ok(Err(refused));
        }
        let entry = answer(self.services.state.get(&self.tenant, &name).await);
        let shown = |entry: crate::state::StateEntry| state::Entry {
            value: entry.value,
            revision: entry.revision,
        };
        Ok(entry.map(|entry| entry.map(shown)))
    }

    async fn put(&mut self, name: String, value: Vec<u8>, ttl: Option<u64>) -> Outcome<u64> {
        self.write_state(&name, &value, ttl, None).await
    }

    async fn put_if(
        &mut self,
        name: String,
        value: Vec<u8>,
        ttl: Option<u64>,
        revision: u64,
    ) -> Outcome<u64> {
        self.write_state(&name, &value, ttl, Some(revision)).await
    }

    async fn add(&mut self, name: String, amount: i64, ttl: Option<u64>) -> Outcome<i64> {
        if let Err(refused) = self.ask_state(&name).await?.and_then(|()| checked(ttl)) {
            return Ok(Err(refused));
        }
        Ok(answer(self.services.state.add(&self.tenant, &name, amount, ttl).await))
    }

    async fn remove(&mut self, name: String, revision: Option<u64>) -> Outcome<()> {
        if let Err(refused) = self.ask_state(&name).await? {
            return Ok(Err(refused));
        }
        Ok(answer(self.services.state.remove(&self.tenant, &name, revision).await))
    }
}

fn checked(ttl: Option<u64>) -> Result<(), types::Error> {
    match ttl {
        Some(0) => Err(types::Error::Invalid("an entry lives for a second at least".into())),
        _ => Ok(()),
    }
}

fn answer<T>(result: Result<T, HostError>) -> Result<T, types::Error> {
    result.map_err(Into::into)
}
