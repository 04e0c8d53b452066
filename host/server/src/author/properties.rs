//! What holds of every policy, checked on generated input: it never crashes, decides equal requests
//! equally, tells no plaintext, and its operations undo each other where they say they do.

mod generate;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use keyward_policy_host::{
    Caller, Detail, Observe, Operation, Payload, PolicyError, Request, Trace,
};
use serde_json::Value;

use self::generate::Generator;
use super::cases::{File, Or};
use super::run::{Failed, TIME, caller};
use super::sandbox::Sandbox;
use crate::client::failure::Failure;

/// Operations whose names say that the second reverses the first.
const INVERSE: [[&str; 2]; 5] = [
    ["protect", "reveal"],
    ["seal", "open"],
    ["encrypt", "decrypt"],
    ["wrap", "unwrap"],
    ["tokenize", "detokenize"],
];
/// What a request may ask of the host.
const OPERATIONS: [&str; 12] = [
    "encrypt",
    "decrypt",
    "rewrap",
    "datakey",
    "mac",
    "verify-mac",
    "sign",
    "verify",
    "derive",
    "random",
    "hash",
    "of-a-later-host",
];
const JSON: &str = "application/json";

/// One property, and how it went.
#[derive(Debug)]
pub struct Property {
    pub name: String,
    /// Inputs it held for.
    pub held: u64,
    /// Inputs the policy refused, so that there was nothing to check.
    pub refused: u64,
    /// The first input it did not hold for, and what came of it.
    pub failure: Option<String>,
}

impl Property {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), held: 0, refused: 0, failure: None }
    }

    fn fails(&mut self, why: impl FnOnce() -> String) {
        if self.failure.is_none() {
            self.failure = Some(why());
        }
    }
}

/// How many inputs, and which.
#[derive(Clone, Copy)]
pub struct Effort {
    pub cases: u64,
    pub seed: u64,
}

/// Checks all of them with the keys and callers of `file`.
pub async fn check(
    sandbox: &Sandbox,
    file: &File,
    effort: Effort,
) -> Result<Vec<Property>, Failure> {
    sandbox.set_up(file).await?;
    let operations = sandbox.policy.operations();
    let checker = Checker { sandbox, file };
    let mut steady = Property::new("equal requests get equal decisions");
    let mut whole = Property::new("no input makes it crash");
    let mut silent = Property::new("no plaintext in errors or logs");
    let mut generator = Generator::new(effort.seed);
    for _ in 0..effort.cases {
        let request = checker.request(&mut generator, operations);
        checker.decide(&request, &mut steady, &mut whole).await?;
    }
    for operation in operations {
        for _ in 0..effort.cases {
            let payload = Checker::payload(&mut generator, operation);
            let request = checker.invocation(&operation.name);
            let trace = checker.observe(&request, Some(&payload)).await?;
            Checker::stays_whole(&request, &trace, &mut whole);
            tells_nothing(&generator.canary, &request, &payload, &trace, &mut silent);
        }
    }
    let mut properties = vec![steady, whole];
    if !operations.is_empty() {
        properties.push(silent);
    }
    for [forth, back] in checker.pairs(operations)? {
        let Some(operation) = operations.iter().find(|it| it.name == forth) else { continue };
        let mut inverse = Property::new(format!("{back}({forth}(x)) = x"));
        for _ in 0..effort.cases {
            checker.there_and_back(&mut generator, operation, &back, &mut inverse).await?;
        }
        if inverse.held == 0 && inverse.failure.is_none() {
            inverse.fails(|| {
                format!(
                    "`{forth}` refused every input; name a caller who may call it, in \
                     `properties.caller` of a file of cases, or set `properties.inverse = []`"
                )
            });
        }
        properties.push(inverse);
    }
    Ok(properties)
}

struct Checker<'a> {
    sandbox: &'a Sandbox,
    file: &'a File,
}

impl Checker<'_> {
    async fn observe(
        &self,
        request: &Request,
        payload: Option<&Payload>,
    ) -> Result<Trace, Failure> {
        let observe = Observe { detail: Detail::Values, script: None, ..Observe::default() };
        let policy = &self.sandbox.policy;
        let observed = self.sandbox.host.observe(policy, request, payload, observe).await;
        observed.map_err(|error| Failure::local("the policy did not run", &error))
    }

    /// A request of any kind.
    fn request(&self, generator: &mut Generator, operations: &[Operation]) -> Request {
        let mut names: Vec<String> = OPERATIONS.iter().map(|name| (*name).to_owned()).collect();
        names.extend(operations.iter().map(|it| format!("invoke/{}", it.name)));
        let mut keys: Vec<Option<String>> = self.file.keys.keys().cloned().map(Some).collect();
        keys.extend([None, Some("no-such-key".into()), Some("../x \u{0}é".into())]);
        let seen = |get: fn(&super::cases::Case) -> Option<&String>| {
            let mut seen: Vec<Option<String>> =
                self.file.cases.iter().map(|case| get(case).cloned()).collect();
            seen.extend([None, Some(String::new()), Some("x".repeat(300))]);
            seen
        };
        let purposes = seen(|case| case.purpose.as_ref());
        let contexts = seen(|case| case.context.as_ref());
        let mut callers: Vec<Caller> = self.file.callers.values().cloned().map(caller).collect();
        callers.extend(self.file.cases.iter().map(|case| caller(self.file.caller(case))));
        callers.push(self.everybody());
        callers.push(caller(super::cases::Caller::default()));
        let pick = |generator: &mut Generator, from: &[Option<String>]| {
            generator.one_of(from).cloned().flatten()
        };
        Request {
            id: "property".into(),
            tenant: self.file.tenant.clone(),
            operation: generator.one_of(&names).cloned().unwrap_or_default(),
            key: pick(generator, &keys),
            purpose: pick(generator, &purposes),
            context: pick(generator, &contexts).map(String::into_bytes),
            caller: generator.one_of(&callers).cloned().unwrap_or_else(|| self.everybody()),
            time: TIME,
        }
    }

    /// Somebody with every role of the file.
    fn everybody(&self) -> Caller {
        let in_cases = self.file.cases.iter().filter_map(|case| match &case.caller {
            Some(Or::Long(caller)) => Some(caller),
            _ => None,
        });
        let callers = self.file.callers.values().chain(in_cases);
        let roles: BTreeSet<&String> = callers.flat_map(|caller| &caller.roles).collect();
        Caller {
            subject: "property".into(),
            roles: roles.into_iter().cloned().collect(),
            claims: Vec::new(),
        }
    }

    /// A call of an operation by whoever may make it.
    fn invocation(&self, operation: &str) -> Request {
        let properties = self.file.properties.as_ref();
        let named = properties.and_then(|it| self.file.callers.get(it.caller.as_ref()?));
        let operation = format!("invoke/{operation}");
        let like = self.file.cases.iter();
        let mut like =
            like.filter(|case| case.operation == operation && case.expect.allow.is_some());
        let like = like.next_back();
        Request {
            id: "property".into(),
            tenant: self.file.tenant.clone(),
            caller: match (named, like) {
                (Some(named), _) => caller(named.clone()),
                (None, Some(case)) => caller(self.file.caller(case)),
                (None, None) => self.everybody(),
            },
            operation,
            key: properties.and_then(|it| it.key.clone()).or_else(|| like?.key.clone()),
            context: like.and_then(|case| case.context.clone()).map(String::into_bytes),
            purpose: like.and_then(|case| case.purpose.clone()),
            time: TIME,
        }
    }

    /// An input: mostly one of the schema, sometimes any JSON, sometimes none.
    fn payload(generator: &mut Generator, operation: &Operation) -> Payload {
        let body = match generator.rng.u32(0..10) {
            0 => generator.garbage(),
            1 | 2 => generator.anything(3).to_string().into_bytes(),
            _ => from_schema(generator, operation),
        };
        Payload { content_type: JSON.into(), body }
    }

    async fn decide(
        &self,
        request: &Request,
        steady: &mut Property,
        whole: &mut Property,
    ) -> Result<(), Failure> {
        // What a policy remembers may decide; equal are decisions that remember the same, nothing.
        self.sandbox.forget();
        let first = self.observe(request, None).await?;
        self.sandbox.forget();
        let second = self.observe(request, None).await?;
        Self::stays_whole(request, &first, whole);
        let mut answers = vec![shown(&second.decision)];
        if !self.sandbox.remembers() {
            let batch = [request.clone(), request.clone()];
            let batch = self.sandbox.host.authorize_many(&self.sandbox.policy, &batch).await;
            // A batch that fails as a whole says so in the single decision, too.
            let decisions = batch.into_iter().flatten();
            answers.extend(decisions.map(|it| shown(&it.map_err(PolicyError::from))));
        }
        let first = shown(&first.decision);
        match answers.iter().find(|answer| **answer != first) {
            None => steady.held += 1,
            Some(other) => {
                steady.fails(|| format!("{}: first {first}, then {other}", shown_request(request)));
            }
        }
        Ok(())
    }

    fn stays_whole(request: &Request, trace: &Trace, whole: &mut Property) {
        let output = trace.output.as_ref().and_then(|output| output.as_ref().err());
        match trace.decision.as_ref().err().or(output) {
            None | Some(PolicyError::Refused(_)) => whole.held += 1,
            // The plan's own doing, and said to the caller.
            Some(error) if error.code() == "policy_max_bytes" => whole.held += 1,
            Some(error) => {
                whole.fails(|| format!("{}: {} ({})", shown_request(request), error, error.code()));
            }
        }
    }

    /// Pairs of operations to check.
    fn pairs(&self, operations: &[Operation]) -> Result<Vec<[String; 2]>, Failure> {
        let offers = |name: &str| operations.iter().any(|operation| operation.name == name);
        let Some(pairs) = self.file.properties.as_ref().and_then(|it| it.inverse.as_ref()) else {
            let known = INVERSE.iter().filter(|[forth, back]| offers(forth) && offers(back));
            return Ok(known.map(|pair| pair.map(str::to_owned)).collect());
        };
        match pairs.iter().flatten().find(|name| !offers(name)) {
            None => Ok(pairs.clone()),
            Some(name) => Err(Failure::Usage(format!(
                "{}: `properties.inverse`: the policy has no operation `{name}`",
                self.file.path.display()
            ))),
        }
    }

    async fn there_and_back(
        &self,
        generator: &mut Generator,
        operation: &Operation,
        back: &str,
        inverse: &mut Property,
    ) -> Result<(), Failure> {
        let body = from_schema(generator, operation);
        let payload = Payload { content_type: JSON.into(), body };
        let request = self.invocation(&operation.name);
        let Some(Ok(output)) = self.observe(&request, Some(&payload)).await?.output else {
            inverse.refused += 1;
            return Ok(());
        };
        let request = self.invocation(back);
        let trace = self.observe(&request, Some(&output)).await?;
        let said = match trace.output {
            Some(Ok(returned)) if same(&returned.body, &payload.body) => {
                inverse.held += 1;
                return Ok(());
            }
            Some(Ok(returned)) => super::judge::shown_body(&returned),
            Some(Err(error)) => error.to_string(),
            None => shown(&trace.decision),
        };
        inverse
            .fails(|| format!("x = {}, but back came {said}", super::judge::shown_body(&payload)));
        Ok(())
    }
}

fn from_schema(generator: &mut Generator, operation: &Operation) -> Vec<u8> {
    let schema: Value = serde_json::from_str(&operation.input_schema).unwrap_or_default();
    generator.value(&schema, &schema).to_string().into_bytes()
}

/// The same JSON, or the same bytes.
fn same(a: &[u8], b: &[u8]) -> bool {
    let json = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    a == b || json(a).is_some_and(|a| Some(a) == json(b))
}

fn tells_nothing(
    canary: &str,
    request: &Request,
    payload: &Payload,
    trace: &Trace,
    silent: &mut Property,
) {
    // What was not sent cannot be told.
    if !payload.body.windows(canary.len()).any(|part| part == canary.as_bytes()) {
        return;
    }
    let output = trace.output.as_ref().and_then(|output| output.as_ref().err());
    let error = trace.decision.as_ref().err().or(output).map(PolicyError::to_string);
    let logged = trace.log.iter().map(|line| format!("{} {}", line.message, line.fields));
    let told = error.into_iter().map(|text| format!("the error \"{text}\""));
    let told = told.chain(logged.map(|text| format!("the log line \"{text}\"")));
    match told.into_iter().find(|text| text.contains(canary)) {
        None => silent.held += 1,
        Some(text) => silent.fails(|| {
            let input = super::judge::shown_body(payload);
            format!("{} with {input}: {text} repeats it", shown_request(request))
        }),
    }
}

fn shown(decision: &Result<keyward_policy_host::Plan, PolicyError>) -> String {
    match decision {
        Ok(plan) => format!("allowed: {}", super::judge::shown_plan(plan)),
        Err(error) => {
            let failed = Failed::from(error);
            format!("{}: {}", failed.kind(), failed.text)
        }
    }
}

fn shown_request(request: &Request) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("{} by roles {:?}", request.operation, request.caller.roles);
    for (name, value) in [("key", &request.key), ("purpose", &request.purpose)] {
        if let Some(value) = value {
            let value: String = value.chars().take(40).collect();
            let _ = write!(text, ", {name} {value:?}");
        }
    }
    if let Some(context) = &request.context {
        let _ = write!(text, ", a context of {} bytes", context.len());
    }
    text
}
