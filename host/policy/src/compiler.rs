//! Turning a component into native code, apart from everything else.
//!
//! A compiler fed by strangers may crash, hang or eat memory. In production it runs in a child
//! process with resource limits of its own, so that a bad upload fails alone.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::engine::{self, EngineKind};
use crate::error::AdmissionError;

/// Most native code one component may become: it is about five times the size of its wasm, three
/// times where an interpreter is most of it.
const MAX_CODE_BYTES: u64 = 256 << 20;
/// How the child is told for which engine it compiles.
const ENGINE_VARIABLE: &str = "KEYWARD_COMPILE_ENGINE";
/// CPU time of the child, in seconds: several times what a policy in JavaScript takes.
const CHILD_CPU_SECONDS: u64 = 300;
/// In the child's environment where it is to compile for an engine that counts fuel.
const FUEL_VARIABLE: &str = "KEYWARD_COMPILE_FUEL";
/// Address space of the child.
const CHILD_ADDRESS_SPACE: u64 = 4 << 30;
/// How much of the child's complaint is passed on.
const MAX_COMPLAINT: u64 = 2_000;

/// Who compiles.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// This process. For tests, benches and tools that compile their user's own components.
    InProcess,
    /// A child process that runs [`child_main`]: `program` with `args`.
    Child {
        /// Path of the executable, usually the running one.
        program: PathBuf,
        /// Its arguments.
        args: Vec<OsString>,
    },
}

impl Compiler {
    /// Compiles a component that was parsed and validated before, for one engine.
    pub(crate) async fn compile(
        &self,
        engine: EngineKind,
        wasm: &[u8],
        timeout: Duration,
        fuel: bool,
    ) -> Result<Vec<u8>, AdmissionError> {
        match self {
            Self::InProcess => {
                let wasm = wasm.to_vec();
                tokio::task::spawn_blocking(move || compile(engine, &wasm, fuel))
                    .await
                    .map_err(|error| host(&error))?
                    .map_err(|reason| AdmissionError::CompileFailed { reason })
            }
            Self::Child { program, args } => {
                let mut command = tokio::process::Command::new(program);
                command
                    .args(args)
                    .env_clear()
                    .env(ENGINE_VARIABLE, engine.name())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true);
                if fuel {
                    command.env(FUEL_VARIABLE, "1");
                }
                tokio::time::timeout(timeout, run_child(command, wasm))
                    .await
                    .unwrap_or(Err(AdmissionError::CompileTimeout(timeout)))
            }
        }
    }
}

async fn run_child(
    mut command: tokio::process::Command,
    wasm: &[u8],
) -> Result<Vec<u8>, AdmissionError> {
    let mut child = command.spawn().map_err(|error| host(&error))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(host(&"the compiler's pipes are missing"));
    };
    let mut code = Vec::new();
    let mut complaint = Vec::new();
    let feed = async {
        // A child that dies early closes the pipe; its exit status tells why.
        let _ = stdin.write_all(wasm).await;
        drop(stdin);
    };
    let mut stdout = stdout.take(MAX_CODE_BYTES + 1);
    let mut stderr = stderr.take(MAX_COMPLAINT);
    let ((), read, _) =
        tokio::join!(feed, stdout.read_to_end(&mut code), stderr.read_to_end(&mut complaint),);
    read.map_err(|error| host(&error))?;
    if code.len() as u64 > MAX_CODE_BYTES {
        return Err(AdmissionError::NeedsTooMuch {
            what: "bytes of native code",
            needed: code.len() as u64,
            limit: MAX_CODE_BYTES,
        });
    }
    let status = child.wait().await.map_err(|error| host(&error))?;
    if status.success() {
        return Ok(code);
    }
    let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
    let reason = if complaint.is_empty() {
        format!("the compiler ended with {status}; it may have exceeded its limits")
    } else {
        complaint
    };
    Err(AdmissionError::CompileFailed { reason })
}

fn compile(engine: EngineKind, wasm: &[u8], fuel: bool) -> Result<Vec<u8>, String> {
    let engine = engine::for_compiling(engine, fuel).map_err(|error| format!("{error:#}"))?;
    engine.precompile_component(wasm).map_err(|error| format!("{error:#}"))
}

fn host(error: &dyn std::fmt::Display) -> AdmissionError {
    AdmissionError::Host { reason: error.to_string() }
}

/// The child's side: limits itself, reads a component on standard input and writes native code on
/// standard output, or says on standard error why not and exits with 1.
pub fn child_main() -> ExitCode {
    match child() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn child() -> Result<(), String> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 16),
        (Resource::Cpu, CHILD_CPU_SECONDS),
        (Resource::As, CHILD_ADDRESS_SPACE),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| format!("cannot limit the compiler: {error}"))?;
    }
    let engine = std::env::var(ENGINE_VARIABLE).unwrap_or_default();
    let engine = EngineKind::named(&engine)
        .ok_or_else(|| format!("{ENGINE_VARIABLE} must be `compact` or `image`, not `{engine}`"))?;
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
    let code = compile(engine, &wasm, std::env::var_os(FUEL_VARIABLE).is_some())?;
    std::io::stdout().write_all(&code).map_err(|error| error.to_string())
}
