//! Card numbers: tokens of the same form, and numbers sealed for a recipient whom the host itself
//! cannot read.
//!
//! `invoke/tokenize` gives a token that looks like a card number with the same last four digits,
//! `invoke/reveal` gives the number back to whoever may have it. `invoke/register` keeps a
//! recipient's public key, `invoke/seal` encrypts a number to it with HPKE: only the recipient's
//! private key, which Keyward never sees, opens that.

mod number;
mod recipient;
#[cfg(test)]
mod tests;

use keyward_policy::{Action, Error, Operation, Payload, Plan, Policy, Request, export_policy};
use serde::Deserialize;

/// Which role may do which operation.
const MAY: &[(&str, &str)] = &[
    ("tokenize", "application"),
    ("reveal", "card-reader"),
    ("register", "registrar"),
    ("seal", "application"),
];

/// The only media type of the operations.
const JSON: &str = "application/json";
/// Largest body, in bytes: the public key of X-Wing is of 1,216.
const MAX_BODY: u32 = 4 << 10;

/// Tokens for card numbers.
struct Cards;

impl Policy for Cards {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        let unknown = || Error::unknown_operation(&request.operation);
        let Action::Invoke(name) = request.action() else { return Err(unknown()) };
        let (_, role) = MAY.iter().find(|(operation, _)| *operation == name).ok_or_else(unknown)?;
        if !request.has_role(role) {
            return Err(Error::denied(format!("{name} needs the role `{role}`")));
        }
        Ok(Plan::allow().max_bytes(MAX_BODY))
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        let media_type = payload.content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(JSON) {
            return Err(Error::invalid("the content type must be application/json"));
        }
        let answer = match request.action() {
            Action::Invoke("tokenize") => number::tokenize(&payload.body)?,
            Action::Invoke("reveal") => number::reveal(&payload.body)?,
            Action::Invoke("register") => recipient::register(&payload.body)?,
            Action::Invoke("seal") => recipient::seal(request, &payload.body)?,
            _ => return Err(Error::unknown_operation(&request.operation)),
        };
        Ok(Payload { content_type: JSON.to_owned(), body: answer.to_string().into_bytes() })
    }

    fn describe() -> Vec<Operation> {
        let operation = |name: &str, description: &str, input: &str, output: &str| Operation {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema: input.to_owned(),
            output_schema: output.to_owned(),
        };
        vec![
            operation(
                "tokenize",
                "Gives a token that looks like the card number and ends like it.",
                include_str!("schemas/number.json"),
                include_str!("schemas/token.json"),
            ),
            operation(
                "reveal",
                "Gives the card number of a token.",
                include_str!("schemas/token.json"),
                include_str!("schemas/number.json"),
            ),
            operation(
                "register",
                "Keeps the public key of a recipient.",
                include_str!("schemas/recipient.json"),
                include_str!("schemas/registered.json"),
            ),
            operation(
                "seal",
                "Encrypts a card number so that only the recipient can open it.",
                include_str!("schemas/for-recipient.json"),
                include_str!("schemas/sealed.json"),
            ),
        ]
    }
}

export_policy!(Cards);

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    // The parser quotes what it found: that would show a card number to whoever reads the answer.
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::invalid(format!("the body does not fit the schema, at line {line} column {column}"))
    })
}
