//! What one request did: the fields of an entry, and their bytes.

use std::borrow::Cow;
use std::net::IpAddr;

use compact_str::CompactString;

use crate::line;

/// Most bytes of a text in an entry; longer ones are cut.
pub const MAX_TEXT: usize = 1 << 10;
/// Most key versions an entry names.
const MAX_USES: usize = 32;

/// What a request was, who made it, and what became of it. Most texts are short and lie in the entry
/// itself: it is made by one thread and dropped by another, which for memory is the dearest way. There is no field for a payload, a
/// context, a token or key material. Texts may be of anybody's making: they are escaped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// When it arrived, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The request's identifier.
    pub request_id: CompactString,
    /// The trace identifier of the caller's `traceparent` (W3C Trace Context), 32 hex digits.
    pub trace_id: Option<CompactString>,
    /// The tenant it was about.
    pub tenant: Option<CompactString>,
    /// Whom the credential speaks for.
    pub subject: Option<CompactString>,
    /// The credential's public identifier.
    pub credential: Option<CompactString>,
    /// The credential's tenant; none for an operator's and for no credential.
    pub credential_tenant: Option<CompactString>,
    /// What was asked for, such as `key.rotate`.
    pub operation: Cow<'static, str>,
    /// Keys and versions it was about; the first is the one it names.
    pub uses: Vec<Use>,
    /// More keys and versions took part than there is place for.
    pub more_uses: bool,
    /// What else it was about: the identifier of a token minted, the scope of a backup.
    pub target: Option<CompactString>,
    /// Digest of the policy that decided.
    pub policy: Option<CompactString>,
    /// What the policy decided: `allow`, `deny` or `error`.
    pub decision: Option<&'static str>,
    /// What the caller says it is for.
    pub purpose: Option<CompactString>,
    /// How the items of a batch ended.
    pub items: Option<Box<Items>>,
    /// HTTP status.
    pub status: u16,
    /// Stable code of the error; none for a success.
    pub code: Option<Cow<'static, str>>,
    /// Time from its headers to its answer, in microseconds.
    pub duration_us: u64,
    /// Address of the peer of the connection.
    pub client: Option<IpAddr>,
    /// It is the second entry of an answer that was sent piece by piece, made at its end.
    pub is_end: bool,
}

/// A key and, where one is known, a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The key's name.
    pub key: CompactString,
    /// The version.
    pub version: Option<u32>,
}

/// How the items of a batch ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Done.
    pub done: u64,
    /// Not done, by code.
    pub failed: Vec<(Cow<'static, str>, u64)>,
}

impl Items {
    /// Counts an item that failed.
    pub fn fail(&mut self, code: &'static str) {
        match self.failed.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.failed.push((code.into(), 1)),
        }
    }
}

impl Entry {
    /// Notes that a key took part. One noted without a version before gets this one.
    pub fn uses(&mut self, key: &str, version: Option<u32>) {
        if self.uses.iter().any(|known| known.key == key && known.version == version) {
            return;
        }
        let unknown = |known: &&mut Use| known.key == key && known.version.is_none();
        if let Some(known) = self.uses.iter_mut().find(unknown) {
            known.version = version;
        } else if version.is_none() && self.uses.iter().any(|known| known.key == key) {
            // It is there, and with more than this.
        } else if self.uses.len() < MAX_USES {
            self.uses.push(Use { key: key.into(), version });
        } else {
            self.more_uses = true;
        }
    }

    /// Appends the fields after the line's beginning. Those that tell who did what with which key go
    /// to `private` if there is one.
    pub(crate) fn push(&self, out: &mut Vec<u8>, mut private: Option<&mut Vec<u8>>) {
        let mut private = |out: &mut Vec<u8>, push: &dyn Fn(&mut Vec<u8>)| match &mut private {
            Some(private) => push(private),
            None => push(out),
        };
        line::text(out, "request_id", cut(&self.request_id));
        line::optional(out, "trace_id", self.trace_id.as_deref());
        private(out, &|out| {
            line::optional(out, "tenant", self.tenant.as_deref().map(cut));
            line::optional(out, "subject", self.subject.as_deref().map(cut));
            line::optional(out, "credential", self.credential.as_deref().map(cut));
            line::optional(out, "credential_tenant", self.credential_tenant.as_deref().map(cut));
        });
        line::text(out, "operation", cut(&self.operation));
        private(out, &|out| {
            self.push_uses(out);
            line::optional(out, "target", self.target.as_deref().map(cut));
            line::optional(out, "policy", self.policy.as_deref());
        });
        line::optional(out, "decision", self.decision);
        private(out, &|out| line::optional(out, "purpose", self.purpose.as_deref().map(cut)));
        if let Some(items) = &self.items {
            push_items(out, items);
        }
        line::number(out, "status", self.status.into());
        line::optional(out, "code", self.code.as_deref());
        line::number(out, "duration_us", self.duration_us);
        if let Some(client) = self.client {
            private(out, &|out| {
                line::push_name(out, "client");
                push_address(out, client);
            });
        }
    }

    fn push_uses(&self, out: &mut Vec<u8>) {
        if let Some((first, more)) = self.uses.split_first() {
            line::text(out, "key", cut(&first.key));
            if let Some(version) = first.version {
                line::number(out, "version", version.into());
            }
            push_more_uses(out, more, self.more_uses);
        }
    }
}

fn push_more_uses(out: &mut Vec<u8>, uses: &[Use], cut_off: bool) {
    if uses.is_empty() {
        return;
    }
    line::push_name(out, "also");
    for (index, used) in uses.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[{\"key\":" } else { b",{\"key\":" });
        line::push_string(out, cut(&used.key));
        if let Some(version) = used.version {
            line::number(out, "version", version.into());
        }
        out.push(b'}');
    }
    out.push(b']');
    if cut_off {
        out.extend_from_slice(b",\"more\":true");
    }
}

fn push_items(out: &mut Vec<u8>, items: &Items) {
    line::push_name(out, "items");
    out.extend_from_slice(b"{\"done\":");
    line::push_number(out, items.done);
    for (index, (code, count)) in items.failed.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"failed\":{" } else { b"," });
        line::push_string(out, code);
        out.push(b':');
        line::push_number(out, *count);
    }
    out.extend_from_slice(if items.failed.is_empty() { b"}" } else { b"}}" });
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "\"{address}\"");
}

/// At most [`MAX_TEXT`] bytes of it, whole characters.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(entry: &Entry) -> Value {
        let mut out = Vec::new();
        line::begin(&mut out, 1, "request", 0);
        entry.push(&mut out, None);
        line::end(&mut out, &[0; 32]);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_field_has_its_place() {
        let mut entry = Entry {
            request_id: "r".into(),
            trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
            tenant: Some("acme".into()),
            subject: Some("billing \"x\"\n".into()),
            credential: Some("id".into()),
            credential_tenant: Some("acme".into()),
            operation: "encrypt".into(),
            target: Some("t".into()),
            policy: Some("sha256:00".into()),
            decision: Some("allow"),
            purpose: Some("p".into()),
            items: Some(Box::new(Items { done: 2, failed: vec![] })),
            status: 200,
            code: Some("c".into()),
            duration_us: 7,
            client: Some([127, 0, 0, 1].into()),
            ..Entry::default()
        };
        entry.uses("main", None);
        entry.uses("main", Some(2));
        entry.uses("main", Some(3));
        entry.uses("main", None);
        entry.items.as_mut().unwrap().fail("x");
        entry.items.as_mut().unwrap().fail("x");
        let expected = json!({
            "seq": 1, "kind": "request", "time_ms": 0, "time": "1970-01-01T00:00:00.000Z",
            "request_id": "r", "trace_id": "0af7651916cd43dd8448eb211c80319c", "tenant": "acme",
            "subject": "billing \"x\"\n", "credential": "id", "credential_tenant": "acme",
            "operation": "encrypt", "key": "main", "version": 2,
            "also": [{ "key": "main", "version": 3 }], "target": "t", "policy": "sha256:00",
            "decision": "allow", "purpose": "p", "items": { "done": 2, "failed": { "x": 2 } },
            "status": 200, "code": "c", "duration_us": 7, "client": "127.0.0.1",
            "hash": "0".repeat(64),
        });
        assert_eq!(shown(&entry), expected);
    }

    #[test]
    fn an_entry_is_bounded() {
        let mut entry = Entry { purpose: Some("é".repeat(10_000).into()), ..Entry::default() };
        for version in 1..1_000 {
            entry.uses("main", Some(version));
        }
        let shown = shown(&entry);
        assert_eq!(shown["purpose"].as_str().unwrap().len(), MAX_TEXT);
        assert_eq!(shown["also"].as_array().unwrap().len(), MAX_USES - 1);
        assert_eq!(shown["more"], true);
    }
}
