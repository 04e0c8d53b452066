//! Every key of a file of cases that does not exist, with the one that was meant.

use toml::de::{DeTable, DeValue};

/// What a table may have.
pub enum Shape {
    /// Whatever it is, its type is somebody else's matter.
    Any,
    /// These keys.
    Table(&'static [(&'static str, Shape)]),
    /// Keys of the author's choice.
    Named(&'static Shape),
    /// A list.
    Each(&'static Shape),
}

use Shape::{Any, Each, Named, Table};

const CALLER: Shape = Table(&[("subject", Any), ("roles", Any), ("claims", Any)]);
const REFUSAL: Shape = Table(&[("kind", Any), ("text", Any)]);
const RANGE: Shape = Table(&[("min", Any), ("max", Any)]);

/// A file of cases.
pub const FILE: Shape = Table(&[
    ("tenant", Any),
    (
        "keys",
        Named(&Table(&[
            ("algorithm", Any),
            ("versions", Any),
            ("attributes", Any),
            ("disabled", Any),
        ])),
    ),
    ("callers", Named(&CALLER)),
    (
        "case",
        Each(&Table(&[
            ("name", Any),
            ("operation", Any),
            ("caller", CALLER),
            ("key", Any),
            ("context", Any),
            ("purpose", Any),
            ("time", Any),
            (
                "payload",
                Table(&[
                    ("text", Any),
                    ("json", Any),
                    ("base64", Any),
                    ("file", Any),
                    ("output_of", Any),
                    ("content_type", Any),
                ]),
            ),
            (
                "expect",
                Table(&[
                    (
                        "allow",
                        Table(&[
                            ("key", Any),
                            ("version", Any),
                            ("suite", Any),
                            ("binds", Any),
                            ("binds_base64", Any),
                            ("max_bytes", Any),
                            ("notes", Any),
                        ]),
                    ),
                    ("refuse", REFUSAL),
                    (
                        "output",
                        Table(&[
                            ("text", Any),
                            ("base64", Any),
                            ("json", Any),
                            ("includes", Any),
                            ("content_type", Any),
                        ]),
                    ),
                    ("fails", REFUSAL),
                    ("calls", Table(CALLS)),
                ]),
            ),
        ])),
    ),
    ("properties", Table(&[("caller", Any), ("key", Any), ("inverse", Any)])),
]);

/// The functions of the contract.
const CALLS: &[(&str, Shape)] = &[
    ("keys.open", RANGE),
    ("keys.open-version", RANGE),
    ("keys.name", RANGE),
    ("keys.version", RANGE),
    ("keys.algorithm", RANGE),
    ("keys.attribute", RANGE),
    ("sealing.encrypt", RANGE),
    ("sealing.encrypt-many", RANGE),
    ("opening.decrypt", RANGE),
    ("opening.decrypt-many", RANGE),
    ("macs.mac", RANGE),
    ("macs.verify", RANGE),
    ("signing.sign", RANGE),
    ("verifying.verify", RANGE),
    ("verifying.public-key", RANGE),
    ("index.term", RANGE),
    ("index.terms", RANGE),
    ("recipients.seal", RANGE),
    ("tokens.tokenize", RANGE),
    ("tokens.reveal", RANGE),
    ("tokens.random", RANGE),
    ("state.get", RANGE),
    ("state.put", RANGE),
    ("state.put-if", RANGE),
    ("state.add", RANGE),
    ("state.remove", RANGE),
    ("random.bytes", RANGE),
    ("log.write", RANGE),
];

/// Adds each key that does not exist: where it is in the file, and a sentence about it.
pub fn check(shape: &Shape, place: &str, table: &DeTable<'_>, wrong: &mut Vec<(usize, String)>) {
    for (name, value) in table {
        let inner = match shape {
            Any | Each(_) => return,
            Named(inner) => inner,
            Table(known) => {
                if let Some((_, inner)) = known.iter().find(|(key, _)| *key == name.get_ref()) {
                    inner
                } else {
                    let keys: Vec<&str> = known.iter().map(|(key, _)| *key).collect();
                    let hint = hint(name.get_ref(), &keys);
                    let place = if place.is_empty() { "the file" } else { place };
                    let text = format!("{place} has no `{}`; {hint}", name.get_ref());
                    wrong.push((name.span().start, text));
                    continue;
                }
            }
        };
        let place = if place.is_empty() {
            format!("`{}`", name.get_ref())
        } else {
            format!("{}.{}`", place.trim_end_matches('`'), name.get_ref())
        };
        match (inner, value.get_ref()) {
            (inner, DeValue::Table(table)) => check(inner, &place, table, wrong),
            (Each(inner), DeValue::Array(items)) => {
                for item in items {
                    if let DeValue::Table(table) = item.get_ref() {
                        check(inner, &place, table, wrong);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What was meant, or what there is.
pub fn hint(written: &str, known: &[&str]) -> String {
    match crate::spelling::nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    }
}
