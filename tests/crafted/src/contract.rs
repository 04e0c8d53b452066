//! The host functions of the contract, as a core module imports them.

use std::sync::LazyLock;

use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, TypeDefKind, WorldId, WorldItem};

/// The contract, as it is.
const TEXT: &str = include_str!("../../../wit/policy.wit");

/// The contract and its one world.
pub(crate) static CONTRACT: LazyLock<(Resolve, WorldId)> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("policy.wit", TEXT).expect("the contract is WIT");
    let world = resolve.select_world(&[package], None).expect("the contract has one world");
    (resolve, world)
});

/// A host function in the core ABI. Integers are all that crosses: pointers, lengths, handles,
/// discriminants, numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFunction {
    /// What a module calls it by: `$keys.open`, `$keys.key.name`, `$keys.key.drop`.
    pub id: String,
    /// The interface, with package and version.
    pub module: String,
    /// The name within it.
    pub field: String,
    /// For each parameter whether it has 64 bits instead of 32. The last may be a pointer to where
    /// the result goes.
    pub params: Vec<bool>,
    /// The same of the result.
    pub result: Option<bool>,
}

impl HostFunction {
    /// Its import, in WebAssembly text.
    pub(crate) fn import(&self) -> String {
        let name = |wide: &bool| if *wide { "i64 " } else { "i32 " };
        let params: String = self.params.iter().map(name).collect();
        let result: String = self.result.iter().map(name).collect();
        format!(
            "(import \"{}\" \"{}\" (func {} (param {params}) (result {result})))\n",
            self.module, self.field, self.id
        )
    }
}

/// All that a policy may import, in the order of the contract; after each resource's functions what
/// drops a handle of it.
pub fn host_functions() -> Vec<HostFunction> {
    let (resolve, world) = &*CONTRACT;
    let mut all = Vec::new();
    for (key, item) in &resolve.worlds[*world].imports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let (interface, module) = (&resolve.interfaces[*id], resolve.name_world_key(key));
        let short = interface.name.as_deref().unwrap_or_default();
        for (name, function) in &interface.functions {
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
            all.push(HostFunction {
                id: format!("${short}.{}", name.trim_start_matches("[method]")),
                module: module.clone(),
                field: name.clone(),
                params: signature.params.iter().copied().map(is_wide).collect(),
                result: signature.results.first().copied().map(is_wide),
            });
        }
        for (name, ty) in &interface.types {
            if matches!(resolve.types[*ty].kind, TypeDefKind::Resource) {
                all.push(HostFunction {
                    id: format!("${short}.{name}.drop"),
                    module: module.clone(),
                    field: format!("[resource-drop]{name}"),
                    params: vec![false],
                    result: None,
                });
            }
        }
    }
    all
}

fn is_wide(ty: WasmType) -> bool {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => true,
        WasmType::I32 | WasmType::Pointer | WasmType::Length => false,
        WasmType::F32 | WasmType::F64 => panic!("the contract has floating-point numbers now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not there cannot be a NaN whose payload tells two machines apart, or carries bytes
    /// past whoever compares.
    #[test]
    fn no_function_takes_or_gives_a_floating_point_number() {
        let (resolve, world) = &*CONTRACT;
        let world = &resolve.worlds[*world];
        let mut functions = 0;
        for (variant, items) in
            [(AbiVariant::GuestImport, &world.imports), (AbiVariant::GuestExport, &world.exports)]
        {
            for item in items.values() {
                let WorldItem::Interface { id, .. } = item else { panic!("{item:?}") };
                for function in resolve.interfaces[*id].functions.values() {
                    let signature = resolve.wasm_signature(variant, function);
                    let float = |ty: &WasmType| matches!(ty, WasmType::F32 | WasmType::F64);
                    assert!(!signature.params.iter().any(float), "{}", function.name);
                    assert!(!signature.results.iter().any(float), "{}", function.name);
                    functions += 1;
                }
            }
        }
        assert!(functions > 30, "{functions}");
        // Nor is there one within a record or a list.
        let has_float =
            TEXT.split(|c: char| !c.is_alphanumeric()).any(|it| it == "f32" || it == "f64");
        assert!(!has_float);
    }

    #[test]
    fn every_function_of_the_contract_is_here() {
        let all = host_functions();
        let of = |id: &str| all.iter().find(|it| it.id == id).unwrap();
        assert_eq!(of("$keys.open").params, [false; 3]);
        assert_eq!(
            (&of("$keys.key.version").params, of("$keys.key.version").result),
            (&vec![false], Some(false))
        );
        assert_eq!(of("$keys.key.drop").field, "[resource-drop]key");
        assert_eq!(of("$state.add").params, [false, false, true, false, true, false]);
        assert_eq!(of("$random.bytes").result, None);
    }
}
