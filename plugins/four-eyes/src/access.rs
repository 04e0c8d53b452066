//! Who may read what, until when: kept in the policy's state.
//!
//! | entry | value | life |
//! |---|---|---|
//! | `asked:<id>` | who asked for which key, and why | an hour |
//! | `granted:<key>:<subject>` | who approved it | a quarter of an hour |
//! | `read:<key>:<subject>:<minute>` | a counter | two minutes |
//! | `glass:<subject>:<day>` | a counter | a day |

use core::time::Duration;

use keyward_policy::{Error, Plan, Request, log, state, tokens};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::BREAK_GLASS;

/// How long a wish waits for somebody to grant it.
const WISH_LIFE: Duration = Duration::from_hours(1);
/// How long somebody may read what was granted.
const GRANT_LIFE: Duration = Duration::from_mins(15);
/// Most decryptions of one subject with one key in a minute.
const READS_A_MINUTE: i64 = 60;
/// Most decryptions of one subject in a day without approval.
const EMERGENCIES_A_DAY: i64 = 3;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    key: String,
    reason: String,
}

#[derive(Deserialize, Serialize)]
struct Asked {
    subject: String,
    key: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    id: String,
}

/// Whether the caller may decrypt now, and counts it.
pub fn check(request: &Request) -> Result<Plan, Error> {
    let Some(key) = request.key.as_deref() else {
        return Err(Error::invalid("name the key"));
    };
    let subject = &request.caller.subject;
    if let Some(grant) = state::get(&granted(key, subject))? {
        let minute = request.time / 60_000;
        let reads = state::add(&format!("read:{key}:{subject}:{minute}"), 1, Some(2 * MINUTE))?;
        if reads > READS_A_MINUTE {
            return Err(Error::denied(format!(
                "more than {READS_A_MINUTE} decryptions in this minute; go on in the next"
            )));
        }
        let by = String::from_utf8_lossy(&grant.value);
        return Ok(Plan::allow().note(format!("access approved by {by}")));
    }
    if request.has_role(BREAK_GLASS) {
        return break_glass(request, subject);
    }
    Err(Error::denied(format!(
        "nobody has approved that you read what key `{key}` protects; ask with \
         invoke/request-access"
    )))
}

fn break_glass(request: &Request, subject: &str) -> Result<Plan, Error> {
    let Some(reason) = request.purpose.as_deref().filter(|reason| !reason.trim().is_empty()) else {
        return Err(Error::invalid("an emergency has a reason: say it in `purpose`"));
    };
    let today = request.time / 86_400_000;
    let times = state::add(&format!("glass:{subject}:{today}"), 1, Some(DAY))?;
    if times > EMERGENCIES_A_DAY {
        return Err(Error::denied(format!(
            "{EMERGENCIES_A_DAY} emergencies a day are enough; ask with invoke/request-access"
        )));
    }
    log::warn("glass broken", &[("subject", subject), ("reason", reason)]);
    Ok(Plan::allow().note(format!("emergency {times} of {EMERGENCIES_A_DAY} today")))
}

/// `invoke/request-access`.
pub fn ask(request: &Request, body: &[u8]) -> Result<Value, Error> {
    let Wish { key, reason } = parse(body)?;
    if reason.trim().is_empty() {
        return Err(Error::invalid("say why, in `reason`"));
    }
    // Told to whoever approves, so nobody is to guess it.
    let id = tokens::random(tokens::ALPHANUMERIC, 22)?;
    let asked = Asked { subject: request.caller.subject.clone(), key, reason };
    let value = serde_json::to_vec(&asked).map_err(|error| Error::invalid(error.to_string()))?;
    state::put_if(&format!("asked:{id}"), &value, Some(WISH_LIFE), 0)?;
    Ok(json!({ "id": id, "expires_in": WISH_LIFE.as_secs() }))
}

/// `invoke/approve`.
pub fn approve(request: &Request, body: &[u8]) -> Result<Value, Error> {
    let Approval { id } = parse(body)?;
    let name = format!("asked:{id}");
    let missing = || Error::not_found("nobody has asked for this, or it is too long ago");
    let entry = state::get(&name)?.ok_or_else(missing)?;
    let damaged = |_| Error::unavailable("what was asked for cannot be read");
    let Asked { subject, key, reason } = serde_json::from_slice(&entry.value).map_err(damaged)?;
    let by = &request.caller.subject;
    if *by == subject {
        return Err(Error::denied("somebody else has to approve what you have asked for"));
    }
    // Of two who approve at once, the second finds nothing to approve.
    state::remove(&name, Some(entry.revision))?;
    state::put(&granted(&key, &subject), by.as_bytes(), Some(GRANT_LIFE))?;
    log::info("access approved", &[("subject", &subject), ("key", &key), ("by", by)]);
    let life = GRANT_LIFE.as_secs();
    Ok(json!({ "subject": subject, "key": key, "reason": reason, "expires_in": life }))
}

/// A key's name has no colon, so that no other pair gives the same name.
fn granted(key: &str, subject: &str) -> String {
    format!("granted:{key}:{subject}")
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    // Without serde's text, which repeats what was sent: errors reach logs.
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::invalid(format!("the body does not fit the schema, at line {line} column {column}"))
    })
}
