//! What an uploaded component must be before anything is compiled.
//!
//! Size, then syntax and validity, then its imports against the contract's, then its exports, then
//! which engine has what it needs. All of it is parsing; none of the component's code runs here.

use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::contract::{self, ALLOWED_IMPORTS, REQUIRED_EXPORTS};
use crate::engine::EngineKind;
use crate::error::AdmissionError;
use crate::needs::{Needs, Offer, largest};

/// A component that passed.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it imports: its permissions. Sorted.
    pub imports: Vec<String>,
    /// The version of the contract it was built for.
    pub contract: String,
    /// The engine that has what it needs.
    pub engine: EngineKind,
}

/// Checks a component without compiling it, for a host with these engines.
pub fn parse(wasm: &[u8], offers: &[Offer]) -> Result<Parsed, AdmissionError> {
    check_size(wasm, largest(offers))?;
    check_is_component(wasm)?;
    let (mut imports, exports) = top_level_names(wasm)?;
    check_imports(&imports)?;
    check_exports(&exports)?;
    check_valid(wasm)?;
    let engine = Needs::of(wasm)?.choose(wasm.len(), offers)?;
    let names = imports.iter().chain(&exports).map(String::as_str);
    let contract = contract::newest(names).unwrap_or(contract::VERSION).to_owned();
    imports.sort();
    Ok(Parsed { imports, contract, engine })
}

/// The error for interfaces of a contract from the future, if there is one among the names.
fn newer(names: &[String]) -> Option<AdmissionError> {
    let newest = contract::newest(names.iter().map(String::as_str));
    let needs = newest.filter(|version| contract::is_newer(version))?;
    Some(AdmissionError::NewerContract { needs: needs.to_owned(), has: contract::VERSION })
}

pub fn check_size(wasm: &[u8], max_bytes: usize) -> Result<(), AdmissionError> {
    if wasm.len() > max_bytes {
        return Err(AdmissionError::TooLarge { size: wasm.len(), limit: max_bytes });
    }
    Ok(())
}

pub fn check_is_component(wasm: &[u8]) -> Result<(), AdmissionError> {
    if Parser::is_component(wasm) {
        return Ok(());
    }
    Err(AdmissionError::NotAComponent {
        reason: if Parser::is_core_wasm(wasm) {
            "it is a core module".into()
        } else {
            "it does not begin like one".into()
        },
    })
}

pub fn check_imports(imports: &[String]) -> Result<(), AdmissionError> {
    let foreign = |name: &&String| !ALLOWED_IMPORTS.contains(&name.as_str());
    let wanted: Vec<String> = imports.iter().filter(foreign).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    // What only a newer host has is told apart from what none ever had.
    let is_newer = |name: &String| contract::version_of(name).is_some_and(contract::is_newer);
    Err(match newer(&wanted) {
        Some(error) if wanted.iter().all(is_newer) => error,
        _ => AdmissionError::ForbiddenImports { wanted },
    })
}

pub fn check_exports(exports: &[String]) -> Result<(), AdmissionError> {
    let missing: Vec<String> = REQUIRED_EXPORTS
        .iter()
        .filter(|name| !exports.iter().any(|export| export == *name))
        .map(|name| (*name).to_owned())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(newer(exports).unwrap_or(AdmissionError::MissingExports { missing }))
}

pub fn check_valid(wasm: &[u8]) -> Result<(), AdmissionError> {
    let validated = Validator::new_with_features(features()).validate_all(wasm);
    validated.map(drop).map_err(|error| invalid(&error))
}

/// Names of what the outermost component imports and exports.
pub fn top_level_names(wasm: &[u8]) -> Result<(Vec<String>, Vec<String>), AdmissionError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| invalid(&error))? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import.map_err(|error| invalid(&error))?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export.map_err(|error| invalid(&error))?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// The features the engine has; the engine refuses the rest again when it compiles.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::COMPONENT_MODEL | WasmFeatures::EXTENDED_CONST
}

pub fn invalid(error: &wasmparser::BinaryReaderError) -> AdmissionError {
    AdmissionError::NotAComponent { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn parse_text(text: &str) -> Result<Parsed, AdmissionError> {
        parse(&wat::parse_str(text).unwrap(), &[compact(1 << 20)])
    }

    fn compact(max_bytes: usize) -> Offer {
        Offer { engine: EngineKind::Compact, limits: Limits::default(), max_bytes }
    }

    fn image(max_bytes: usize) -> Offer {
        Offer { engine: EngineKind::Image, limits: Limits::for_image(), max_bytes }
    }

    /// A component with everything a policy must have, and `more`.
    fn policy_with(more: &str) -> Vec<u8> {
        wat::parse_str(format!(
            r#"(component
                {more}
                (component $empty)
                (instance $i (instantiate $empty))
                (export "keyward:policy/guard@0.1.0" (instance $i))
                (export "keyward:policy/handler@0.1.0" (instance $i)))"#
        ))
        .unwrap()
    }

    #[test]
    fn a_component_runs_in_the_first_engine_that_has_what_it_needs() {
        let offers = [compact(2 << 20), image(4 << 20)];
        let data = |kib: usize| {
            let text = "x".repeat(kib << 10);
            format!(r#"(core module (memory 100) (data (i32.const 0) "{text}"))"#)
        };
        let instances =
            |count| format!("(core module $m){}", "(core instance (instantiate $m))".repeat(count));
        for (more, engine) in [
            (String::new(), EngineKind::Compact),
            ("(core module (memory 256))".into(), EngineKind::Compact),
            ("(core module (memory 257))".into(), EngineKind::Image),
            ("(core module (table 2048 funcref))".into(), EngineKind::Compact),
            ("(core module (table 2049 funcref))".into(), EngineKind::Image),
            (instances(8), EngineKind::Compact),
            (instances(9), EngineKind::Image),
            (data(1_024), EngineKind::Compact),
            (data(1_025), EngineKind::Image),
            // Too large for the one, though it needs little.
            (
                format!(r#"(core module (@custom "x" "{}"))"#, "x".repeat(2 << 20)),
                EngineKind::Image,
            ),
        ] {
            let parsed = parse(&policy_with(&more), &offers).unwrap();
            assert_eq!(parsed.engine, engine, "{}", &more[..more.len().min(40)]);
        }
    }

    #[test]
    fn what_no_engine_has_is_refused_and_without_the_image_engine_its_components_are() {
        let large = policy_with("(core module (memory 257))");
        let error = parse(&large, &[compact(1 << 20)]).unwrap_err();
        assert!(matches!(error, AdmissionError::NeedsTooMuch { limit: 0x0100_0000, .. }));
        let larger = policy_with("(core module (memory 1025))");
        let error = parse(&larger, &[compact(1 << 20), image(1 << 20)]).unwrap_err();
        let AdmissionError::NeedsTooMuch { what, needed, limit } = error else { panic!("{error}") };
        assert_eq!((what, needed, limit), ("bytes of memory at start", 1025 << 16, 64 << 20));
    }

    #[test]
    fn what_is_not_a_component_is_refused() {
        for bytes in [&b""[..], b"\0asm", b"not wasm at all", &[0; 100]] {
            assert!(matches!(
                parse(bytes, &[compact(1 << 20)]),
                Err(AdmissionError::NotAComponent { .. })
            ));
        }
        let module = parse_text("(module)").unwrap_err();
        assert!(module.to_string().contains("core module"), "{module}");
    }

    #[test]
    fn size_is_checked_first() {
        let error = parse(&[0; 11], &[compact(10)]).unwrap_err();
        assert!(matches!(error, AdmissionError::TooLarge { size: 11, limit: 10 }));
    }

    #[test]
    fn wasi_and_anything_else_not_ours_is_listed() {
        let error = parse_text(
            r#"(component
                (import "wasi:clocks/wall-clock@0.2.0" (instance))
                (import "keyward:policy/log@0.1.0" (instance))
                (import "keyward:policy/log@0.2.0" (instance))
                (import "anything" (func)))"#,
        )
        .unwrap_err();
        let AdmissionError::ForbiddenImports { wanted } = error else { panic!("{error}") };
        assert_eq!(
            wanted,
            ["wasi:clocks/wall-clock@0.2.0", "keyward:policy/log@0.2.0", "anything"]
        );
    }

    #[test]
    fn a_contract_from_the_future_says_so() {
        for text in [
            r#"(component (import "keyward:policy/log@0.1.0" (instance))
                (import "keyward:policy/quorum@0.2.0" (instance)))"#,
            r#"(component (component $c) (instance $i (instantiate $c))
                (export "keyward:policy/guard@0.2.0" (instance $i)))"#,
        ] {
            let error = parse_text(text).unwrap_err();
            assert!(matches!(error, AdmissionError::NewerContract { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("needs contract 0.2.0, this host has 0.1.0"), "{text}");
        }
        // An older one that no host has any more is not of the future.
        let error = parse_text(r#"(component (import "keyward:policy/log@0.0.9" (instance)))"#);
        assert!(matches!(error, Err(AdmissionError::ForbiddenImports { .. })), "{error:?}");
    }

    #[test]
    fn nested_components_do_not_count_as_the_policys_own_exports() {
        let error = parse_text(
            r#"(component
                (component (instance $i) (export "keyward:policy/guard@0.1.0" (instance $i))))"#,
        )
        .unwrap_err();
        let AdmissionError::MissingExports { missing } = error else { panic!("{error}") };
        assert_eq!(missing, REQUIRED_EXPORTS);
    }

    #[test]
    fn truncated_components_are_refused_at_every_length() {
        let wasm =
            wat::parse_str(r#"(component (import "x" (func)) (core module (func)))"#).unwrap();
        for len in 0..wasm.len() {
            assert!(parse(&wasm[..len], &[compact(1 << 20)]).is_err(), "cut to {len}");
        }
    }
}
