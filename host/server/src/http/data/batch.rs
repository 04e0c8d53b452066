//! Many items: each distinct decision is made once, all in one instance of the policy, and each
//! item has its own answer or its own error.

use std::collections::HashMap;

use keyward_policy_host::Request as PolicyRequest;
use serde::Deserialize;

use super::Call;
use super::item::{Asked, Item};
use super::operation::{Operation, Place, Plans, RecentKey};
use crate::audit;
use crate::errors::Code;
use crate::http::json::{self, Text};
use crate::http::{Problem, output};

/// Most bytes of distinct keys, contexts and purposes in a batch: all of it enters the policy.
const MAX_DECISION_BYTES: usize = 2 << 20;

/// How the answers are set apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// By commas; errors point into `items`.
    Array,
    /// Each ends its line; errors point into the line.
    Lines,
}

/// An item that cannot be read, or whose decision cannot be had.
struct Failed<'a> {
    reference: Option<Text<'a>>,
    problem: Problem,
}

impl Call {
    /// Answers every item, in order. An error is the whole batch's: nothing was done.
    pub(super) async fn batch<O: Operation>(
        &self,
        raw: &[&[u8]],
        frame: Frame,
        out: &mut String,
    ) -> Result<(), Problem> {
        let recent = RecentKey::default();
        let place = Place { recent: Some(&recent), ..self.place() };
        let mut items = Vec::with_capacity(raw.len());
        for raw in raw {
            items.push(self.read::<O>(place, raw).await);
        }
        let Decisions { requests, groups, of_item } = self.decisions::<O>(&items)?;
        let plans = self.run(self.decider.authorize_many(&requests)).await?;
        if plans.iter().any(Result::is_ok) {
            audit::allowed();
        }
        // What all have in common is the entry's own.
        if let ([_], Some(Ok(item))) = (&groups[..], items.iter().find(|item| item.is_ok())) {
            item.asked.note();
        }
        let mut ready = Vec::with_capacity(groups.len());
        for Group { first, second, item, items: count } in groups {
            let plan = |at: usize| plans[at].clone().map_err(Problem::from);
            let Ok(item) = &items[item] else {
                ready.push(Err(Problem::internal("a decision for an item that cannot be read")));
                continue;
            };
            ready.push(match (plan(first), second.map(plan).transpose()) {
                (Ok(first), Ok(second)) => {
                    let mut ready = self.ready::<O>(item, Plans { first, second }).await;
                    if let Ok(ready) = &mut ready
                        && count > 1
                    {
                        O::expect(ready, count)?;
                    }
                    ready
                }
                (Err(problem), _) | (_, Err(problem)) => Err(problem),
            });
        }
        for (index, (item, group)) in items.iter().zip(of_item).enumerate() {
            if frame == Frame::Array && index > 0 {
                out.push(',');
            }
            let reference = match item {
                Ok(item) => item.reference.as_ref(),
                Err(failed) => failed.reference.as_ref(),
            };
            open_item(out, reference);
            let done = match (item, group.map(|group| &ready[group])) {
                (Ok(item), Some(Ok(ready))) => {
                    let start = out.len();
                    let done = O::execute(place, ready, item, out).await;
                    if done.is_err() {
                        out.truncate(start);
                    }
                    done
                }
                (Err(failed), _) => Err(failed.problem.clone()),
                (Ok(_), Some(Err(problem))) => Err(problem.clone()),
                (Ok(_), None) => Err(Problem::internal("an item without a decision")),
            };
            audit::item(done.as_ref().err().map(|problem| problem.code));
            if let Err(problem) = done {
                self.app.requests.failed(problem.code);
                push_error(out, frame, index, problem)?;
            }
            out.push('}');
            if frame == Frame::Lines {
                out.push('\n');
            }
        }
        Ok(())
    }

    async fn read<'a, O: Operation>(
        &self,
        place: Place<'a>,
        raw: &'a [u8],
    ) -> Result<Item<'a, O::Work>, Failed<'a>> {
        let item = match json::parse(raw) {
            Ok(fields) => O::read(place, fields).await,
            Err(problem) => Err(problem),
        };
        let item = item.and_then(|item| self.check_scope(&item).map(|()| item));
        item.map_err(|problem| Failed { reference: reference_of(raw), problem })
    }

    /// Which decisions a batch needs: items that a policy cannot tell apart share one.
    fn decisions<'i, O: Operation>(
        &self,
        items: &'i [Result<Item<'_, O::Work>, Failed<'_>>],
    ) -> Result<Decisions, Problem> {
        let mut known: HashMap<&'i Asked<'_>, usize> = HashMap::new();
        let mut group_of = HashMap::new();
        let mut all = Decisions { requests: vec![], groups: vec![], of_item: vec![] };
        let mut bytes = 0;
        let mut last: Option<(&Item<'_, O::Work>, usize)> = None;
        for (at, item) in items.iter().enumerate() {
            let Ok(item) = item else {
                all.of_item.push(None);
                continue;
            };
            // Mostly an item asks what the one before it does: cheaper to compare than to hash.
            if let Some((before, group)) = last
                && before.asked == item.asked
                && before.also == item.also
            {
                all.groups[group].items += 1;
                all.of_item.push(Some(group));
                continue;
            }
            let mut decision = |asked: &'i Asked<'_>| {
                *known.entry(asked).or_insert_with(|| {
                    bytes += asked.len();
                    all.requests.push(self.request(O::NAME, asked));
                    all.requests.len() - 1
                })
            };
            let (first, second) = (decision(&item.asked), item.also.as_ref().map(decision));
            let group = *group_of.entry((first, second)).or_insert_with(|| {
                all.groups.push(Group { first, second, item: at, items: 0 });
                all.groups.len() - 1
            });
            all.groups[group].items += 1;
            all.of_item.push(Some(group));
            last = Some((item, group));
        }
        if bytes > MAX_DECISION_BYTES {
            let detail = format!(
                "the batch's distinct contexts and purposes have {bytes} bytes; at most \
                 {MAX_DECISION_BYTES} are allowed: split the batch"
            );
            return Err(Problem::field(Code::PayloadTooLarge, "/items", detail));
        }
        Ok(all)
    }
}

struct Decisions {
    requests: Vec<PolicyRequest>,
    groups: Vec<Group>,
    /// The group of each item; none if the item is wrong in itself.
    of_item: Vec<Option<usize>>,
}

/// Items that share their decisions.
struct Group {
    first: usize,
    second: Option<usize>,
    /// The first of them.
    item: usize,
    /// How many they are.
    items: usize,
}

/// Begins an answer with the caller's own mark.
pub fn open_item(out: &mut String, reference: Option<&Text<'_>>) {
    out.push('{');
    if let Some(reference) = reference {
        out.push_str("\"reference\":");
        output::push_json_string(out, reference.as_str());
        out.push(',');
    }
}

/// The mark of an item that is wrong otherwise, if it can be made out.
fn reference_of(raw: &[u8]) -> Option<Text<'_>> {
    #[derive(Deserialize)]
    struct Marked<'a> {
        #[serde(borrow)]
        reference: Option<Text<'a>>,
    }
    let marked: Marked<'_> = serde_json::from_slice(raw).ok()?;
    marked.reference.filter(|text| text.as_str().len() <= super::item::MAX_REFERENCE)
}

fn push_error(
    out: &mut String,
    frame: Frame,
    index: usize,
    mut problem: Problem,
) -> Result<(), Problem> {
    if frame == Frame::Array {
        // Within an item, pointers are relative to it.
        problem.field = problem.field.map(|field| format!("/items/{index}{field}"));
    }
    out.push_str("\"error\":");
    out.push_str(&serde_json::to_string(&problem.as_item()).map_err(Problem::internal)?);
    Ok(())
}
