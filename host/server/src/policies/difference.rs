//! What a component has that another has not.

use std::sync::Arc;

use keyward_keyring::TenantName;
use keyward_policy_host::{Operation, Policy};

use super::activation::unreadable;
use super::{ComponentDigest, Policies};
use crate::http::Problem;

/// A value of one component and of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<T> {
    /// Of the first.
    pub from: T,
    /// Of the second.
    pub to: T,
}

/// An operation that both have, and not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationChange {
    /// Its name.
    pub name: String,
    /// Which of `description`, `input_schema` and `output_schema` differ.
    pub fields: Vec<&'static str>,
}

/// How two components differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Versions of the contract.
    pub contract: Changed<String>,
    /// In bytes.
    pub size: Changed<usize>,
    /// Permissions that only the second has.
    pub imports_added: Vec<String>,
    /// Permissions that only the first has.
    pub imports_removed: Vec<String>,
    /// Operations that only the second has.
    pub operations_added: Vec<String>,
    /// Operations that only the first has.
    pub operations_removed: Vec<String>,
    /// Operations that both have, and not the same.
    pub operations_changed: Vec<OperationChange>,
}

impl Policies {
    /// How the second of two components that the tenant keeps differs from the first.
    pub async fn difference(
        &self,
        tenant: &TenantName,
        from: &ComponentDigest,
        to: &ComponentDigest,
    ) -> Result<Difference, Problem> {
        let (from, to) = (self.described(tenant, from).await?, self.described(tenant, to).await?);
        let (old, new) = (operations(&from), operations(&to));
        let names = |operations: &[Operation]| -> Vec<String> {
            operations.iter().map(|operation| operation.name.clone()).collect()
        };
        Ok(Difference {
            contract: Changed { from: from.contract().into(), to: to.contract().into() },
            size: Changed { from: from.size(), to: to.size() },
            imports_added: without(to.imports(), from.imports()),
            imports_removed: without(from.imports(), to.imports()),
            operations_added: without(&names(&new), &names(&old)),
            operations_removed: without(&names(&old), &names(&new)),
            operations_changed: changes(&old, &new),
        })
    }

    /// The component with what it says of itself. Whether it may be activated does not matter.
    async fn described(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<Arc<Policy>, Problem> {
        self.kept(tenant, digest).await?;
        let wasm = self.components.read(digest).await.map_err(unreadable)?;
        Ok(self.host.admit(&wasm).await?)
    }
}

fn operations(policy: &Policy) -> Vec<Operation> {
    let mut operations = policy.operations().to_vec();
    operations.sort_by(|a, b| a.name.cmp(&b.name));
    operations
}

fn without(all: &[String], these: &[String]) -> Vec<String> {
    all.iter().filter(|name| !these.contains(name)).cloned().collect()
}

fn changes(old: &[Operation], new: &[Operation]) -> Vec<OperationChange> {
    let pairs = old.iter().filter_map(|old| {
        let new = new.iter().find(|new| new.name == old.name)?;
        let fields: Vec<&'static str> = [
            ("description", old.description != new.description),
            ("input_schema", !is_same(&old.input_schema, &new.input_schema)),
            ("output_schema", !is_same(&old.output_schema, &new.output_schema)),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
        (!fields.is_empty()).then(|| OperationChange { name: old.name.clone(), fields })
    });
    pairs.collect()
}

/// Whether two schemas mean the same, however they are written.
fn is_same(a: &str, b: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b || read(a).is_some_and(|a| read(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str, input: &str) -> Operation {
        Operation {
            name: name.into(),
            description: "d".into(),
            input_schema: input.into(),
            output_schema: "{}".into(),
        }
    }

    #[test]
    fn schemas_differ_by_what_they_mean() {
        let old = [operation("a", r#"{"x":1,"y":2}"#), operation("b", "{}")];
        let spaced = [operation("a", r#"{ "y": 2, "x": 1 }"#), operation("c", "{}")];
        assert!(changes(&old, &spaced).is_empty());
        let other = [operation("a", r#"{"x":2}"#), operation("b", "not json")];
        let fields =
            |name: &str| OperationChange { name: name.into(), fields: vec!["input_schema"] };
        assert_eq!(changes(&old, &other), [fields("a"), fields("b")]);
    }
}
