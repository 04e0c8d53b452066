//! What the proxy does to which requests, and what it remembers of them.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::Request;

/// How many requests are remembered.
const REMEMBERED: usize = 20_000;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It is forwarded.
    None,
    /// It is forwarded after a while.
    Delay(Duration),
    /// It is forwarded at once, and the answer held back a while.
    DelayAnswer(Duration),
    /// It is not forwarded, and no answer ever comes.
    BlackHole,
    /// It is not forwarded; the connection closes.
    Drop,
    /// It is not forwarded; the connection is reset.
    Reset,
    /// Vault does what it asks; then the connection closes without the answer.
    LoseAnswer,
    /// Vault does what it asks; then the connection is reset without the answer.
    ResetAnswer,
    /// It is not forwarded; the answer is this status with an error in Vault's form.
    Status(u16),
    /// It is not forwarded; the answer is 200 with this body.
    Body(String),
    /// Vault does what it asks; half of the answer's body comes, then the connection closes.
    Truncate,
}

/// A fault, and the requests that suffer it.
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    method: Option<String>,
    path: Option<String>,
    share: f64,
    left: Option<u64>,
}

impl Rule {
    /// This fault for every request.
    pub fn new(fault: Fault) -> Self {
        Self { fault, method: None, path: None, share: 1.0, left: None }
    }

    /// Only for requests of this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only for requests whose path contains this.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self { path: Some(part.to_owned()), ..self }
    }

    /// Only for this share of them (0 to 1), spread evenly: of any `n` in a row, `n × share`, one
    /// more or less.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Only for the first `times` of them.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { left: Some(times), ..self }
    }

    fn concerns(&self, request: &Request) -> bool {
        self.left != Some(0)
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && self.path.as_ref().is_none_or(|part| request.target.contains(part))
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The rules in force, and the requests that met them.
#[derive(Default)]
pub(super) struct Rules {
    /// Each with what it owes to its share.
    active: Vec<(Rule, f64)>,
    pub seen: VecDeque<Seen>,
    pub requests: u64,
}

impl Rules {
    pub fn set(&mut self, rules: Vec<Rule>) {
        self.active = rules.into_iter().map(|rule| (rule, 0.0)).collect();
    }

    /// What a request suffers; it is remembered.
    pub fn judge(&mut self, request: &Request) -> Fault {
        self.requests += 1;
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
        });
        for (rule, owed) in &mut self.active {
            if !rule.concerns(request) {
                continue;
            }
            *owed += rule.share;
            // A thousandth short of one is one: a share such as 0.1 does not add up exactly.
            if *owed < 0.999 {
                continue;
            }
            *owed -= 1.0;
            if let Some(left) = &mut rule.left {
                *left -= 1;
            }
            return rule.fault.clone();
        }
        Fault::None
    }
}
