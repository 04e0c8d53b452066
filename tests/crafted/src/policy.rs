//! A component that exports what a policy must, each export's body given as text.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::contract::{CONTRACT, host_functions};

/// Address of a plan that allows and asks for nothing: what `authorize` answers unless told
/// otherwise. Zeros are such a plan.
pub const ALLOWED: u32 = 1_024;

/// A policy. By default it allows everything, and offers the operation `run` that answers with an
/// empty body.
///
/// Addresses below 64 KiB are its own: 2,048 to 4,096 for its description, 4,096 to 8,192 for
/// answers, from 12,288 on for whoever writes a body. What the host gives it lies above.
#[derive(Clone, Debug)]
pub struct Crafted {
    /// More of the module: functions, globals, tables, data.
    pub more: String,
    /// `authorize`: `$request` is the request's address; the result is an answer's.
    pub authorize: String,
    /// `authorize-many`: `$requests` and `$count`; the result is the address of a list.
    pub authorize_many: String,
    /// `invoke`: `$arguments` is the address of the request and, 96 bytes on, the payload.
    pub invoke: String,
    /// `describe`: the result is the address of a list of operations.
    pub describe: String,
    /// Runs before memory is given out for what the host puts into it: `$length` bytes.
    pub realloc: String,
    /// Runs after the host has read what `authorize` answered.
    pub post_authorize: String,
    /// Runs after the host has read what `invoke` answered.
    pub post_invoke: String,
    /// Pages of memory at the start.
    pub pages: u32,
}

impl Default for Crafted {
    fn default() -> Self {
        Self {
            more: String::new(),
            authorize: format!("(i32.const {ALLOWED})"),
            // As many plans as there are requests, each 44 zeros.
            authorize_many: "(i32.store (i32.const 4096) (i32.const 4160))
                (i32.store (i32.const 4100) (local.get $count))
                (i32.const 4096)"
                .into(),
            invoke: "(i32.const 8160)".into(),
            describe: "(i32.const 2048)".into(),
            realloc: String::new(),
            post_authorize: String::new(),
            post_invoke: String::new(),
            pages: 1,
        }
    }
}

impl Crafted {
    /// One that does this while it decides, and then allows.
    pub fn deciding(body: &str) -> Self {
        Self { authorize: format!("{body} (i32.const {ALLOWED})"), ..Self::default() }
    }

    /// The component. Of host functions it imports those that are called in it.
    #[track_caller]
    pub fn component(&self) -> Vec<u8> {
        let text = self.module();
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (resolve, world) = &*CONTRACT;
        embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8, false)
            .expect("the contract can be embedded");
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(ComponentEncoder::encode)
            .unwrap_or_else(|error| panic!("{error:?}\n{text}"))
    }

    fn module(&self) -> String {
        let Self { more, authorize, authorize_many, invoke, describe, realloc, pages, .. } = self;
        let (post_authorize, post_invoke) = (&self.post_authorize, &self.post_invoke);
        let body = format!(
            r#"
    {more}
    (memory (export "memory") {pages})
    (global $heap (mut i32) (i32.const 65536))
    (data (i32.const 2048) "\10\08\00\00\01\00\00\00")
    (data (i32.const 2064)
        "\00\0c\00\00\03\00\00\00" "\00\0c\00\00\03\00\00\00"
        "\03\0c\00\00\02\00\00\00" "\03\0c\00\00\02\00\00\00")
    (data (i32.const 3072) "run{{}}")
    (func $realloc (export "cabi_realloc") (param $old i32) (param $old_length i32) (param $align i32)
        (param $length i32) (result i32)
        (local $at i32)
        {realloc}
        (local.set $at (i32.and
            (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $heap (i32.add (local.get $at) (local.get $length)))
        (block $fits
            (loop $more
                (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
                (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
            unreachable)
        (local.get $at))
    (func (export "keyward:policy/guard@0.1.0#authorize") (param $request i32) (result i32)
        {authorize})
    (func (export "cabi_post_keyward:policy/guard@0.1.0#authorize") (param i32) {post_authorize})
    (func (export "keyward:policy/guard@0.1.0#authorize-many")
        (param $requests i32) (param $count i32) (result i32) {authorize_many})
    (func (export "keyward:policy/handler@0.1.0#invoke") (param $arguments i32) (result i32)
        {invoke})
    (func (export "cabi_post_keyward:policy/handler@0.1.0#invoke") (param i32) {post_invoke})
    (func (export "keyward:policy/handler@0.1.0#describe") (result i32) {describe})
"#
        );
        let ends = |c: char| c.is_whitespace() || c == ')';
        let calls = |id: &str| {
            body.match_indices(id).any(|(at, _)| body[at + id.len()..].starts_with(ends))
        };
        let imports: String = host_functions()
            .iter()
            .filter(|function| calls(&function.id))
            .map(crate::HostFunction::import)
            .collect();
        format!("(module\n{imports}{body})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_imports_what_it_calls() {
        let names = |policy: &Crafted| {
            let component = policy.component();
            let text = String::from_utf8_lossy(&component).into_owned();
            ["keyward:policy/keys@0.1.0", "keyward:policy/random@0.1.0"].map(|it| text.contains(it))
        };
        assert_eq!(names(&Crafted::default()), [false, false]);
        let random = Crafted::deciding("(call $random.bytes (i32.const 8) (i32.const 12288))");
        assert_eq!(names(&random), [false, true]);
        let dropped = Crafted::deciding("(call $keys.key.drop (i32.const 1))");
        assert_eq!(names(&dropped), [true, false]);
    }
}
