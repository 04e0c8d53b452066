//! What a policy may do to harm its host and others, and how each ends.

use keyward_crafted::script::{self, RESULT, Script, Word};
use keyward_crafted::{ALLOWED, Crafted};
use keyward_tests::{Server, Tenant, b64, policy};
use serde_json::json;

/// One misdeed.
pub struct Misdeed {
    pub name: &'static str,
    /// The code it ends with; none: it has to end well, within its bounds.
    pub code: Option<&'static str>,
    way: Way,
}

enum Way {
    /// The policy `hostile` does it while it decides.
    Guest,
    /// This policy does it while it decides.
    Decides(Crafted),
    /// While it decides on a batch.
    Batch(Crafted),
    /// In its operation `run`, for this payload.
    Runs(Crafted, Vec<u8>),
}

/// A tenant whose policy it is, and the request that has it done.
pub struct Ready {
    pub tenant: Tenant,
    pub path: &'static str,
    pub media_type: &'static str,
    pub body: Vec<u8>,
}

impl Misdeed {
    /// Sets it up.
    #[track_caller]
    pub fn ready(&self, server: &Server) -> Ready {
        let tenant = server.tenant(&format!("does-{}", self.name));
        tenant.key("main");
        let component = match &self.way {
            Way::Guest => policy("hostile"),
            Way::Decides(crafted) | Way::Batch(crafted) | Way::Runs(crafted, _) => {
                crafted.component()
            }
        };
        tenant.operator.put_policy(&component).expect(200);
        let item = json!({ "key": "main", "plaintext": b64("x"), "purpose": self.name });
        let (path, media_type, body) = match &self.way {
            Way::Guest | Way::Decides(_) => ("/encrypt", "application/json", item.to_string()),
            Way::Batch(_) => {
                let second = json!({ "key": "main", "plaintext": b64("y"), "purpose": "other" });
                ("/encrypt", "application/json", json!({ "items": [item, second] }).to_string())
            }
            Way::Runs(_, payload) => {
                let (path, body) = ("/invoke/run", payload.clone());
                return Ready { tenant, path, media_type: "application/octet-stream", body };
            }
        };
        Ready { tenant, path, media_type, body: body.into_bytes() }
    }
}

fn guest(name: &'static str, code: &'static str) -> Misdeed {
    Misdeed { name, code: Some(code), way: Way::Guest }
}

fn decides(name: &'static str, code: &'static str, body: &str) -> Misdeed {
    with(name, code, Crafted::deciding(body))
}

fn with(name: &'static str, code: &'static str, crafted: Crafted) -> Misdeed {
    Misdeed { name, code: Some(code), way: Way::Decides(crafted) }
}

fn runs(name: &'static str, words: usize, make: impl FnOnce(Script) -> Script) -> Misdeed {
    let payload = make(Script::default()).payload(words);
    Misdeed { name, code: Some("policy_trap"), way: Way::Runs(script::policy(), payload) }
}

const TRAP: &str = "policy_trap";
const CPU: &str = "policy_cpu_limit";
const BYTES: &str = "policy_host_call_bytes_limit";
/// Never ends.
const SPIN: &str = "(loop $spin (br $spin))";
/// Opens the key `main`, which has the handle 1 then.
const OPEN: &str = "(i32.store (i32.const 12288) (i32.const 0x6e69616d))
    (call $keys.open (i32.const 12288) (i32.const 4) (i32.const 12304))";

/// All of them, by their kind.
pub fn kinds() -> [(&'static str, Vec<Misdeed>); 6] {
    [
        ("endless", endless()),
        ("growing", growing()),
        ("many", many()),
        ("handles", handles()),
        ("values", values()),
        ("trapping", trapping()),
    ]
}

/// Loops and recursion: wherever the host lets a guest run.
fn endless() -> Vec<Misdeed> {
    let armed = "(global $armed (mut i32) (i32.const 0))";
    let once_armed = |then: &str| format!("(if (global.get $armed) (then {then}))");
    vec![
        guest("loop", CPU),
        guest("recurse", TRAP),
        guest("recurse-wide", TRAP),
        decides("spin-after-a-call", CPU, &format!("{OPEN} {SPIN}")),
        with("spin-in-realloc", CPU, Crafted { realloc: SPIN.into(), ..Crafted::default() }),
        // The host, called by the guest, calls the guest for memory.
        with(
            "spin-within-a-call",
            CPU,
            Crafted {
                more: armed.into(),
                realloc: once_armed(SPIN),
                ..Crafted::deciding(
                    "(global.set $armed (i32.const 1))
                    (call $random.bytes (i32.const 8) (i32.const 12288))",
                )
            },
        ),
        with(
            "recurse-within-a-call",
            TRAP,
            Crafted {
                more: armed.into(),
                realloc: once_armed(
                    "(drop (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1)))",
                ),
                ..Crafted::deciding(
                    "(global.set $armed (i32.const 1))
                    (call $random.bytes (i32.const 8) (i32.const 12288))",
                )
            },
        ),
        with(
            "spin-after-return",
            CPU,
            Crafted { post_authorize: SPIN.into(), ..Crafted::default() },
        ),
        Misdeed {
            name: "spin-in-a-batch",
            code: Some(CPU),
            way: Way::Batch(Crafted {
                authorize_many: format!("{SPIN} unreachable"),
                ..Crafted::default()
            }),
        },
        Misdeed {
            name: "spin-in-invoke",
            code: Some(CPU),
            way: Way::Runs(
                Crafted { invoke: format!("{SPIN} unreachable"), ..Crafted::default() },
                Vec::new(),
            ),
        },
    ]
}

/// Memory and tables.
fn growing() -> Vec<Misdeed> {
    vec![
        guest("alloc", "policy_memory_limit"),
        decides(
            "grow-memory",
            "policy_memory_limit",
            "(loop $more (drop (memory.grow (i32.const 16))) (br $more))",
        ),
        decides(
            "fill-memory",
            CPU,
            "(drop (memory.grow (i32.const 254)))
            (loop $more (memory.fill (i32.const 65536) (i32.const 0xa5) (i32.const 16646144)) (br $more))",
        ),
        with(
            "grow-table",
            "policy_table_limit",
            Crafted {
                more: "(table $table 1 funcref)".into(),
                ..Crafted::deciding(
                    "(loop $more (drop (table.grow $table (ref.null func) (i32.const 64))) (br $more))",
                )
            },
        ),
        with(
            "fill-table",
            CPU,
            Crafted {
                more: "(table $table 2048 funcref) (elem declare func $nothing) (func $nothing)".into(),
                ..Crafted::deciding(
                    "(loop $more
                        (table.fill $table (i32.const 0) (ref.func $nothing) (i32.const 2048))
                        (br $more))",
                )
            },
        ),
    ]
}

/// Host calls, log lines, entries, lists and strings.
fn many() -> Vec<Misdeed> {
    vec![
        guest("million-calls", "policy_host_call_limit"),
        guest("random-huge", "policy_random_limit"),
        guest("state-calls", "policy_state_limit"),
        guest("huge-answer", BYTES),
        Misdeed { name: "log-flood", code: None, way: Way::Guest },
        Misdeed { name: "state-fill", code: None, way: Way::Guest },
        // A million messages of no bytes, 16 bytes of memory each.
        with(
            "giant-list",
            BYTES,
            Crafted {
                pages: 256,
                ..Crafted::deciding(&format!(
                    "{OPEN} (call $sealing.encrypt-many (i32.const 1) (i32.const 131072)
                        (i32.const 1000000) (i32.const 12288))"
                ))
            },
        ),
        decides(
            "endless-list",
            TRAP,
            &format!(
                "{OPEN} (call $sealing.encrypt-many (i32.const 1) (i32.const 131072)
                    (i32.const 0xffffffff) (i32.const 12288))"
            ),
        ),
        with(
            "giant-string",
            BYTES,
            Crafted {
                pages: 256,
                ..Crafted::deciding(
                    "(call $log.write (i32.const 1) (i32.const 131072) (i32.const 16000000)
                        (i32.const 0) (i32.const 0))",
                )
            },
        ),
        decides(
            "giant-list-of-obligations",
            TRAP,
            "(i32.store (i32.const 12324) (i32.const 131072))
            (i32.store (i32.const 12328) (i32.const 0x7fffffff))
            (return (i32.const 12288))",
        ),
    ]
}

/// Handles that are none, or no more.
fn handles() -> Vec<Misdeed> {
    let to = |at: u32| Word::Is(u64::from(at));
    let key = Word::At(RESULT + 20);
    // `keys.open`, which has four words, puts its handle behind a discriminant.
    let open = |mut script: Script, words: usize| {
        let [at, length] = script.keep(words, b"main");
        script.call("keys.open", &[at, length, to(RESULT + 16)])
    };
    vec![
        guest("hold-handles", "policy_handle_limit"),
        guest("forge-handle", TRAP),
        runs("use-after-drop", 9, |script| {
            let script = open(script, 9).call("keys.key.drop", &[key]);
            script.call("keys.key.name", &[key, to(RESULT + 32)])
        }),
        runs("seal-after-drop", 13, |script| {
            let script = open(script, 13).call("keys.key.drop", &[key]);
            let nothing = Word::Is(0);
            let arguments = [key, nothing, nothing, nothing, nothing, to(RESULT + 32)];
            script.call("sealing.encrypt", &arguments)
        }),
        runs("drop-twice", 8, |script| {
            open(script, 8).call("keys.key.drop", &[key]).call("keys.key.drop", &[key])
        }),
        runs("drop-what-is-none", 2, |script| script.call("keys.key.drop", &[Word::Is(7)])),
    ]
}

/// Values that are none.
fn values() -> Vec<Misdeed> {
    let answer = |name, body: &str| decides(name, TRAP, body);
    vec![
        guest("garbage-utf8", TRAP),
        answer(
            "garbage-utf8-name",
            "(i32.store (i32.const 12288) (i32.const 0xfffefdfc))
            (call $keys.open (i32.const 12288) (i32.const 4) (i32.const 12304))",
        ),
        answer(
            "string-out-of-bounds",
            "(call $keys.open (i32.const 0xfffffff0) (i32.const 100) (i32.const 12304))",
        ),
        answer("result-out-of-bounds", &OPEN.replace("12304", "0xfffffff0")),
        answer("result-out-of-line", &OPEN.replace("12304", "12305")),
        answer(
            "level-that-is-none",
            "(call $log.write (i32.const 77) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        ),
        answer(
            "variant-that-is-none",
            "(i32.store8 (i32.const 12288) (i32.const 7)) (return (i32.const 12288))",
        ),
        answer("answer-out-of-bounds", "(return (i32.const -4))"),
        answer("answer-out-of-line", &format!("(return (i32.const {}))", ALLOWED + 1)),
    ]
}

/// A trap in each export. `describe` is asked at admission: see `uploads`.
fn trapping() -> Vec<Misdeed> {
    let trap = || "unreachable".to_owned();
    let crafted = Crafted::default;
    vec![
        guest("trap", TRAP),
        guest("panic", TRAP),
        with("trap-in-realloc", TRAP, Crafted { realloc: trap(), ..crafted() }),
        with("trap-after-return", TRAP, Crafted { post_authorize: trap(), ..crafted() }),
        Misdeed {
            name: "trap-in-a-batch",
            code: Some(TRAP),
            way: Way::Batch(Crafted { authorize_many: trap(), ..crafted() }),
        },
        Misdeed {
            name: "trap-in-invoke",
            code: Some(TRAP),
            way: Way::Runs(Crafted { invoke: trap(), ..crafted() }, Vec::new()),
        },
        Misdeed {
            name: "trap-after-invoke",
            code: Some(TRAP),
            way: Way::Runs(Crafted { post_invoke: trap(), ..crafted() }, Vec::new()),
        },
    ]
}
