//! The document as it is: whole, current, and in step with the table of errors.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document;
use crate::errors::Code;
use crate::http::all_routes;

fn document() -> Value {
    document::of(&all_routes().into_parts().1)
}

#[test]
fn the_documentation_is_this_document() {
    let text = serde_json::to_string_pretty(&document()).unwrap();
    crate::docs::assert_current("openapi.json", &(text + "\n"));
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let described = all_routes().into_parts().1;
    let ids: BTreeSet<_> = described.iter().map(|route| route.endpoint.id).collect();
    assert_eq!(ids.len(), described.len());
}

/// Those two have no route.
#[test]
fn every_code_is_some_operations() {
    let described = all_routes().into_parts().1;
    let mut said: BTreeSet<&str> = BTreeSet::from(["route_not_found", "method_not_allowed"]);
    for route in &described {
        said.extend(document::failures(route.path, &route.endpoint).into_values().flatten());
    }
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(said, all);
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|value| check(document, value));
            }
            Value::Array(values) => values.iter().for_each(|value| check(document, value)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}
