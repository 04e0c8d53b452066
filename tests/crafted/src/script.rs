//! A policy that makes the host calls its payload says.
//!
//! The payload of the operation `run` is a length in bytes, then that many bytes of calls, then
//! whatever they refer to. It lies at [`PAYLOAD`]. A call is the number of a host function in
//! [`host_functions`], then one word for each of its parameters; any other number writes: an
//! address, then what is written there. Words are of 64 bits, little-endian. Of a parameter of 32
//! bits the lower half counts; with a 1 in the upper half it is the address of the value, such as a
//! handle that an earlier call has given. A result that is no pointer goes to [`RESULT`]. The
//! answer is the [`WINDOW`] bytes from there on.

use std::fmt::Write as _;

use crate::contract::{HostFunction, host_functions};
use crate::policy::Crafted;

/// Where the payload is, up to 48 KiB of it.
pub const PAYLOAD: u32 = 16_384;
/// Where results of 32 or 64 bits go. What is behind is free for results by pointer.
pub const RESULT: u32 = 12_288;
/// How many bytes are shown in the end.
pub const WINDOW: u32 = 1_024;
/// Most bytes of a payload.
pub const MAX_PAYLOAD: usize = 48 << 10;

/// What a call is given for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Itself.
    Is(u64),
    /// The 32 bits at this address.
    At(u32),
}

/// A script in the making.
#[derive(Clone, Debug, Default)]
pub struct Script {
    calls: Vec<u8>,
    data: Vec<u8>,
}

impl Script {
    /// Calls a host function by its name, `keys.open`.
    #[must_use]
    #[track_caller]
    pub fn call(mut self, name: &str, words: &[Word]) -> Self {
        let functions = host_functions();
        let number = functions.iter().position(|it| it.id[1..] == *name);
        let number = number.unwrap_or_else(|| panic!("no host function `{name}`"));
        assert_eq!(functions[number].params.len(), words.len(), "{name}");
        self.push(number as u64);
        for word in words {
            self.push(match *word {
                Word::Is(value) => value,
                Word::At(address) => 1 << 32 | u64::from(address),
            });
        }
        self
    }

    fn push(&mut self, word: u64) {
        self.calls.extend(word.to_le_bytes());
    }

    /// Keeps `bytes` in the payload of a script whose calls have `calls` words; gives where, for
    /// pointer and length.
    pub fn keep(&mut self, calls: usize, bytes: &[u8]) -> [Word; 2] {
        let at = PAYLOAD as usize + 8 + calls * 8 + self.data.len();
        self.data.extend_from_slice(bytes);
        [Word::Is(at as u64), Word::Is(bytes.len() as u64)]
    }

    /// The payload; fails if the calls have not as many words as was said.
    #[track_caller]
    pub fn payload(&self, calls: usize) -> Vec<u8> {
        assert_eq!(self.calls.len(), calls * 8, "words of the calls");
        payload(&self.calls, &self.data)
    }
}

/// The payload of these calls and this data.
pub fn payload(calls: &[u8], data: &[u8]) -> Vec<u8> {
    let length = calls.len() as u64;
    [&length.to_le_bytes(), calls, data].concat()
}

/// The policy.
pub fn policy() -> Crafted {
    Crafted {
        more: format!(
            "(func $word (param $at i32) (result i32)
                (if (result i32) (i32.load offset=4 (local.get $at))
                    (then (i32.load (i32.load (local.get $at))))
                    (else (i32.load (local.get $at)))))
            {}",
            interpreter()
        ),
        invoke: format!(
            "(local $length i32)
            (local.set $length (i32.load offset=108 (local.get $arguments)))
            (if (i32.gt_u (local.get $length) (i32.const {MAX_PAYLOAD})) (then unreachable))
            (memory.copy (i32.const {PAYLOAD}) (i32.load offset=104 (local.get $arguments))
                (local.get $length))
            (call $run (i32.add (i32.const {PAYLOAD}) (i32.const 8))
                (i32.add (i32.const {PAYLOAD}) (i32.add (i32.const 8)
                    (i32.load (i32.const {PAYLOAD})))))
            (i64.store (i32.const 8160) (i64.const 0))
            (i32.store (i32.const 8168) (i32.const 0))
            (i32.store (i32.const 8172) (i32.const {RESULT}))
            (i32.store (i32.const 8176) (i32.const {WINDOW}))
            (i32.const 8160)"
        ),
        pages: 2,
        ..Crafted::default()
    }
}

/// `$run`: makes the calls from `$at` to `$end`.
fn interpreter() -> String {
    let functions = host_functions();
    let mut text = String::from(
        "(func $run (param $at i32) (param $end i32) (local $number i32)
        (loop $next
            (if (i32.ge_u (local.get $at) (local.get $end)) (then (return)))
            (local.set $number (i32.load (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))\n(block $write ",
    );
    for number in (0..functions.len()).rev() {
        let _ = write!(text, "(block $f{number} ");
    }
    text.push_str("(br_table ");
    for number in 0..functions.len() {
        let _ = write!(text, "$f{number} ");
    }
    text.push_str("$write (local.get $number))");
    for function in &functions {
        let _ = write!(text, ")\n{} (br $next)", case(function));
    }
    text.push_str(
        ")
            (i32.store (call $word (local.get $at)) (call $word (i32.add (local.get $at) (i32.const 8))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br $next)))",
    );
    text
}

/// One call, its parameters read from `$at` on.
fn case(function: &HostFunction) -> String {
    let mut arguments = String::new();
    for (nth, wide) in function.params.iter().enumerate() {
        let address = format!("(i32.add (local.get $at) (i32.const {}))", nth * 8);
        let _ = if *wide {
            write!(arguments, "(i64.load {address}) ")
        } else {
            write!(arguments, "(call $word {address}) ")
        };
    }
    let call = format!("(call {} {arguments})", function.id);
    let call = match function.result {
        None => call,
        Some(wide) => {
            let ty = if wide { "i64" } else { "i32" };
            format!("({ty}.store (i32.const {RESULT}) {call})")
        }
    };
    let next = function.params.len() * 8;
    format!("{call} (local.set $at (i32.add (local.get $at) (i32.const {next})))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_component() {
        assert!(policy().component().starts_with(b"\0asm"));
    }

    #[test]
    fn a_script_is_its_calls_and_their_data() {
        let mut script = Script::default();
        let [at, length] = script.keep(4, b"demo");
        assert_eq!((at, length), (Word::Is(u64::from(PAYLOAD) + 40), Word::Is(4)));
        let script = script.call("keys.open", &[at, length, Word::At(RESULT)]);
        let payload = script.payload(4);
        assert_eq!((payload[0], &payload[40..]), (32, &b"demo"[..]));
        assert_eq!(payload[32..40], (1_u64 << 32 | u64::from(RESULT)).to_le_bytes());
    }
}
