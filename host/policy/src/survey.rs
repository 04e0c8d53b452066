//! What can be said of a component without running it, and all that speaks against it.

use wasmparser::{CustomSectionReader, KnownCustom, Parser, Payload};

use crate::admission;
use crate::engine::EngineKind;
use crate::error::AdmissionError;
use crate::limits::HostConfig;
use crate::needs::{Needs, largest};

/// Custom section of the SDK that a policy was written with: name, a space, version.
const SDK_SECTION: &str = "keyward:sdk";

/// A component, described by its bytes alone.
#[derive(Debug)]
pub struct Survey {
    /// `sha256:` and the digest in hexadecimal.
    pub digest: String,
    /// Size, in bytes.
    pub size: usize,
    /// Interfaces it imports, sorted.
    pub imports: Vec<String>,
    /// Interfaces it exports, sorted.
    pub exports: Vec<String>,
    /// What it needs.
    pub needs: Needs,
    /// The engine that has all of it, if one has.
    pub engine: Option<EngineKind>,
    /// SDK it was written with, as name and version, if it says so.
    pub sdk: Option<(String, String)>,
    /// Languages and tools it was made with, as name and version.
    pub made_with: Vec<(String, String)>,
    /// Each reason for which it would not be admitted. What only compiling and running it can show
    /// is not among them.
    pub objections: Vec<AdmissionError>,
}

/// Describes a component for a host that is set up so. Fails if it is none.
pub fn survey(wasm: &[u8], config: &HostConfig) -> Result<Survey, AdmissionError> {
    let offers = config.offers();
    admission::check_is_component(wasm)?;
    let (mut imports, mut exports) = admission::top_level_names(wasm)?;
    let mut objections = Vec::new();
    objections.extend(admission::check_size(wasm, largest(&offers)).err());
    objections.extend(admission::check_imports(&imports).err());
    objections.extend(admission::check_exports(&exports).err());
    objections.extend(admission::check_valid(wasm).err());
    let needs = Needs::of(wasm)?;
    // The size has been judged.
    let engine = needs.choose(wasm.len().min(largest(&offers)), &offers);
    let (engine, lacks) = (engine.as_ref().ok().copied(), engine.err());
    objections.extend(lacks);
    imports.sort();
    exports.sort();
    let mut survey = Survey {
        digest: format!("sha256:{}", hex::encode(keyward_crypto::sha256(wasm))),
        size: wasm.len(),
        imports,
        exports,
        needs,
        engine,
        sdk: None,
        made_with: Vec::new(),
        objections,
    };
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CustomSection(section) =
            payload.map_err(|error| admission::invalid(&error))?
        {
            survey.read_custom(&section);
        }
    }
    Ok(survey)
}

impl Survey {
    fn read_custom(&mut self, section: &CustomSectionReader<'_>) {
        if section.name() == SDK_SECTION {
            let text = String::from_utf8_lossy(section.data()).into_owned();
            let (name, version) = text.split_once(' ').unwrap_or((&text, ""));
            self.sdk = Some((name.to_owned(), version.to_owned()));
        }
        let KnownCustom::Producers(fields) = section.as_known() else { return };
        for field in fields.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                let made = (value.name.to_owned(), value.version.to_owned());
                if !self.made_with.contains(&made) {
                    self.made_with.push(made);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_objections_are_told_at_once() {
        let wasm = wat::parse_str(
            r#"(component
                (import "wasi:clocks/wall-clock@0.2.0" (instance))
                (import "keyward:policy/log@0.1.0" (instance))
                (core module
                    (memory 300)
                    (table 3000 funcref)
                    (@custom "keyward:sdk" "some-sdk 1.2")))"#,
        )
        .unwrap();
        let survey =
            survey(&wasm, &HostConfig { max_component_bytes: 10, ..HostConfig::default() })
                .unwrap();
        let codes: Vec<_> = survey.objections.iter().map(AdmissionError::code).collect();
        let expected = [
            "component_too_large",
            "component_forbidden_imports",
            "component_missing_exports",
            "component_needs_too_much",
        ];
        assert_eq!(codes, expected);
        assert_eq!(survey.sdk, Some(("some-sdk".into(), "1.2".into())));
        let needs = survey.needs;
        assert_eq!((needs.modules, needs.memories, needs.tables), (1, 1, 1));
        assert_eq!((needs.memory_bytes, needs.table_elements), (300 << 16, 3_000));
    }

    #[test]
    fn what_is_no_component_has_no_survey() {
        for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"text"] {
            assert!(survey(bytes, &HostConfig::default()).is_err());
        }
    }
}
