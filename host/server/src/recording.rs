//! Recorded runs of policies, as a file has them: JSON lines. The first says what it is; then, for each run, a line
//! with what it was asked, one for each host call with its arguments and result, and one with what
//! came of it. Described in `docs/policies.md`.
//!
//! It never has key bytes, because these never reach a policy. It has payloads, and plaintext where
//! the policy decrypted.

mod values;

use keyward_policy_host::{HostCall, PolicyError, Trace};
use serde::{Deserialize, Serialize};

pub use self::values::{Body, Call, Decision, Error, Plan, Request};

/// The version this program writes and reads.
const VERSION: u32 = 1;

/// A line of the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    KeywardRecording { version: u32, policy: String },
    Run { case: String, request: Request, payload: Option<Body> },
    Call(Call),
    End(Outcome),
}

/// What came of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    pub decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// What `invoke` gave.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    Payload(Body),
    Failed(Error),
}

/// One recorded run.
#[derive(Debug)]
pub struct Recorded {
    pub case: String,
    pub request: Request,
    pub payload: Option<Body>,
    pub calls: Vec<HostCall>,
    pub outcome: Outcome,
}

/// All of a file.
#[derive(Debug)]
pub struct Recording {
    /// Digest of the policy that ran.
    pub policy: String,
    pub runs: Vec<Recorded>,
}

impl Outcome {
    /// What a trace came to.
    pub fn of(trace: &Trace) -> Self {
        let error = |error: &PolicyError| Error::from(error);
        let decision = match &trace.decision {
            Ok(plan) => Decision::Allowed(plan.into()),
            Err(refused) => Decision::Refused(error(refused)),
        };
        let output = trace.output.as_ref().map(|output| match output {
            Ok(payload) => Output::Payload(payload.into()),
            Err(failed) => Output::Failed(error(failed)),
        });
        Self { decision, output }
    }
}

impl Recording {
    /// As the file has it.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut line = |line: &Line| {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
            Ok(())
        };
        line(&Line::KeywardRecording { version: VERSION, policy: self.policy.clone() })?;
        for run in &self.runs {
            line(&Line::Run {
                case: run.case.clone(),
                request: run.request.clone(),
                payload: run.payload.clone(),
            })?;
            for call in &run.calls {
                line(&Line::Call(call.into()))?;
            }
            line(&Line::End(run.outcome.clone()))?;
        }
        Ok(bytes)
    }
}

/// Reads a file's text; fails with the number of a line and what is wrong with it.
pub fn parse(text: &str) -> Result<Recording, (usize, String)> {
    let mut recording: Option<Recording> = None;
    let mut open: Option<Recorded> = None;
    for (nth, line) in text.lines().enumerate() {
        let wrong = |what: &str| (nth + 1, what.to_owned());
        let line: Line = serde_json::from_str(line)
            .map_err(|error| wrong(&format!("not a line of a recording: {error}")))?;
        match (line, &mut recording, &mut open) {
            (Line::KeywardRecording { version: VERSION, policy }, None, _) => {
                recording = Some(Recording { policy, runs: Vec::new() });
            }
            (Line::KeywardRecording { version, .. }, None, _) => {
                let what =
                    format!("a recording of version {version}; this keyward reads {VERSION}");
                return Err(wrong(&what));
            }
            (Line::Run { case, request, payload }, Some(_), None) => {
                let decision = Decision::Allowed(Plan::default());
                let outcome = Outcome { decision, output: None };
                open = Some(Recorded { case, request, payload, calls: Vec::new(), outcome });
            }
            (Line::Call(call), Some(_), Some(run)) => {
                run.calls.push(call.try_into().map_err(|what: String| wrong(&what))?);
            }
            (Line::End(outcome), Some(recording), Some(_)) => {
                if let Some(run) = open.take() {
                    recording.runs.push(Recorded { outcome, ..run });
                }
            }
            (_, None, _) => return Err(wrong("a recording begins with `keyward_recording`")),
            _ => return Err(wrong("a line in the wrong place")),
        }
    }
    let end = text.lines().count();
    match (recording, open) {
        (Some(recording), None) => Ok(recording),
        (_, Some(_)) => Err((end, "the file breaks off within a run".into())),
        (None, None) => Err((1, "the file is empty".into())),
    }
}

#[cfg(test)]
mod tests {
    use keyward_policy_host::{HostError, KeyRef, Value};

    use super::*;

    fn recording() -> Recording {
        let key = KeyRef {
            handle: 0,
            name: "orders".into(),
            version: 2,
            algorithm: keyward_crypto::Algorithm::XAes256Gcm,
        };
        let call = |function: &str, arguments: Vec<Value>, result: Value| HostCall {
            function: function.into(),
            arguments,
            result,
        };
        let calls = vec![
            call("keys.open", vec![Value::Text("orders".into())], Value::Key(key.clone())),
            call(
                "sealing.encrypt",
                vec![Value::Key(key), Value::bytes(b"x")],
                Value::bytes(b"\xff"),
            ),
            call("index.terms", vec![], Value::List(vec![Value::bytes(b""), Value::Number(3)])),
            call("macs.verify", vec![Value::Nothing], Value::Bool(false)),
            call("keys.open", vec![], Value::Refused(HostError::NotFound("no".into()))),
        ];
        let error = Error { code: "policy_invalid".into(), text: "no".into() };
        let outcome = Outcome {
            decision: Decision::Allowed(Plan { bound: vec![1].into(), ..Plan::default() }),
            output: Some(Output::Failed(error)),
        };
        let payload = Some(Body { content_type: "text/plain".into(), body: vec![0, 255].into() });
        let run =
            Recorded { case: "a".into(), request: Request::default(), payload, calls, outcome };
        Recording { policy: "sha256:00".into(), runs: vec![run] }
    }

    #[test]
    fn what_was_written_is_read() {
        let written = recording();
        let text = String::from_utf8(written.to_bytes().unwrap()).unwrap();
        let read = parse(&text).unwrap();
        assert_eq!(read.policy, written.policy);
        let (read, written) = (&read.runs[0], &written.runs[0]);
        assert_eq!((&read.calls, &read.outcome), (&written.calls, &written.outcome));
        assert_eq!((&read.request, &read.payload), (&written.request, &written.payload));
    }

    #[test]
    fn what_is_no_recording_says_where() {
        let text = String::from_utf8(recording().to_bytes().unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let swapped = [lines[0], lines[2]].join("\n");
        let newer = lines[0].replace("\"version\":1", "\"version\":2");
        for (text, line, expected) in [
            ("", 1, "empty"),
            ("{}", 1, "not a line of a recording"),
            (lines[1], 1, "begins with"),
            (&lines[..3].join("\n"), 3, "breaks off"),
            (&swapped, 2, "wrong place"),
            (&newer, 1, "version 2"),
        ] {
            let (at, said) = parse(text).unwrap_err();
            assert!(at == line && said.contains(expected), "{at}: {said}");
        }
    }
}
