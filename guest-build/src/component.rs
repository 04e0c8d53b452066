//! From a core module to a component.

use wit_component::ComponentEncoder;

use crate::BuildError;

/// Turns a core module that carries its world, as wit-bindgen leaves it there, into a validated
/// component.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| BuildError::NotAPolicy(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_says_so() {
        let error = componentize(b"text").unwrap_err().to_string();
        assert!(error.contains("export_policy!"), "{error}");
    }
}
