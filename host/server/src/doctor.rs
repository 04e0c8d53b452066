//! `keyward doctor`: whether a server with this configuration would do well on this machine, and what
//! to do where it would not. It changes nothing, and works beside a server that runs.

mod files;
mod machine;
mod network;
mod sandbox;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::{Config, ConfigErrors};

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// It will do, and could be better.
    Warning,
    /// A server would not start, or not do what it is for.
    Failed,
    /// It could not be found out.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    state: State,
    /// What was found, in a line.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// All that was looked at, in order.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, check: &'static str, state: State, found: &str, fix: Option<String>) {
        // Errors of others may have more than a line.
        let found = found.replace('\n', " ");
        self.0.push(Finding { check, state, found, fix });
    }

    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.push(check, State::Ok, &found.into(), None);
    }

    fn skipped(&mut self, check: &'static str, why: impl Into<String>) {
        self.push(check, State::Skipped, &why.into(), None);
    }

    fn warning(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.push(check, State::Warning, &found.into(), Some(fix.into()));
    }

    fn failed(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.push(check, State::Failed, &found.into(), Some(fix.into()));
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|finding| finding.state == state).count()
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for Finding { check, state, found, fix } in &self.0 {
            let mark = match state {
                State::Ok => "ok      ",
                State::Warning => "WARNING ",
                State::Failed => "FAILED  ",
                State::Skipped => "skipped ",
            };
            let _ = writeln!(out, "{mark} {check}: {found}");
            if let Some(fix) = fix {
                let _ = writeln!(out, "          fix: {fix}");
            }
        }
        let _ = writeln!(
            out,
            "\n{} ok, {} warnings, {} failed, {} skipped",
            self.count(State::Ok),
            self.count(State::Warning),
            self.count(State::Failed),
            self.count(State::Skipped)
        );
        out
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap_or_default() + "\n"
    }
}

/// Looks at everything. What it prints, and how it ends: 0, 1 where something has failed, 2 where the
/// configuration cannot be used.
pub fn examine(config: Result<Config, ConfigErrors>, json: bool) -> (String, ExitCode) {
    let mut findings = Findings::default();
    let unusable = config.is_err();
    match config {
        Err(errors) => {
            for error in errors.iter() {
                let fix = "`keyward config` lists every setting and what it takes";
                findings.failed("configuration", error.to_string(), fix);
            }
        }
        Ok(config) => {
            findings.ok("configuration", "every setting can be used");
            for warning in &config.warnings {
                let fix = "remove the setting, or set what it needs";
                findings.warning("configuration", warning, fix);
            }
            look(&config, &mut findings);
        }
    }
    let code = match findings.count(State::Failed) {
        _ if unusable => 2,
        0 => 0,
        _ => 1,
    };
    let text = if json { findings.json() } else { findings.text() };
    (text, ExitCode::from(code))
}

fn look(config: &Config, findings: &mut Findings) {
    files::look(config, findings);
    machine::look(config, findings);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            network::look(config, findings).await;
            sandbox::look(config, findings);
        }),
        Err(error) => {
            let fix = "raise `ulimit -u` and `ulimit -n`";
            findings.failed("threads", format!("none can be started: {error}"), fix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_and_json() {
        let mut findings = Findings::default();
        findings.ok("one", "as it\nshould be");
        findings.failed("two", "gone", "bring it back");
        let text = findings.text();
        assert!(text.contains("ok       one: as it should be\n"), "{text}");
        assert!(text.contains("FAILED   two: gone\n          fix: bring it back\n"), "{text}");
        assert!(text.ends_with("\n1 ok, 0 warnings, 1 failed, 0 skipped\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&findings.json()).unwrap();
        assert_eq!(json[1]["state"], "failed");
        assert_eq!(json[0].get("fix"), None);
    }
}
