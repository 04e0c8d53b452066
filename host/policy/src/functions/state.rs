//! What a policy remembers from one request to the next.

use tracing::Instrument;

use super::Outcome;
use crate::bindings::{state, types};
use crate::error::HostError;
use crate::instance::Instance;
use crate::state::{MAX_STATE_NAME, MAX_STATE_VALUE};
use crate::trace::Value;

impl Instance {
    /// In every call that asks the store: counts it, and suspends. A run that began on its caller's
    /// stack is begun anew on a fiber (see [`crate::at_once`]) before the call had an effect, so that
    /// no effect comes twice.
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
        function: &'static str,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Outcome<u64> {
        let arguments = || {
            let fixed = [Value::Text(name.into()), Value::bytes(value), number(ttl)];
            fixed.into_iter().chain(expected.map(|it| Value::Number(it.into()))).collect()
        };
        if let Some(answer) = self.begin(function, arguments)? {
            return Ok(answer);
        }
        let result = self.put_state(name, value, ttl, expected).await?;
        Ok(self.end(result))
    }

    async fn put_state(
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
        Ok(answer(
            self.services
                .state
                .put(&self.tenant, name, value, ttl, expected)
                .instrument(self.call.clone())
                .await,
        ))
    }
}

impl state::Host for Instance {
    async fn get(&mut self, name: String) -> Outcome<Option<state::Entry>> {
        if let Some(answer) = self.begin("state.get", || vec![Value::Text(name.clone())])? {
            return Ok(answer);
        }
        let entry = match self.ask_state(&name).await? {
            Ok(()) => answer(
                self.services.state.get(&self.tenant, &name).instrument(self.call.clone()).await,
            ),
            Err(refused) => Err(refused),
        };
        let shown = |entry: crate::state::StateEntry| state::Entry {
            value: entry.value,
            revision: entry.revision,
        };
        let entry = entry.map(|entry| entry.map(shown));
        Ok(self.end(entry))
    }

    async fn put(&mut self, name: String, value: Vec<u8>, ttl: Option<u64>) -> Outcome<u64> {
        self.write_state("state.put", &name, &value, ttl, None).await
    }

    async fn put_if(
        &mut self,
        name: String,
        value: Vec<u8>,
        ttl: Option<u64>,
        revision: u64,
    ) -> Outcome<u64> {
        self.write_state("state.put-if", &name, &value, ttl, Some(revision)).await
    }

    async fn add(&mut self, name: String, amount: i64, ttl: Option<u64>) -> Outcome<i64> {
        let arguments =
            || vec![Value::Text(name.clone()), Value::Number(amount.into()), number(ttl)];
        if let Some(answer) = self.begin("state.add", arguments)? {
            return Ok(answer);
        }
        let sum = match self.ask_state(&name).await?.and_then(|()| checked(ttl)) {
            Ok(()) => answer(
                self.services
                    .state
                    .add(&self.tenant, &name, amount, ttl)
                    .instrument(self.call.clone())
                    .await,
            ),
            Err(refused) => Err(refused),
        };
        Ok(self.end(sum))
    }

    async fn remove(&mut self, name: String, revision: Option<u64>) -> Outcome<()> {
        let arguments = || vec![Value::Text(name.clone()), number(revision)];
        if let Some(answer) = self.begin("state.remove", arguments)? {
            return Ok(answer);
        }
        let removed = match self.ask_state(&name).await? {
            Ok(()) => answer(
                self.services
                    .state
                    .remove(&self.tenant, &name, revision)
                    .instrument(self.call.clone())
                    .await,
            ),
            Err(refused) => Err(refused),
        };
        Ok(self.end(removed))
    }
}

fn number(value: Option<u64>) -> Value {
    value.map_or(Value::Nothing, |value| Value::Number(value.into()))
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
