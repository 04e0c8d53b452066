//! `cargo xtask TASK`: what a developer of Keyward runs, set-up included.
//!
//! One module for each task. A task prints what it does, one line at a time, and fails with a
//! sentence that says what to change. Nothing here is part of the product.

mod bench;
mod contract;
mod dashboard;
mod debian;
mod dev;
mod fuzz;
mod openssl;
mod policies;
mod promtool;
mod python;
mod supply;
mod test;
mod tools;
mod vault;
mod workspace;

use std::process::ExitCode;

/// What every task returns: an error is a sentence for the developer.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: cargo xtask TASK

  dev [ARGUMENTS]   build everything and start `keyward dev` with these arguments
  test              build everything and run every test
  bench [NAME]      build optimised and print the figures: cycle, scale, http or seal; all by default
  bench --soak MINUTES
                    put a fifth more on a server than it can do, and say whether it keeps its bounds
  policies [--toolchain rustup|debian]
                    build every guest into target/policies/NAME.wasm
  fuzz TARGET [SECONDS]
                    fuzz host_functions or admission, for a minute by default
  contract          keep components of the contract as it is, when it is released, for the tests of
                    later hosts
  reproduce         build every guest in Rust twice, in two places, and compare
  deny              hold dependencies against deny.toml: licences, sources, duplicates, advisories
  sbom              write a bill of materials (CycloneDX) to target/sbom/keyward.cdx.json
  dashboard         write the Grafana dashboard to deploy/grafana/keyward.json";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match task.as_deref() {
        Some("dev") => dev::run(&rest),
        Some("test") => test::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("contract") => contract::run(&rest),
        Some("dashboard") => dashboard::run(&rest),
        Some("deny") => supply::deny(&rest),
        Some("reproduce") => policies::reproduce(&rest),
        Some("sbom") => supply::sbom(&rest),
        Some("fuzz") => fuzz::run(&rest),
        Some("policies") => policies::run(&rest),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
