//! `POST …/encrypt` and `POST …/decrypt`: the policy decides, the host does the bytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Response;
use keyward_keyring::TenantName;
use keyward_policy_host::{Policy, Request as PolicyRequest};

use super::auth::Access;
use super::items::{Body, Item, Items};
use super::work::{Direction, Ready, Work};
use super::{Params, Problem, body, json, output, request_id};
use crate::app::App;
use crate::clock;
use crate::errors::Code;
use crate::tokens::Credential;

/// Most bytes of distinct keys, contexts and purposes in a batch: all of it enters the policy.
const MAX_BATCH_DECISION_BYTES: usize = 2 << 20;

/// `POST …/encrypt`.
pub async fn encrypt(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<axum::body::Body>, Problem> {
    run(Direction::Encrypt, &app, path, request).await
}

/// `POST …/decrypt`.
pub async fn decrypt(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<axum::body::Body>, Problem> {
    run(Direction::Decrypt, &app, path, request).await
}

async fn run(
    direction: Direction,
    app: &App,
    path: Params,
    request: Request,
) -> Result<Response<axum::body::Body>, Problem> {
    let Access { credential, tenant, .. } = Access::data(app, path, request.headers()).await?;
    let id = request_id::of(&request);
    let bytes = body::read_json(app, request).await?;
    let mut input: Body<'_> = json::parse(&bytes)?;
    let active = app.policies.active(&tenant)?;
    let call = Call {
        direction,
        app,
        tenant,
        policy: &active.policy,
        credential: &credential,
        id: id.as_str(),
        time: clock::unix_ms(),
    };
    let text = match input.items.take() {
        None => call.single(&input.into_item()).await?,
        Some(items) => {
            if let Some(field) = input.field_beside_items() {
                let detail = "stands beside `items`; in a batch each item has its own fields";
                return Err(Problem::field(Code::InvalidField, field, detail));
            }
            call.batch(&items).await?
        }
    };
    Ok(output::json_text(text))
}

/// One HTTP request to encrypt or decrypt.
struct Call<'a> {
    direction: Direction,
    app: &'a App,
    tenant: TenantName,
    policy: &'a Policy,
    credential: &'a Credential,
    id: &'a str,
    time: u64,
}

impl Call<'_> {
    async fn single(&self, item: &Item<'_>) -> Result<String, Problem> {
        let work = Work::read(self.direction, &self.app.keyring, &self.tenant, item).await?;
        let request = self.request(&work, item);
        let host = self.app.policies.host();
        let plan = host.authorize(self.policy, &request).await?;
        let ready = self.ready(&work, item, plan).await?;
        let mut out = String::with_capacity(work.len() * 4 / 3 + 256);
        open_item(&mut out, item);
        ready.execute(&self.app.keyring, &work, &mut out).await?;
        out.push('}');
        Ok(out)
    }

    async fn batch(&self, items: &Items<'_>) -> Result<String, Problem> {
        self.check_count(items.count)?;
        let items = &items.kept;
        let mut works = Vec::with_capacity(items.len());
        for item in items {
            works.push(Work::read(self.direction, &self.app.keyring, &self.tenant, item).await);
        }
        let Decisions { requests, first, of_item } = self.decisions(items, &works)?;
        let host = self.app.policies.host();
        let plans = host.authorize_many(self.policy, &requests).await?;
        let mut ready = Vec::with_capacity(plans.len());
        for (plan, at) in plans.into_iter().zip(first) {
            ready.push(match (plan, &works[at]) {
                (Ok(plan), Ok(work)) => self.ready(work, &items[at], plan).await,
                (Err(refused), _) => Err(refused.into()),
                (_, Err(problem)) => Err(problem.clone()),
            });
        }
        let mut out = String::with_capacity(items.len() * 256);
        out.push_str("{\"items\":[");
        for (index, (item, work)) in items.iter().zip(&works).enumerate() {
            if index > 0 {
                out.push(',');
            }
            open_item(&mut out, item);
            let done = match (work, of_item[index].map(|decision| &ready[decision])) {
                (Ok(work), Some(Ok(ready))) => {
                    ready.execute(&self.app.keyring, work, &mut out).await
                }
                (Err(problem), _) | (_, Some(Err(problem))) => Err(problem.clone()),
                (Ok(_), None) => Err(Problem::internal("an item without a decision")),
            };
            if let Err(problem) = done {
                self.app.requests.failed(problem.code);
                push_error(&mut out, index, problem)?;
            }
            out.push('}');
        }
        out.push_str("]}");
        Ok(out)
    }

    fn check_count(&self, count: usize) -> Result<(), Problem> {
        let limit = self.app.http.max_items;
        if count == 0 {
            return Err(Problem::field(Code::NoItems, "/items", "a batch has at least one item"));
        }
        if count > limit {
            let detail = format!("{count} items; a batch has at most {limit}");
            return Err(Problem::field(Code::TooManyItems, "/items", detail));
        }
        Ok(())
    }

    /// Which decisions a batch needs: items that a policy cannot tell apart share one.
    fn decisions(
        &self,
        items: &[Item<'_>],
        works: &[Result<Work, Problem>],
    ) -> Result<Decisions, Problem> {
        let mut seen = HashMap::new();
        let mut all = Decisions { requests: vec![], first: vec![], of_item: vec![] };
        let mut bytes = 0;
        for (at, (item, work)) in items.iter().zip(works).enumerate() {
            let Ok(work) = work else {
                all.of_item.push(None);
                continue;
            };
            let purpose = item.purpose.as_ref().map(json::Text::as_str);
            let decision = match seen.entry((work.key(item), work.context(), purpose)) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let request = self.request(work, item);
                    bytes += request.key.as_ref().map_or(0, String::len)
                        + request.context.as_ref().map_or(0, Vec::len)
                        + request.purpose.as_ref().map_or(0, String::len);
                    all.requests.push(request);
                    all.first.push(at);
                    *entry.insert(all.requests.len() - 1)
                }
            };
            all.of_item.push(Some(decision));
        }
        if bytes > MAX_BATCH_DECISION_BYTES {
            let detail = format!(
                "the batch's distinct contexts and purposes have {bytes} bytes; at most \
                 {MAX_BATCH_DECISION_BYTES} are allowed: split the batch"
            );
            return Err(Problem::field(Code::PayloadTooLarge, "/items", detail));
        }
        Ok(all)
    }

    fn request(&self, work: &Work, item: &Item<'_>) -> PolicyRequest {
        PolicyRequest {
            id: self.id.to_owned(),
            tenant: self.tenant.as_str().to_owned(),
            caller: self.credential.caller.clone(),
            operation: self.direction.operation().to_owned(),
            key: work.key(item).map(str::to_owned),
            context: work.context().map(<[u8]>::to_vec),
            purpose: item.purpose.as_ref().map(|text| text.as_str().to_owned()),
            time: self.time,
        }
    }

    async fn ready(
        &self,
        work: &Work,
        item: &Item<'_>,
        plan: keyward_policy_host::Plan,
    ) -> Result<Ready, Problem> {
        let ready = Ready::prepare(&self.app.keyring, &self.tenant, work, item, plan).await?;
        ready.obligations().record(self.tenant.as_str(), self.id);
        Ok(ready)
    }
}

struct Decisions {
    requests: Vec<PolicyRequest>,
    /// The first item each decision is for.
    first: Vec<usize>,
    /// The decision of each item; none if the item is wrong in itself.
    of_item: Vec<Option<usize>>,
}

fn open_item(out: &mut String, item: &Item<'_>) {
    out.push('{');
    if let Some(reference) = &item.reference {
        out.push_str("\"reference\":");
        output::push_json_string(out, reference.as_str());
        out.push(',');
    }
}

fn push_error(out: &mut String, index: usize, mut problem: Problem) -> Result<(), Problem> {
    // Within an item, pointers are relative to it.
    problem.field = problem.field.map(|field| format!("/items/{index}{field}"));
    out.push_str("\"error\":");
    out.push_str(&serde_json::to_string(&problem.as_item()).map_err(Problem::internal)?);
    Ok(())
}
