//! Holds what came of a case against what was expected, and says what to fix.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy_host::{Payload, Plan, Trace};
use serde_json::Value;

use super::cases::{Allow, Case, Expect, Or, Output, Range, Refusal};
use super::run::{Failed, Run};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What it is about, for instance `plan.key`.
    pub what: String,
    pub expected: String,
    pub got: String,
}

fn differs(
    what: impl Into<String>,
    expected: impl Into<String>,
    got: impl Into<String>,
) -> Mismatch {
    Mismatch { what: what.into(), expected: expected.into(), got: got.into() }
}

/// All differences; none: the case passed.
pub fn judge(case: &Case, run: &Run) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let expect = &case.expect;
    match (&run.trace.decision, &expect.refuse) {
        (Ok(plan), None) => {
            if let Some(Or::Long(allow)) = &expect.allow {
                judge_plan(allow, plan, &mut found);
            }
            judge_outcome(expect, run.output.as_ref(), &mut found);
        }
        (Err(error), Some(refusal)) => {
            let refusal = refusal_of(refusal);
            judge_failure("decision", &refusal, &Failed::from(error), &mut found);
        }
        (Ok(plan), Some(refusal)) => {
            let wanted = format!("refused: {}", shown_refusal(&refusal_of(refusal)));
            found.push(differs("decision", wanted, format!("allowed: {}", shown_plan(plan))));
        }
        (Err(error), None) => {
            found.push(differs("decision", "allowed", shown_failure(&Failed::from(error))));
        }
    }
    judge_calls(&expect.calls, &run.trace, &mut found);
    found
}

fn refusal_of(refusal: &Or<String, Refusal>) -> Refusal {
    match refusal {
        Or::Short(kind) => Refusal { kind: Some(kind.clone()), text: None },
        Or::Long(refusal) => refusal.clone(),
    }
}

fn judge_plan(allow: &Allow, plan: &Plan, found: &mut Vec<Mismatch>) {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    if allow.key.is_some() && allow.key != plan.key {
        found.push(differs("plan.key", text(&allow.key), text(&plan.key)));
    }
    if allow.version.is_some() && allow.version != plan.version {
        let shown = |version: Option<u32>| version.map_or("none".into(), |it| it.to_string());
        found.push(differs("plan.version", shown(allow.version), shown(plan.version)));
    }
    let suite = plan.suite.map(|suite| keyward_crypto::Algorithm::from(suite).to_string());
    if allow.suite.is_some() && allow.suite != suite {
        found.push(differs("plan.suite", text(&allow.suite), text(&suite)));
    }
    let bound = allow.binds.as_ref().map(|pieces| framed(pieces));
    let bound = bound.or_else(|| STANDARD.decode(allow.binds_base64.as_ref()?).ok());
    if let Some(bound) = bound
        && bound != plan.authenticated_data
    {
        let got = shown_bound(&plan.authenticated_data);
        found.push(differs("plan.binds", shown_bound(&bound), got));
    }
    let values = |name: &str| {
        let of_name = plan.obligations.iter().filter(move |it| it.name == name);
        of_name.map(|it| it.value.clone()).collect::<Vec<_>>()
    };
    if let Some(limit) = allow.max_bytes {
        let got = values("max-bytes");
        if got != [limit.to_string()] {
            found.push(differs("plan.max_bytes", limit.to_string(), shown_list(&got)));
        }
    }
    if let Some(notes) = &allow.notes {
        let got = values("note");
        if got != *notes {
            found.push(differs("plan.notes", shown_list(notes), shown_list(&got)));
        }
    }
}

fn judge_outcome(
    expect: &Expect,
    output: Option<&Result<Payload, Failed>>,
    found: &mut Vec<Mismatch>,
) {
    match (&expect.fails, output) {
        (Some(wanted), Some(Err(failed))) => {
            judge_failure("outcome", &refusal_of(wanted), failed, found);
        }
        (Some(wanted), Some(Ok(payload))) => {
            let wanted = format!("failed: {}", shown_refusal(&refusal_of(wanted)));
            found.push(differs("outcome", wanted, format!("output: {}", shown_body(payload))));
        }
        (None, Some(Err(failed))) => {
            found.push(differs("outcome", "an output", shown_failure(failed)));
        }
        (None, Some(Ok(payload))) => {
            if let Some(Or::Long(output)) = &expect.output {
                judge_output(output, payload, found);
            }
        }
        (_, None) if expect.output.is_some() || expect.fails.is_some() => {
            let reason = "nothing ran: only `invoke/…`, encrypt and decrypt with a `payload` do";
            found.push(differs("outcome", "an output or a failure", reason));
        }
        (_, None) => {}
    }
}

fn judge_output(wanted: &Output, got: &Payload, found: &mut Vec<Mismatch>) {
    if let Some(media_type) = &wanted.content_type
        && *media_type != got.content_type
    {
        found.push(differs("output.content_type", media_type, &got.content_type));
    }
    let bytes = wanted.text.clone().map(String::into_bytes);
    let bytes = bytes.or_else(|| STANDARD.decode(wanted.base64.as_ref()?).ok());
    if let Some(bytes) = bytes
        && bytes != got.body
    {
        let wanted = Payload { content_type: String::new(), body: bytes };
        found.push(differs("output", shown_body(&wanted), shown_body(got)));
    }
    let Some((json, whole)) = wanted
        .json
        .as_ref()
        .map(|json| (json, true))
        .or(wanted.includes.as_ref().map(|it| (it, false)))
    else {
        return;
    };
    match serde_json::from_slice::<Value>(&got.body) {
        Ok(got) => compare("output", json, &got, whole, found),
        Err(error) => {
            let what = format!("no JSON ({error}): {}", shown_body(got));
            found.push(differs("output", shorten(&json.to_string()), what));
        }
    }
}

/// Differences of two JSON values, each with its pointer. Unless `whole`, objects may have more
/// members than are wanted.
fn compare(at: &str, wanted: &Value, got: &Value, whole: bool, found: &mut Vec<Mismatch>) {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (name, value) in wanted {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                match got.get(name) {
                    Some(got) => compare(&at, value, got, whole, found),
                    None => found.push(differs(at, shorten(&value.to_string()), "nothing there")),
                }
            }
            let unexpected = got.iter().filter(|(name, _)| whole && !wanted.contains_key(*name));
            for (name, value) in unexpected {
                found.push(differs(
                    format!("{at}/{name}"),
                    "nothing there",
                    shorten(&value.to_string()),
                ));
            }
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (nth, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                compare(&format!("{at}/{nth}"), wanted, got, whole, found);
            }
        }
        (wanted, got) if wanted == got => {}
        (wanted, got) => {
            let (wanted, got) = (wanted.to_string(), got.to_string());
            found.push(differs(at, shorten(&wanted), shorten(&got)));
        }
    }
}

fn judge_failure(what: &str, wanted: &Refusal, got: &Failed, found: &mut Vec<Mismatch>) {
    let kind = wanted.kind.as_deref().is_none_or(|kind| kind == got.kind() || kind == got.code);
    let text = wanted.text.as_deref().is_none_or(|text| got.text.contains(text));
    if !(kind && text) {
        found.push(differs(what, shown_refusal(wanted), shown_failure(got)));
    }
}

fn judge_calls(
    wanted: &BTreeMap<String, Or<u64, Range>>,
    trace: &Trace,
    found: &mut Vec<Mismatch>,
) {
    let counted = counts(trace);
    for (function, wanted) in wanted {
        let got = counted.get(function.as_str()).copied().unwrap_or_default();
        let (fits, shown) = match wanted {
            Or::Short(exactly) => (got == *exactly, exactly.to_string()),
            Or::Long(Range { min, max: Some(max) }) => {
                ((*min..=*max).contains(&got), format!("{min} to {max}"))
            }
            Or::Long(Range { min, max: None }) => (got >= *min, format!("at least {min}")),
        };
        if !fits {
            found.push(differs(format!("calls of {function}"), shown, got.to_string()));
        }
    }
}

/// How often each function was called.
pub fn counts(trace: &Trace) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for call in &trace.calls {
        *counts.entry(call.function.as_str()).or_default() += 1;
    }
    counts
}

impl Failed {
    /// The contract's name of a policy's refusal; the code of everything else.
    pub fn kind(&self) -> &'static str {
        match self.code {
            "policy_refused" => "denied",
            "policy_invalid" => "invalid",
            "policy_not_found" => "not-found",
            "policy_conflict" => "conflict",
            "policy_unavailable" => "unavailable",
            code => code,
        }
    }
}

fn shown_failure(failed: &Failed) -> String {
    format!("{}: {}", failed.kind(), failed.text)
}

fn shown_refusal(refusal: &Refusal) -> String {
    let kind = refusal.kind.as_deref().unwrap_or("of any kind");
    match &refusal.text {
        Some(text) => format!("{kind}, with \"{text}\" in its text"),
        None => kind.to_owned(),
    }
}

/// A plan in one line.
pub fn shown_plan(plan: &Plan) -> String {
    let mut parts = Vec::new();
    parts.extend(plan.key.as_ref().map(|key| format!("key {key}")));
    parts.extend(plan.version.map(|version| format!("version {version}")));
    parts.extend(plan.suite.map(|it| format!("suite {}", keyward_crypto::Algorithm::from(it))));
    if !plan.authenticated_data.is_empty() {
        parts.push(format!("binds {}", shown_bound(&plan.authenticated_data)));
    }
    parts.extend(plan.obligations.iter().map(|it| format!("{} {}", it.name, it.value)));
    if parts.is_empty() { "as asked".into() } else { parts.join(", ") }
}

/// Pieces as the SDK binds them: each behind its length, 32 bits, big-endian.
fn framed(pieces: &[String]) -> Vec<u8> {
    let mut data = Vec::new();
    for piece in pieces {
        data.extend_from_slice(&u32::try_from(piece.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(piece.as_bytes());
    }
    data
}

fn shown_bound(data: &[u8]) -> String {
    unframed(data).map_or_else(|| format!("base64 {}", STANDARD.encode(data)), |it| shown_list(&it))
}

fn unframed(mut data: &[u8]) -> Option<Vec<String>> {
    let mut pieces = Vec::new();
    while !data.is_empty() {
        let (length, rest) = data.split_first_chunk()?;
        let (piece, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        pieces.push(String::from_utf8(piece.to_vec()).ok()?);
        data = rest;
    }
    Some(pieces)
}

fn shown_list(items: &[String]) -> String {
    format!("{items:?}")
}

/// A body in one line: text as it is, else base64.
pub fn shown_body(payload: &Payload) -> String {
    match std::str::from_utf8(&payload.body) {
        Ok(text) => shorten(&format!("{text:?}")),
        Err(_) => shorten(&format!("base64 {}", STANDARD.encode(&payload.body))),
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 240;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(wanted: &Value, got: &Value, whole: bool) -> Vec<String> {
        let mut found = Vec::new();
        compare("output", wanted, got, whole, &mut found);
        found.into_iter().map(|mismatch| mismatch.what).collect()
    }

    #[test]
    fn json_differences_have_their_place() {
        let got = json!({ "a": { "b": [1, 2], "c/d": 3 }, "e": null });
        assert!(differences(&got, &got, true).is_empty());
        assert!(differences(&json!({ "a": { "b": [1, 2] } }), &got, false).is_empty());
        assert_eq!(
            differences(&json!({ "a": {} }), &got, true),
            ["output/a/b", "output/a/c/d", "output/e"]
        );
        assert_eq!(differences(&json!({ "a": { "b": [1, 3] } }), &got, false), ["output/a/b/1"]);
        assert_eq!(
            differences(&json!({ "a": { "c/d": 4, "f": 1 } }), &got, false),
            ["output/a/c~1d", "output/a/f"]
        );
        assert_eq!(differences(&json!({ "a": { "b": [1] } }), &got, false), ["output/a/b"]);
    }

    #[test]
    fn bound_pieces_are_shown_as_they_were_bound() {
        let pieces = ["billing".to_owned(), String::new()];
        assert_eq!(unframed(&framed(&pieces)).as_deref(), Some(&pieces[..]));
        assert_eq!(shown_bound(b"\0\0\0\x07bil"), "base64 AAAAB2JpbA==");
    }
}
