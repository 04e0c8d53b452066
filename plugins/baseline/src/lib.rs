//! Roles to operations, and a context where the key demands one.
//!
//! This policy decides by what the caller's credential says and by one attribute of the key. It
//! imports `keys` for that attribute and nothing else, so it can neither encrypt nor decrypt.

mod roles;
#[cfg(test)]
mod tests;

use keyward_policy::{Action, Error, Key, Plan, Policy, Request, export_policy};

use roles::ROLES;

/// The attribute of a key that demands a context, and the value that does.
const CONTEXT_ATTRIBUTE: (&str, &str) = ("context", "required");

/// Roles to operations, and a context where the key demands one.
struct Baseline;

impl Policy for Baseline {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        decide(request, &mut LastKey::default())
    }

    fn authorize_many(requests: &[Request]) -> Vec<Result<Plan, Error>> {
        let mut last_key = LastKey::default();
        requests.iter().map(|request| decide(request, &mut last_key)).collect()
    }
}

export_policy!(Baseline);

fn decide(request: &Request, last_key: &mut LastKey) -> Result<Plan, Error> {
    let operation = request.operation.as_str();
    if !ROLES.iter().any(|role| role.may.contains(&operation)) {
        return Err(Error::unknown_operation(operation));
    }
    if !ROLES.iter().any(|role| role.may.contains(&operation) && request.has_role(role.name)) {
        return Err(missing_role(operation));
    }
    if matches!(request.action(), Action::Random | Action::Hash) {
        return Ok(Plan::allow());
    }
    let Some(key) = request.key.as_deref() else {
        return Err(Error::invalid("name the key to use, in `key`"));
    };
    if binds_context(request.action())
        && request.bound_context().is_none()
        && last_key.demands_context(key)?
    {
        return Err(Error::invalid(
            ["key `", key, "` demands a context: send one, in `context`"].concat(),
        ));
    }
    Ok(Plan::allow())
}

/// Whether a ciphertext comes out or goes in: MACs and signatures have no context.
fn binds_context(action: Action<'_>) -> bool {
    matches!(action, Action::Encrypt | Action::Decrypt | Action::Rewrap | Action::Datakey)
}

fn missing_role(operation: &str) -> Error {
    let mut message = [operation, " needs one of the roles"].concat();
    let able = ROLES.iter().filter(|role| role.may.contains(&operation));
    for (nth, role) in able.enumerate() {
        message.push_str(if nth == 0 { " `" } else { ", `" });
        message.push_str(role.name);
        message.push('`');
    }
    Error::denied(message)
}

/// What the key asked about last demands. The items of a batch mostly name the same key.
#[derive(Default)]
struct LastKey(Option<(String, bool)>);

impl LastKey {
    fn demands_context(&mut self, name: &str) -> Result<bool, Error> {
        if let Some((known, demands)) = &self.0
            && known == name
        {
            return Ok(*demands);
        }
        let (attribute, required) = CONTEXT_ATTRIBUTE;
        let demands = Key::open(name)?.attribute(attribute).as_deref() == Some(required);
        self.0 = Some((name.to_owned(), demands));
        Ok(demands)
    }
}
