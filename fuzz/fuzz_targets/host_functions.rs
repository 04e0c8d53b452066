//! The host functions, called by a guest with whatever arguments, in whatever order.
//!
//! The guest is a component whose operation makes the calls that its payload says (see
//! `keyward_crafted::script`), so that every value takes the way it takes in a server: lifted from
//! linear memory by wasmtime, through the limits, to real keys, and back.
#![no_main]

#[path = "../../host/policy/tests/support/mod.rs"]
#[allow(unused_imports, unused_macros)]
mod support;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use keyward_crafted::script::{self, PAYLOAD, RESULT};
use keyward_crafted::{HostFunction, host_functions};
use keyward_policy_host::{Limits, Payload, Policy, PolicyError, PolicyHost, Request};
use libfuzzer_sys::fuzz_target;
use support::{pool, request};
use tokio::runtime::Runtime;

/// Names and texts that lead somewhere.
const TEXTS: [&[u8]; 12] = [
    b"demo",
    b"tags",
    b"same",
    b"seal",
    b"mail",
    b"secret",
    b"",
    b"0123456789",
    b"other/secret",
    b"\xff\xfe",
    b"keyward baseline v1\0\0\0\0\x02eu",
    b"note",
];

/// One parameter's value. Plain numbers alone would hardly ever be a handle or a pointer.
#[derive(Arbitrary, Debug)]
enum Argument {
    /// As many texts begin so far into the payload's data.
    Text(u8),
    /// The length of a text.
    Length(u8),
    /// A small number: a handle, an enumerator, a count.
    Small(u8),
    /// An address where results go.
    Result(u8),
    /// What is at such an address: a handle that was given.
    Given(u8),
    /// Anywhere.
    Any(u32),
    /// Of 64 bits.
    Wide(u64),
}

/// A call, or a write.
#[derive(Arbitrary, Debug)]
struct Call {
    number: u8,
    arguments: Vec<Argument>,
    /// Whether texts are followed by their own lengths, and the last word is a result's address.
    tidy: bool,
}

#[derive(Arbitrary, Debug)]
struct Program {
    calls: Vec<Call>,
    data: Vec<u8>,
}

/// A runtime, a host, and the policy in it.
struct Fixture {
    runtime: Runtime,
    host: Arc<PolicyHost>,
    policy: Arc<Policy>,
    functions: Vec<HostFunction>,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut config = support::small();
        config.limits = Limits {
            cpu: Duration::from_secs(5),
            wall: Duration::from_secs(10),
            ..Limits::default()
        };
        let host = support::host_with(config, Duration::ZERO);
        let policy = runtime.block_on(host.admit(&script::policy().component())).unwrap();
        Self { runtime, host, policy, functions: host_functions() }
    }

    fn run(&self, program: &Program) {
        let mut calls = Vec::new();
        for call in &program.calls {
            self.write(call, &mut calls);
        }
        // Texts first, so that their places do not depend on what is behind.
        let mut data = TEXTS.concat();
        data.extend_from_slice(&program.data);
        // The addresses of texts are known once the length of all calls is.
        let base = PAYLOAD + 8 + u32::try_from(calls.len() * 8).unwrap_or(u32::MAX / 2);
        let bytes: Vec<u8> = calls.iter().flat_map(|word| word.at(base).to_le_bytes()).collect();
        let mut body = script::payload(&bytes, &data);
        body.truncate(script::MAX_PAYLOAD);
        let payload = Payload { content_type: "application/octet-stream".into(), body };
        let request = Request { operation: "invoke/run".into(), ..request("allow") };
        let started = Instant::now();
        let outcome = self.runtime.block_on(self.host.invoke(&self.policy, &request, &payload));
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        match outcome {
            Ok(_) | Err(PolicyError::Trap { .. } | PolicyError::Limit(_)) => {}
            Err(error) => panic!("a run ended as none may: {error:?}"),
        }
        let left = pool(&self.host);
        assert_eq!((left.component_instances, left.memories, left.stacks), (0, 0, 0));
    }

    fn write(&self, call: &Call, words: &mut Vec<Place>) {
        // One more than there are: it writes to memory.
        let number = usize::from(call.number) % (self.functions.len() + 1);
        words.push(Place::Is(number as u64));
        let count = self.functions.get(number).map_or(2, |function| function.params.len());
        let mut given = call.arguments.iter();
        let mut follow: Option<usize> = None;
        for nth in 0..count {
            if let Some(text) = follow.take() {
                words.push(Place::Is(TEXTS[text].len() as u64));
                continue;
            }
            let last = nth + 1 == count;
            words.push(match given.next() {
                Some(Argument::Text(text)) => {
                    let text = usize::from(*text) % TEXTS.len();
                    follow = call.tidy.then_some(text);
                    Place::Text(text)
                }
                Some(Argument::Length(text)) => {
                    Place::Is(TEXTS[usize::from(*text) % TEXTS.len()].len() as u64)
                }
                Some(Argument::Small(number)) => Place::Is((*number).into()),
                Some(Argument::Result(slot)) => Place::Is(result(*slot).into()),
                Some(Argument::Given(slot)) => Place::Is(1 << 32 | u64::from(result(*slot) + 4)),
                Some(Argument::Any(number)) => Place::Is((*number).into()),
                Some(Argument::Wide(number)) => Place::Is(*number),
                None if last && call.tidy => Place::Is(result(0).into()),
                None => Place::Is(0),
            });
        }
    }
}

/// Where a result may go: 32 places, 64 bytes each.
fn result(slot: u8) -> u32 {
    RESULT + 16 + u32::from(slot % 32) * 64
}

/// A word, or the address of a text in the data.
enum Place {
    Is(u64),
    Text(usize),
}

impl Place {
    fn at(&self, base: u32) -> u64 {
        match self {
            Self::Is(word) => *word,
            Self::Text(text) => {
                let before: usize = TEXTS[..*text].iter().map(|text| text.len()).sum();
                u64::from(base) + before as u64
            }
        }
    }
}

thread_local! {
    static FIXTURE: OnceCell<Fixture> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    // Half of them as they are: the calls need not be well formed either.
    let Some((kind, rest)) = bytes.split_first() else { return };
    FIXTURE.with(|fixture| {
        let fixture = fixture.get_or_init(Fixture::new);
        if kind & 1 == 0 {
            if let Ok(program) = Program::arbitrary_take_rest(Unstructured::new(rest)) {
                fixture.run(&program);
            }
        } else {
            fixture.run(&Program { calls: Vec::new(), data: rest.to_vec() });
        }
    });
});
