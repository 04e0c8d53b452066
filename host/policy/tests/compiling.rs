//! What becomes of an upload when the compiler crashes, hangs or floods, and when artefacts are of
//! another host. Needs the components of `cargo xtask policies`.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_policy_host::{
    AdmissionError, Compiler, HostConfig, HostError, KeyHandle, KeyService, PolicyHost, Services,
    StateEntry, StateService,
};
use zeroize::Zeroizing;

/// No keys and nothing remembered: nothing runs here but `describe`.
struct Nothing;

#[async_trait::async_trait]
impl KeyService for Nothing {
    async fn open(
        &self,
        _tenant: &str,
        name: &str,
        _version: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError> {
        Err(HostError::NotFound(format!("no key `{name}`")))
    }
}

fn none_kept() -> HostError {
    HostError::Unavailable("nothing is kept".into())
}

#[async_trait::async_trait]
impl StateService for Nothing {
    async fn get(&self, _: &str, _: &str) -> Result<Option<StateEntry>, HostError> {
        Ok(None)
    }
    async fn put(
        &self,
        _: &str,
        _: &str,
        _: &[u8],
        _: Option<u64>,
        _: Option<u64>,
    ) -> Result<u64, HostError> {
        Err(none_kept())
    }
    async fn add(&self, _: &str, _: &str, _: i64, _: Option<u64>) -> Result<i64, HostError> {
        Err(none_kept())
    }
    async fn remove(&self, _: &str, _: &str, _: Option<u64>) -> Result<(), HostError> {
        Err(none_kept())
    }
}

fn component() -> Vec<u8> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/policies");
    std::fs::read(dir.join("baseline.wasm")).expect("run `cargo xtask policies`")
}

fn host(compiler: Compiler, artefacts: Option<(&Path, u8)>) -> Arc<PolicyHost> {
    let config = HostConfig {
        pool_size: 2,
        per_tenant: 2,
        compile_timeout: Duration::from_secs(2),
        artefact_dir: artefacts.map(|(dir, _)| dir.to_owned()),
        artefact_key: Zeroizing::new([artefacts.map_or(0, |(_, key)| key); 32]),
        compiler,
        ..HostConfig::default()
    };
    let services = Services { keys: Arc::new(Nothing), state: Arc::new(Nothing) };
    PolicyHost::new(config, services).unwrap()
}

/// A compiler that does what a shell script says.
fn script(text: &str) -> Compiler {
    Compiler::Child { program: "/bin/sh".into(), args: vec!["-c".into(), text.into()] }
}

/// Whatever happens to the compiler is an error of that upload, and soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_fails_fails_one_upload() {
    let wasm = component();
    for (text, expected) in [
        ("kill -SEGV $$", "signal: 11"),
        ("kill -KILL $$", "signal: 9"),
        ("exit 3", "exit status: 3"),
        ("cat > /dev/null; echo it is too much >&2; exit 1", "it is too much"),
        // What it gives is no native code.
        ("cat > /dev/null", "compile"),
        ("cat > /dev/null; echo garbage", "compile"),
        ("cat", "compile"),
    ] {
        let refused = host(script(text), None).admit(&wasm).await.err().unwrap();
        assert!(matches!(refused, AdmissionError::CompileFailed { .. }), "{text}: {refused}");
        assert!(refused.to_string().contains(expected), "{text}: {refused}");
    }
    let start = Instant::now();
    let refused = host(script("sleep 600"), None).admit(&wasm).await.err().unwrap();
    assert!(matches!(refused, AdmissionError::CompileTimeout(_)), "{refused}");
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    let none = Compiler::Child { program: "/nowhere/keyward".into(), args: Vec::new() };
    let refused = host(none, None).admit(&wasm).await.err().unwrap();
    assert!(matches!(refused, AdmissionError::Host { .. }), "{refused}");
    host(Compiler::InProcess, None).admit(&wasm).await.unwrap();
}

/// An artefact is used where it is this host's own, and made anew where it is not.
#[tokio::test(flavor = "multi_thread")]
async fn artefacts_of_another_host_are_compiled_anew() {
    let (dir, wasm) = (tempfile::tempdir().unwrap(), component());
    let files = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    host(Compiler::InProcess, Some((dir.path(), 1))).admit(&wasm).await.unwrap();
    let made = files();
    let [artefact] = made.as_slice() else { panic!("{made:?}") };
    let ours = std::fs::read(artefact).unwrap();
    // A host that cannot compile takes it, under the same key alone.
    let broken = |key| host(script("exit 3"), Some((dir.path(), key)));
    let admitted = broken(1).admit(&wasm).await.unwrap();
    let refused = broken(2).admit(&wasm).await.err().unwrap();
    assert!(matches!(refused, AdmissionError::CompileFailed { .. }), "{refused}");
    // Of another version of the engine, or another configuration: it has another name.
    let name = artefact.file_name().unwrap().to_str().unwrap();
    let renamed = artefact.with_file_name(name.replace("-48.", "-47."));
    assert_ne!(renamed, *artefact);
    std::fs::rename(artefact, &renamed).unwrap();
    assert!(broken(1).admit(&wasm).await.is_err());
    // One that can compiles it, and replaces what bears another key's tag.
    std::fs::rename(&renamed, artefact).unwrap();
    host(Compiler::InProcess, Some((dir.path(), 2))).admit(&wasm).await.unwrap();
    assert_ne!(std::fs::read(artefact).unwrap(), ours);
    broken(2).admit(&wasm).await.unwrap();
    // Forgotten, it is gone; what runs goes on.
    let digest = admitted.digest().strip_prefix("sha256:").unwrap().to_owned();
    for _ in 0..2 {
        broken(2).forget(&digest).unwrap();
        assert!(files().is_empty());
    }
    assert!(broken(2).admit(&wasm).await.is_err());
}
