//! Runs that need not wait: on the caller's own stack instead of a fiber's.
//!
//! Nearly every decision finds its keys in memory and is over within microseconds. A fiber would
//! cost it more than the rest of the sandbox: a stack to take from the pool, to wipe and to hand
//! back to the kernel. So every run is tried here first. One that would have to wait, or that
//! takes longer than a tick, ends with [`MustWait`]; its instance is thrown away and the run
//! begins anew on a fiber. Host functions therefore have no effect outside their instance: log
//! lines are kept in it until the run is over.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, HasSelf, InstancePre, Lift, Linker, Lower,
    Resource, ResourceType,
};
use wasmtime::{Engine, Store, StoreContextMut};

use crate::bindings::{
    Payload, Plan, Request, index, keys, log, macs, opening, random, recipients, sealing, signing,
    state, tokens, types, verifying,
};
use crate::instance::Instance;
use crate::keys::KeyResource;

/// The run cannot end here and now: repeat it on a fiber.
#[derive(Debug, thiserror::Error)]
#[error("the run has to wait")]
pub struct MustWait;

type Answer<T> = Result<T, types::Error>;

/// A component linked to host functions that do not wait, and where its exports are.
pub struct AtOnce {
    pre: InstancePre<Instance>,
    authorize: ComponentExportIndex,
    authorize_many: ComponentExportIndex,
    invoke: ComponentExportIndex,
}

impl AtOnce {
    /// Links `component`, whose exports were checked before.
    pub fn new(linker: &Linker<Instance>, component: &Component) -> wasmtime::Result<Self> {
        let export = |interface: &str, function: &str| {
            let interface = component.get_export_index(None, interface);
            interface
                .and_then(|interface| component.get_export_index(Some(&interface), function))
                .ok_or_else(|| wasmtime::Error::msg(format!("there is no `{function}`")))
        };
        Ok(Self {
            pre: linker.instantiate_pre(component)?,
            authorize: export("keyward:policy/guard@0.1.0", "authorize")?,
            authorize_many: export("keyward:policy/guard@0.1.0", "authorize-many")?,
            invoke: export("keyward:policy/handler@0.1.0", "invoke")?,
        })
    }

    /// `guard.authorize` in a fresh instance.
    pub fn authorize(
        &self,
        store: &mut Store<Instance>,
        request: &Request,
    ) -> wasmtime::Result<Answer<Plan>> {
        let run = self.instantiate(store)?;
        run.call(store, &self.authorize, (request,))
    }

    /// `guard.authorize-many` in a fresh instance.
    pub fn authorize_many(
        &self,
        store: &mut Store<Instance>,
        requests: &[Request],
    ) -> wasmtime::Result<Vec<Answer<Plan>>> {
        let run = self.instantiate(store)?;
        run.call(store, &self.authorize_many, (requests,))
    }

    /// `guard.authorize`, then, if `decide` lets the plan pass, `handler.invoke` in the same fresh
    /// instance.
    pub fn invoke<E>(
        &self,
        store: &mut Store<Instance>,
        request: &Request,
        payload: &Payload,
        decide: impl FnOnce(Answer<Plan>) -> Result<(), E>,
    ) -> wasmtime::Result<Result<Answer<Payload>, E>> {
        let run = self.instantiate(store)?;
        let plan = run.call(store, &self.authorize, (request,))?;
        if let Err(refused) = decide(plan) {
            return Ok(Err(refused));
        }
        Ok(Ok(run.call(store, &self.invoke, (request, payload))?))
    }

    fn instantiate(&self, store: &mut Store<Instance>) -> wasmtime::Result<Running> {
        Ok(Running(self.pre.instantiate(store)?))
    }
}

struct Running(wasmtime::component::Instance);

impl Running {
    fn call<P, R>(
        &self,
        store: &mut Store<Instance>,
        export: &ComponentExportIndex,
        params: P,
    ) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
        (R,): ComponentNamedList,
    {
        let function = self.0.get_typed_func::<P, (R,)>(&mut *store, export)?;
        let (answer,) = function.call(store, params)?;
        Ok(answer)
    }
}

/// The host functions, none of which waits.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Instance>> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, itself)?;
    random::add_to_linker::<_, HasSelf<_>>(&mut linker, itself)?;
    recipients::add_to_linker::<_, HasSelf<_>>(&mut linker, itself)?;
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, itself)?;
    add_keys(&mut linker)?;

    let mut instance = linker.instance("keyward:policy/sealing@0.1.0")?;
    instance.func_wrap("encrypt", |mut on: On<'_>, (key, data, aad)| {
        now(sealing::Host::encrypt(on.data_mut(), key, data, aad))
    })?;
    instance.func_wrap("encrypt-many", |mut on: On<'_>, (key, items)| {
        now(sealing::Host::encrypt_many(on.data_mut(), key, items))
    })?;

    let mut instance = linker.instance("keyward:policy/opening@0.1.0")?;
    instance.func_wrap("decrypt", |mut on: On<'_>, (key, data, aad)| {
        now(opening::Host::decrypt(on.data_mut(), key, data, aad))
    })?;
    instance.func_wrap("decrypt-many", |mut on: On<'_>, (key, items)| {
        now(opening::Host::decrypt_many(on.data_mut(), key, items))
    })?;

    let mut instance = linker.instance("keyward:policy/macs@0.1.0")?;
    instance.func_wrap("mac", |mut on: On<'_>, (key, data)| {
        now(macs::Host::mac(on.data_mut(), key, data))
    })?;
    instance.func_wrap("verify", |mut on: On<'_>, (key, data, tag)| {
        now(macs::Host::verify(on.data_mut(), key, data, tag))
    })?;

    let mut instance = linker.instance("keyward:policy/signing@0.1.0")?;
    instance.func_wrap("sign", |mut on: On<'_>, (key, data, form)| {
        now(signing::Host::sign(on.data_mut(), key, data, form))
    })?;

    let mut instance = linker.instance("keyward:policy/verifying@0.1.0")?;
    instance.func_wrap("verify", |mut on: On<'_>, (key, data, signature, form)| {
        now(verifying::Host::verify(on.data_mut(), key, data, signature, form))
    })?;
    instance.func_wrap("public-key", |mut on: On<'_>, (key,)| {
        now(verifying::Host::public_key(on.data_mut(), key))
    })?;

    let mut instance = linker.instance("keyward:policy/index@0.1.0")?;
    instance.func_wrap("term", |mut on: On<'_>, (key, label, value)| {
        now(index::Host::term(on.data_mut(), key, label, value))
    })?;
    instance.func_wrap("terms", |mut on: On<'_>, (key, label, value)| {
        now(index::Host::terms(on.data_mut(), key, label, value))
    })?;
    add_tokens(&mut linker)?;
    add_state(&mut linker)?;
    Ok(linker)
}

fn add_tokens(linker: &mut Linker<Instance>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("keyward:policy/tokens@0.1.0")?;
    instance.func_wrap("tokenize", |mut on: On<'_>, (key, alphabet, tweak, text)| {
        now(tokens::Host::tokenize(on.data_mut(), key, alphabet, tweak, text))
    })?;
    instance.func_wrap("reveal", |mut on: On<'_>, (key, alphabet, tweak, token)| {
        now(tokens::Host::reveal(on.data_mut(), key, alphabet, tweak, token))
    })?;
    instance.func_wrap("random", |mut on: On<'_>, (alphabet, length)| {
        Ok((tokens::Host::random(on.data_mut(), alphabet, length)?,))
    })
}

/// The store is another's: each of these waits, and the run goes to a fiber before it has an effect.
fn add_state(linker: &mut Linker<Instance>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("keyward:policy/state@0.1.0")?;
    instance
        .func_wrap("get", |mut on: On<'_>, (name,)| now(state::Host::get(on.data_mut(), name)))?;
    instance.func_wrap("put", |mut on: On<'_>, (name, value, ttl)| {
        now(state::Host::put(on.data_mut(), name, value, ttl))
    })?;
    instance.func_wrap("put-if", |mut on: On<'_>, (name, value, ttl, revision)| {
        now(state::Host::put_if(on.data_mut(), name, value, ttl, revision))
    })?;
    instance.func_wrap("add", |mut on: On<'_>, (name, amount, ttl)| {
        now(state::Host::add(on.data_mut(), name, amount, ttl))
    })?;
    instance.func_wrap("remove", |mut on: On<'_>, (name, revision)| {
        now(state::Host::remove(on.data_mut(), name, revision))
    })
}

fn add_keys(linker: &mut Linker<Instance>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("keyward:policy/keys@0.1.0")?;
    instance.resource("key", ResourceType::host::<KeyResource>(), |mut on: On<'_>, rep| {
        keys::HostKey::drop(on.data_mut(), Resource::new_own(rep))
    })?;
    instance.func_wrap("[method]key.name", |mut on: On<'_>, (key,)| {
        Ok((keys::HostKey::name(on.data_mut(), key)?,))
    })?;
    instance.func_wrap("[method]key.version", |mut on: On<'_>, (key,)| {
        Ok((keys::HostKey::version(on.data_mut(), key)?,))
    })?;
    instance.func_wrap("[method]key.algorithm", |mut on: On<'_>, (key,)| {
        Ok((keys::HostKey::algorithm(on.data_mut(), key)?,))
    })?;
    instance.func_wrap("[method]key.attribute", |mut on: On<'_>, (key, name)| {
        Ok((keys::HostKey::attribute(on.data_mut(), key, name)?,))
    })?;
    instance
        .func_wrap("open", |mut on: On<'_>, (name,)| now(keys::Host::open(on.data_mut(), name)))?;
    instance.func_wrap("open-version", |mut on: On<'_>, (name, version)| {
        now(keys::Host::open_version(on.data_mut(), name, version))
    })
}

type On<'a> = StoreContextMut<'a, Instance>;

fn itself(instance: &mut Instance) -> &mut Instance {
    instance
}

/// The result of a host function, if it is there without waiting. Dropped half-way, a load from
/// the store is begun anew by whoever needs it next.
fn now<T>(work: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<(T,)> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map(|value| (value,)),
        Poll::Pending => Err(wasmtime::Error::new(MustWait)),
    }
}
