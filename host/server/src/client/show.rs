//! Answers for people, or as they are.

use std::collections::HashMap;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::connection::Connection;
use super::failure::Failure;

/// How a person is shown an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Every field on a line; a list as a table.
    Auto,
    /// One field alone, on a line.
    Field(&'static str),
    /// One field alone, which has its ends of lines.
    Bare(&'static str),
    /// The bytes of one field, which is base64, and nothing else.
    Bytes(&'static str),
    /// Whether something is valid, which is the exit code as well.
    Validity,
}

/// Writes to standard output.
pub struct Printer {
    json: bool,
}

impl Printer {
    /// As the options say.
    pub fn new(connection: &Connection) -> Self {
        Self { json: connection.json() }
    }

    /// Shows an answer on standard output.
    pub fn answer(&self, answer: &[u8], show: Show) -> Result<(), Failure> {
        write(&self.shown(answer, show)?)?;
        if show == Show::Validity && !is_valid(&parse(answer)?)? {
            return Err(Failure::Invalid);
        }
        Ok(())
    }

    /// An answer as it is shown.
    pub fn shown(&self, answer: &[u8], show: Show) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if self.json {
            let mut answer = Zeroizing::new(answer.to_vec());
            if !answer.ends_with(b"\n") {
                answer.push(b'\n');
            }
            return Ok(answer);
        }
        let value = parse(answer)?;
        let field = |name: &'static str| {
            value.get(name).and_then(Value::as_str).ok_or_else(|| missing(name))
        };
        Ok(Zeroizing::new(match show {
            Show::Auto => human(&value).into_bytes(),
            Show::Field(name) => format!("{}\n", field(name)?).into_bytes(),
            Show::Bare(name) => field(name)?.as_bytes().to_vec(),
            Show::Bytes(name) => STANDARD.decode(field(name)?).map_err(|_| missing(name))?,
            Show::Validity if is_valid(&value)? => b"valid\n".to_vec(),
            Show::Validity => b"invalid\n".to_vec(),
        }))
    }

    /// Text.
    pub fn text(text: &str) -> Result<(), Failure> {
        write(text.as_bytes())
    }
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::stdout(&error))
}

fn parse(answer: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(answer).map_err(|_| {
        Failure::Connection("the answer is not JSON; is it Keyward that answers there?".into())
    })
}

fn is_valid(answer: &Value) -> Result<bool, Failure> {
    answer.get("valid").and_then(Value::as_bool).ok_or_else(|| missing("valid"))
}

fn missing(field: &str) -> Failure {
    Failure::Connection(format!("the answer has no field {field} that makes sense"))
}

/// An answer for people: a list as a table, an object as lines of names and values.
pub fn human(value: &Value) -> String {
    let Value::Object(fields) = value else { return format!("{}\n", scalar(value)) };
    // An object with nothing but a list is the list.
    if fields.len() == 1
        && let Some(Value::Array(rows)) = fields.values().next()
    {
        return list(rows);
    }
    let mut out = String::new();
    lines(&mut out, "", fields);
    out
}

fn list(rows: &[Value]) -> String {
    if rows.iter().all(Value::is_object) {
        return table(rows);
    }
    rows.iter().map(|row| scalar(row) + "\n").collect()
}

/// `name  value` for every field, those of inner objects as `outer.inner`; lists of objects below.
fn lines(out: &mut String, prefix: &str, fields: &Map<String, Value>) {
    let mut flat = Vec::new();
    flatten(&mut flat, prefix, fields);
    let width = flat.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in &flat {
        match value {
            Value::Array(rows) if !rows.is_empty() && rows.iter().all(Value::is_object) => {
                out.push_str(name);
                out.push('\n');
                for line in table(rows).lines() {
                    out.push_str("  ");
                    out.push_str(line);
                    out.push('\n');
                }
            }
            value => {
                let line = format!("{name:width$}  {}", scalar(value));
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
    }
}

fn flatten<'a>(flat: &mut Vec<(String, &'a Value)>, prefix: &str, fields: &'a Map<String, Value>) {
    for (name, value) in fields {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) => flatten(flat, &name, inner),
            value => flat.push((name, value)),
        }
    }
}

/// One row for each object: the fields that are no lists, those of inner objects as `OUTER.INNER`.
fn table(rows: &[Value]) -> String {
    if rows.is_empty() {
        return "none\n".to_owned();
    }
    let rows = rows.iter().filter_map(Value::as_object).map(|fields| {
        let mut flat = Vec::new();
        flatten(&mut flat, "", fields);
        flat.retain(|(_, value)| !value.is_array());
        flat.into_iter().collect::<HashMap<_, _>>()
    });
    let rows: Vec<HashMap<String, &Value>> = rows.collect();
    let mut columns: Vec<&str> = rows.iter().flat_map(HashMap::keys).map(String::as_str).collect();
    columns.sort_unstable();
    columns.dedup();
    // What the row is about comes first.
    columns.sort_by_key(|name| (!matches!(*name, "name" | "version"), *name));
    let cells = rows.iter().map(|row| {
        columns.iter().map(|name| row.get(*name).map(|v| scalar(v)).unwrap_or_default()).collect()
    });
    let head = columns.iter().map(|name| name.to_uppercase()).collect();
    let cells: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &cells {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A value on one line. Control characters, which a terminal might obey, are shown as escapes.
fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.chars().any(char::is_control) => {
            text.escape_debug().to_string()
        }
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_table() {
        let keys = json!({ "keys": [
            { "name": "orders", "current_version": 12, "attributes": {}, "deleted": null },
            { "name": "x", "current_version": 1, "more": true },
        ] });
        let table = human(&keys);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "CURRENT_VERSION", "DELETED", "MORE"]);
        assert_eq!(
            (&lines[1][..], &lines[2][..]),
            (&["orders", "12", "-"][..], &["x", "1", "true"][..])
        );
        assert_eq!(human(&json!({ "keys": [] })), "none\n");
    }

    #[test]
    fn inner_objects_are_columns() {
        let usage = json!({ "versions": [
            { "version": 1, "opened": { "messages": 3, "last_at": "then" } },
            { "version": 2, "opened": { "messages": 0 } },
        ] });
        let table = human(&usage);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["VERSION", "OPENED.LAST_AT", "OPENED.MESSAGES"]);
        assert_eq!((&lines[1][..], &lines[2][..]), (&["1", "then", "3"][..], &["2", "0"][..]));
    }

    #[test]
    fn an_object_is_lines() {
        let key = json!({
            "name": "orders", "deleted": { "by": "admin" }, "roles": ["a", "b"],
            "versions": [{ "version": 1 }, { "version": 2 }],
        });
        let shown = human(&key);
        for line in
            ["name        orders", "deleted.by  admin", "roles       a, b", "versions", "  1"]
        {
            assert!(shown.lines().any(|it| it == line), "{line:?} is not in\n{shown}");
        }
    }

    /// What somebody else wrote, such as a token's subject, does not move a terminal's cursor.
    #[test]
    fn control_characters_are_shown() {
        assert_eq!(human(&json!({ "by": "a\u{1b}[2J\nb" })), "by  a\\u{1b}[2J\\nb\n");
    }
}
