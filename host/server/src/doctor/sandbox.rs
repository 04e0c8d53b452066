//! Whether policies can be compiled and run here.

use std::process::{Command, Stdio};
use std::sync::Arc;

use keyward_keyring::store::memory::MemoryStore;
use keyward_keyring::{CacheConfig, Keyring};
use keyward_policy_host::{Compiler, HostConfig, KeyService, PolicyHost, Services};

use super::Findings;
use crate::bridge::Bridge;
use crate::config::Config;
use crate::state::States;

/// For a task: what ticks for the engines is started by one.
pub(super) fn look(config: &Config, findings: &mut Findings) {
    pools(config, findings);
    compiler(&config.compiler, findings);
}

/// Sets up the pools as a server does, with nothing in them.
fn pools(config: &Config, findings: &mut Findings) {
    let check = "policy sandbox";
    let keyring = Keyring::new(Arc::new(MemoryStore::default()), CacheConfig::default());
    let state = Arc::new(States::new(Arc::clone(keyring.store()), config.policy.state_bytes));
    let keys: Arc<dyn KeyService> = Arc::new(Bridge::new(keyring));
    let host_config = HostConfig {
        pool_size: config.policy.pool_size,
        per_tenant: config.policy.per_tenant,
        limits: config.policy.limits,
        image: config.policy.image,
        ..HostConfig::default()
    };
    match PolicyHost::new(host_config, Services { keys, state }) {
        Ok(_) => {
            let image = config.policy.image.map_or(0, |image| image.pool_size);
            let count = config.policy.pool_size;
            let text = format!("{count} instances, and {image} of policies with an interpreter");
            findings.ok(check, text);
        }
        Err(error) => {
            let fix = "`ulimit -v unlimited`, or smaller `policy.pool_size` and \
                       `policy.image.pool_size`";
            findings.failed(check, error.to_string(), fix);
        }
    }
}

/// Starts the compiler with nothing to compile, which it says.
fn compiler(compiler: &Compiler, findings: &mut Findings) {
    let check = "policy compiler";
    let Compiler::Child { program, args } = compiler else {
        return findings.skipped(check, "it is this process");
    };
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null());
    match command.output() {
        Ok(output) if !output.stderr.is_empty() => {
            findings.ok(check, format!("{} can be started", program.display()));
        }
        Ok(output) => findings.failed(
            check,
            format!("{} ends with {} and says nothing", program.display(), output.status),
            "reinstall the program",
        ),
        Err(error) => findings.failed(
            check,
            format!("{} cannot be started: {error}", program.display()),
            "let who runs the server execute it: chmod 755, and no `noexec` on its file system",
        ),
    }
}
