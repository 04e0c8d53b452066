//! `cargo xtask fuzz`: what hostile policies reach, with inputs of libFuzzer's.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tools::{Tool, find_or_build};
use crate::{Result, workspace};

const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13" };
const TARGETS: [&str; 2] = ["host_functions", "admission"];
const SECONDS: u64 = 60;
/// Larger components make poor seeds: the fuzzer is to change what matters.
const LARGEST_SEED: u64 = 128 << 10;

/// `arguments`: a target, and for how many seconds; `SECONDS` by default.
pub fn run(arguments: &[String]) -> Result<()> {
    let usage = || format!("usage: cargo xtask fuzz {} [SECONDS]", TARGETS.join("|"));
    let (target, seconds) = match arguments {
        [target] => (target, SECONDS),
        [target, seconds] => (target, seconds.parse().map_err(|_| usage())?),
        _ => return Err(usage().into()),
    };
    if !TARGETS.contains(&target.as_str()) {
        return Err(usage().into());
    }
    let (root, program) = (workspace::root()?, find_or_build(&FUZZ)?);
    // What was found worth keeping stays below target; a crash goes to fuzz/artifacts.
    let corpus = root.join("target/fuzz-corpus").join(target);
    fs::create_dir_all(&corpus)?;
    if target == "admission" {
        seed(&root.join("target/policies"), &corpus)?;
    }
    let mut fuzz = Command::new(program);
    fuzz.current_dir(&root)
        .args(["run", "--fuzz-dir", "fuzz", "--target-dir", "target/fuzz", target])
        .arg(&corpus)
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        // No input takes longer, and none more memory: both are what policies are bounded by.
        .args(["-timeout=60", "-rss_limit_mb=4096", "-max_len=131073", "-print_final_stats=1"])
        // Coverage and the address sanitizer are not stable yet, and are in every toolchain.
        .env("RUSTC_BOOTSTRAP", "1");
    workspace::run(&mut fuzz, &format!("fuzzing {target}"))
}

/// Small components as they are, each behind the byte that says so.
fn seed(policies: &Path, corpus: &Path) -> Result<()> {
    let Ok(files) = fs::read_dir(policies) else {
        println!("fuzz: no target/policies: without seeds; `cargo xtask policies` builds some");
        return Ok(());
    };
    for file in files {
        let file = file?;
        let is_component = file.path().extension().is_some_and(|it| it == "wasm");
        if is_component && file.metadata()?.len() <= LARGEST_SEED {
            let input = [vec![0], fs::read(file.path())?].concat();
            fs::write(corpus.join(file.file_name()), input)?;
        }
    }
    Ok(())
}
