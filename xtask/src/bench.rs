//! `cargo xtask bench`: the figures, each as a ratio to a peer or a ceiling of the same run.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, policies, vault, workspace};

const BENCHES: [&str; 4] = ["cycle", "scale", "http", "seal"];

/// `arguments` name the benches to run, of [`BENCHES`]; none means all.
/// `--soak MINUTES` puts more on the server than it can do, for so long, and nothing else.
pub fn run(arguments: &[String]) -> Result<()> {
    if let Some((first, minutes)) = arguments.split_first()
        && first == "--soak"
    {
        return match minutes {
            [minutes] if minutes.parse::<u32>().is_ok_and(|minutes| minutes > 0) => {
                policies::run_rust()?;
                bench("soak", &[], &[minutes])
            }
            _ => Err("usage: cargo xtask bench --soak MINUTES".into()),
        };
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|a| a == name);
    if let Some(unknown) = arguments.iter().find(|a| !BENCHES.contains(&a.as_str())) {
        return Err(format!("there is no bench `{unknown}`: {}", BENCHES.join(", ")).into());
    }
    policies::run(&[])?;
    if wanted("cycle") {
        bench("cycle", &[], &[])?;
    }
    if wanted("scale") {
        bench("scale", &[], &[])?;
    }
    if wanted("http") {
        let variables = vault::environment().unwrap_or_else(|error| {
            println!("vault: {error}; measured without");
            Vec::new()
        });
        bench("http", &variables, &[])?;
    }
    if wanted("seal") {
        bench("seal", &[], &["--output-format", "bencher"])?;
    }
    Ok(())
}

fn bench(name: &str, variables: &[(&str, PathBuf)], arguments: &[&str]) -> Result<()> {
    println!("\nbench: {name}, {}", machine());
    let mut cargo = workspace::cargo()?;
    cargo.args(["bench", "--quiet"]).args(workspace::SELECTION).args(["--bench", name]);
    cargo.arg("--").args(arguments);
    cargo.env("KEYWARD_POLICIES", workspace::root()?.join("target/policies"));
    cargo.envs(variables.iter().map(|(name, path)| (name, path)));
    workspace::run(&mut cargo, &format!("the bench `{name}`"))
}

/// What the figures were measured on.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = Command::new("uname").arg("-sr").output().ok();
    let kernel = kernel.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "{cpus} x {}, {}",
        model.unwrap_or_else(|| "CPU of unknown model".into()),
        kernel.unwrap_or_default()
    )
}
