//! Requests on data — encrypt, decrypt, rewrap, data keys, MACs, hashes, randomness: the policy
//! decides, the host does the bytes. Each operation is a module; what they share is here: one
//! item or a batch, the decisions a batch needs, and the answers in the items' order.

mod batch;
mod body;
mod datakey;
mod decrypt;
mod derive;
mod encrypt;
mod hash;
pub(super) mod item;
mod lines;
mod mac;
mod operation;
mod random;
mod rewrap;
mod routes;
mod sign;
pub mod stream;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use keyward_keyring::TenantName;
use keyward_policy_host::{Obligations, Plan, PolicyError, Request as PolicyRequest};

pub use self::datakey::Datakey;
pub use self::decrypt::Decrypt;
pub use self::derive::Derive;
pub use self::encrypt::Encrypt;
pub use self::hash::Hash;
use self::item::{Asked, Item};
pub use self::mac::{Mac, VerifyMac};
use self::operation::{Operation, Place, Plans};
pub use self::random::Random;
pub use self::rewrap::Rewrap;
pub use self::routes::routes;
pub use self::sign::{Sign, Verify};
use super::auth::Access;
use super::{Params, Problem, output, request_id};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::policies::Decider;
use crate::tokens::Credential;
use crate::tokens::scope::Kind;

/// `POST …/encrypt`, `POST …/decrypt` and their kind. `application/json` carries one item or
/// `{"items":[…]}`; `application/x-ndjson` carries any number, one to a line.
pub async fn run<O: Operation>(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::data(&app, path, request.headers()).await?;
    let id = request_id::of(&request).as_str().to_owned();
    let begin = |app: Arc<App>| -> Result<Call, Problem> {
        let decider = app.policies.decider(&tenant)?;
        audit::policy(decider.digest());
        Ok(Call { app, tenant, decider, credential, id, time: clock::unix_ms() })
    };
    if lines::are_in(request.headers()) {
        return Ok(lines::answer::<O>(begin(app)?, request.into_body()));
    }
    // A body that makes no sense is said to, whatever the policy.
    let bytes = super::body::read_json(&app, request).await?;
    let call = begin(app);
    let parsed = body::read::<O>(&bytes)?;
    let call = call.as_ref().map_err(Clone::clone)?;
    let text = match parsed {
        body::Body::One(fields) => {
            call.app.limits.items(call.tenant.as_str(), 1)?;
            call.single::<O>(fields).await?
        }
        body::Body::Batch(items) => {
            let items = body::checked(items, call.app.bodies.max_items())?;
            call.app.limits.items(call.tenant.as_str(), items.len())?;
            let mut text = String::with_capacity(items.len() * 256);
            text.push_str("{\"items\":[");
            call.batch::<O>(&items, batch::Frame::Array, &mut text).await?;
            text.push_str("]}");
            text
        }
    };
    Ok(output::json_text(text))
}

/// One HTTP request on data.
struct Call {
    app: Arc<App>,
    tenant: TenantName,
    decider: Decider,
    credential: Arc<Credential>,
    id: String,
    time: u64,
}

impl Call {
    fn place(&self) -> Place<'_> {
        Place { keyring: &self.app.keyring, tenant: &self.tenant, recent: None }
    }

    async fn single<'a, O: Operation>(&'a self, fields: O::Fields<'a>) -> Result<String, Problem> {
        let place = self.place();
        let item = O::read(place, fields).await?;
        item.asked.note();
        self.check_scope(&item)?;
        let first = self.decide::<O>(&item.asked).await?;
        let second = match &item.also {
            None => None,
            Some(also) => Some(self.decide::<O>(also).await?),
        };
        audit::allowed();
        let ready = self.ready::<O>(&item, Plans { first, second }).await?;
        let mut out = String::with_capacity(512);
        batch::open_item(&mut out, item.reference.as_ref());
        O::execute(place, &ready, &item, &mut out).await?;
        out.push('}');
        Ok(out)
    }

    /// Has the tenant's policy run, within the tenant's quotas.
    async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, PolicyError>>,
    ) -> Result<T, Problem> {
        self.app.limits.run(self.tenant.as_str(), work).await
    }

    async fn decide<O: Operation>(&self, asked: &Asked<'_>) -> Result<Plan, Problem> {
        let request = self.request(O::NAME, asked);
        self.run(self.decider.authorize(&request)).await
    }

    /// Whether the tenant's policy may have this key used, which its plan or the caller names.
    fn check_grant(&self, planned: Option<&str>, asked: Option<&str>) -> Result<(), Problem> {
        let key = planned.or(asked);
        key.map_or(Ok(()), |key| self.app.limits.check_grant(self.tenant.as_str(), key))
    }

    /// Whether the credential may be used for the keys that an item names.
    fn check_scope<W>(&self, item: &Item<'_, W>) -> Result<(), Problem> {
        self.check_key(item.asked.key.as_deref())?;
        item.also.as_ref().map_or(Ok(()), |also| self.check_key(also.key.as_deref()))
    }

    /// Whether the credential may be used for this key, which the caller or a plan names.
    fn check_key(&self, key: Option<&str>) -> Result<(), Problem> {
        Ok(key.map_or(Ok(()), |key| self.credential.scope.check(Kind::Keys, key))?)
    }

    fn request(&self, operation: &str, asked: &Asked<'_>) -> PolicyRequest {
        PolicyRequest {
            id: self.id.clone(),
            tenant: self.tenant.as_str().to_owned(),
            caller: self.credential.caller.clone(),
            operation: operation.to_owned(),
            key: asked.key.as_deref().map(str::to_owned),
            context: asked.context.clone(),
            purpose: asked.purpose.as_ref().map(|text| text.as_str().to_owned()),
            time: self.time,
        }
    }

    /// Prepares what was decided, and records what the policy wanted noted.
    async fn ready<O: Operation>(
        &self,
        item: &Item<'_, O::Work>,
        plans: Plans,
    ) -> Result<O::Ready, Problem> {
        // The policy may have chosen another key than the caller.
        self.check_key(plans.first.key.as_deref())?;
        self.check_key(plans.second.as_ref().and_then(|plan| plan.key.as_deref()))?;
        self.check_grant(plans.first.key.as_deref(), item.asked.key.as_deref())?;
        if let (Some(plan), Some(also)) = (&plans.second, &item.also) {
            self.check_grant(plan.key.as_deref(), also.key.as_deref())?;
        }
        let note = |plan: &Plan| Obligations::of(plan);
        let obligations = [Some(note(&plans.first)?), plans.second.as_ref().map(note).transpose()?];
        let ready = O::prepare(self.place(), item, plans).await?;
        for obligations in obligations.into_iter().flatten() {
            obligations.record(self.tenant.as_str(), &self.id);
        }
        Ok(ready)
    }
}
