//! Inputs for the property checks: values of a JSON Schema, and requests of all kinds.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// How deep generated values nest.
const DEPTH: u32 = 3;
/// Most items of a generated array, and members beyond those a schema names.
const ITEMS: u64 = 4;
/// Characters that parsers and encoders stumble over.
const ODD: [&str; 8] = ["", " ", "\"", "\\", "\u{0}", "é", "\u{1F511}", "kw1."];

/// Generates values, the same ones for the same seed.
pub struct Generator {
    pub rng: Rng,
    /// Put into strings: where it turns up later, plaintext did.
    pub canary: String,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let canary = (0..12).map(|_| rng.lowercase()).collect::<String>();
        Self { rng, canary: format!("canary{canary}") }
    }

    /// One of these; none of an empty list.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        self.rng.choice(items)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// A value of `schema`, a part of `root`. Keywords it does not know are left aside, so that a
    /// policy may refuse what comes out.
    pub fn value(&mut self, schema: &Value, root: &Value) -> Value {
        self.at(schema, root, DEPTH)
    }

    fn at(&mut self, schema: &Value, root: &Value, depth: u32) -> Value {
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return self.one_of(values).cloned().unwrap_or(Value::Null);
        }
        if let Some(target) =
            schema["$ref"].as_str().and_then(|it| root.pointer(it.strip_prefix('#')?))
            && depth > 0
        {
            return self.at(target, root, depth - 1);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[keyword].as_array()
                && let Some(choice) = self.one_of(choices)
            {
                return self.at(choice, root, depth);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let merged = parts.iter().filter_map(Value::as_object).flatten();
            let merged: Map<String, Value> = merged.map(|(k, v)| (k.clone(), v.clone())).collect();
            return self.at(&Value::Object(merged), root, depth);
        }
        let kind = match &schema["type"] {
            Value::String(kind) => Some(kind.clone()),
            Value::Array(kinds) => self.one_of(kinds).and_then(Value::as_str).map(str::to_owned),
            _ if schema["properties"].is_object() => Some("object".into()),
            _ if schema["items"].is_object() => Some("array".into()),
            _ => None,
        };
        match kind.as_deref() {
            Some("object") => self.object(schema, root, depth),
            Some("array") => self.array(schema, root, depth),
            Some("string") => Value::String(self.string(schema)),
            Some("integer") => json!(self.integer(schema)),
            Some("number") => self.number(schema),
            Some("boolean") => Value::Bool(self.rng.bool()),
            Some("null") => Value::Null,
            _ => self.anything(depth),
        }
    }

    fn object(&mut self, schema: &Value, root: &Value, depth: u32) -> Value {
        let mut members = Map::new();
        let required = |name: &str| {
            schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name))
        };
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            if required(name) || (depth > 0 && self.chance(60)) {
                let value = self.at(member, root, depth.saturating_sub(1));
                members.insert(name.clone(), value);
            }
        }
        if schema["additionalProperties"] != Value::Bool(false) && depth > 0 {
            let member = match &schema["additionalProperties"] {
                it @ Value::Object(_) => it.clone(),
                _ => Value::Null,
            };
            for _ in 0..self.rng.u64(0..=2) {
                let value = self.at(&member, root, depth - 1);
                let name = self.name();
                members.entry(name).or_insert(value);
            }
        }
        Value::Object(members)
    }

    fn array(&mut self, schema: &Value, root: &Value, depth: u32) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(least + ITEMS).clamp(least, least + ITEMS);
        let many = if depth == 0 { least } else { self.rng.u64(least..=most) };
        let items = (0..many).map(|_| self.at(&schema["items"], root, depth.saturating_sub(1)));
        Value::Array(items.collect())
    }

    fn string(&mut self, schema: &Value) -> String {
        let least = schema["minLength"].as_u64().unwrap_or(0);
        let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        let mut text = self.text();
        while (text.chars().count() as u64) < least {
            text.push(self.rng.alphanumeric());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        text.chars().take(most).collect()
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        if self.chance(50) {
            text.push_str(&self.canary);
        }
        for _ in 0..self.rng.u32(0..3) {
            let odd = self.one_of(&ODD).copied().unwrap_or_default();
            text.push_str(odd);
            text.push(self.rng.alphanumeric());
        }
        text
    }

    /// A member's name. Without odd characters: what is told apart by name has a plain one.
    fn name(&mut self) -> String {
        (0..self.rng.u32(1..8)).map(|_| self.rng.lowercase()).collect()
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let least = schema["minimum"].as_i64().unwrap_or(-1_000_000);
        let most = schema["maximum"].as_i64().unwrap_or_else(|| least.saturating_add(2_000_000));
        if least >= most { least } else { self.rng.i64(least..=most) }
    }

    fn number(&mut self, schema: &Value) -> Value {
        let least = schema["minimum"].as_f64().unwrap_or(-1e6);
        let most = schema["maximum"].as_f64().unwrap_or(least + 2e6);
        // Quarters: the same in every decimal and binary form.
        let value = ((least + self.rng.f64() * (most - least)) * 4.0).floor() / 4.0;
        json!(value.clamp(least, most))
    }

    /// Any JSON.
    pub fn anything(&mut self, depth: u32) -> Value {
        match self.rng.u32(0..if depth == 0 { 4 } else { 6 }) {
            0 => Value::Null,
            1 => Value::Bool(self.rng.bool()),
            2 => json!(self.rng.i32(..)),
            3 => Value::String(self.text()),
            4 => {
                let many = self.rng.u64(0..=ITEMS);
                Value::Array((0..many).map(|_| self.anything(depth - 1)).collect())
            }
            _ => {
                let many = self.rng.u64(0..=ITEMS);
                let members = (0..many).map(|_| (self.name(), self.anything(depth - 1)));
                Value::Object(members.collect())
            }
        }
    }

    /// Bytes that are no JSON, with the canary in them.
    pub fn garbage(&mut self) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..self.rng.u32(0..20)).map(|_| self.rng.u8(..)).collect();
        let value = self.anything(DEPTH).to_string();
        // A document that breaks off is what parsers like to quote.
        let cut = self.rng.usize(0..=value.len());
        bytes.extend_from_slice(&value.as_bytes()[..cut]);
        bytes.extend_from_slice(self.canary.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "kind": { "const": "order" },
                "size": { "enum": ["s", "m"] },
                "count": { "type": "integer", "minimum": 1, "maximum": 3 },
                "name": { "type": "string", "minLength": 2, "maxLength": 5 },
                "lines": { "type": "array", "minItems": 1, "maxItems": 2, "items": { "$ref": "#/$defs/line" } },
                "other": { "oneOf": [{ "type": "null" }, { "type": "boolean" }] }
            },
            "required": ["kind", "size", "count", "name", "lines", "other"],
            "additionalProperties": false,
            "$defs": { "line": { "type": "number", "minimum": 0, "maximum": 1 } }
        });
        for seed in 0..500 {
            let value = Generator::new(seed).value(&schema, &schema);
            assert_eq!(value["kind"], "order");
            assert!(value["size"] == "s" || value["size"] == "m", "{value}");
            assert!((1..=3).contains(&value["count"].as_i64().unwrap()), "{value}");
            let length = value["name"].as_str().unwrap().chars().count();
            assert!((2..=5).contains(&length), "{value}");
            let lines = value["lines"].as_array().unwrap();
            assert!((1..=2).contains(&lines.len()), "{value}");
            assert!(lines.iter().all(|it| (0.0..=1.0).contains(&it.as_f64().unwrap())), "{value}");
            assert!(value["other"].is_null() || value["other"].is_boolean(), "{value}");
            assert_eq!(value.as_object().unwrap().len(), 6, "{value}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same() {
        let of = |seed| Generator::new(seed).anything(DEPTH);
        assert_eq!(of(7), of(7));
        assert!((0..20).any(|seed| of(seed) != of(seed + 1)));
    }
}
