//! Lines by POST: as they are to a webhook, as log records to an OTLP receiver.

use std::path::Path;
use std::time::Duration;

use keyward_audit::Line;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::otlp::{self, Answer};
use super::settings::{OtlpSettings, WebhookSettings};
use super::{Failure, SinkError, Target, told};
use crate::outbound;

/// Lines at once, unless that is too much for who takes them.
const MOST: usize = 500;
/// Longest a delivery may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is looked at, in bytes.
const MAX_ANSWER: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As they are, `application/x-ndjson`.
    Lines,
    /// OTLP/HTTP in its JSON encoding.
    Otlp,
}

pub(super) struct Http {
    client: Client,
    url: String,
    headers: HeaderMap,
    form: Form,
    most: usize,
}

/// Why one request came to nothing.
enum Refusal {
    /// There is too much in it.
    TooLarge,
    Other(String),
}

impl Http {
    pub(super) fn webhook(
        settings: &WebhookSettings,
        ca_cert: Option<&Path>,
    ) -> Result<Self, SinkError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if let Some(token) = &settings.token {
            let value = secret(&format!("Bearer {}", token.as_str()));
            let value = value.ok_or_else(|| unfit("audit.webhook_token"))?;
            headers.insert(AUTHORIZATION, value);
        }
        let client = client("audit.webhook", ca_cert)?;
        Ok(Self { client, url: settings.url.clone(), headers, form: Form::Lines, most: MOST })
    }

    pub(super) fn otlp(settings: &OtlpSettings, ca_cert: Option<&Path>) -> Result<Self, SinkError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let header = name.ok().zip(secret(value));
            let (name, value) = header.ok_or_else(|| unfit("audit.otlp_headers"))?;
            headers.append(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = client("audit.otlp", ca_cert)?;
        Ok(Self { client, url: settings.url.clone(), headers, form: Form::Otlp, most: MOST })
    }

    async fn post(&self, lines: &[Line]) -> Result<(), Refusal> {
        let body = match self.form {
            Form::Lines => {
                lines.iter().map(|line| line.bytes.as_slice()).collect::<Vec<_>>().concat()
            }
            Form::Otlp => otlp::encode(lines),
        };
        let request = self.client.post(&self.url).headers(self.headers.clone()).body(body);
        // The address may hold a secret.
        let other = |error: reqwest::Error| Refusal::Other(told(&error.without_url()));
        let mut answer = request.send().await.map_err(other)?;
        match answer.status().as_u16() {
            200..=299 => {}
            413 => return Err(Refusal::TooLarge),
            status => return Err(Refusal::Other(format!("it answers {status}"))),
        }
        let mut read = Vec::new();
        // It has been taken, whatever comes of the rest of the answer.
        while let Ok(Some(piece)) = answer.chunk().await
            && read.len() < MAX_ANSWER
        {
            read.extend_from_slice(&piece);
        }
        if self.form == Form::Otlp {
            let Answer { rejected, reason } = otlp::answer(&read);
            if rejected > 0 {
                // To be given again is not what it wants, by the specification.
                tracing::warn!(rejected, reason, "the OTLP receiver rejected audit entries");
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Target for Http {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let mut taken = 0;
        while taken < lines.len() {
            let end = lines.len().min(taken + self.most);
            match self.post(&lines[taken..end]).await {
                Ok(()) => {
                    taken = end;
                    // Slowly: what is too large costs a request.
                    self.most = MOST.min(self.most + self.most / 8 + 1);
                }
                Err(Refusal::TooLarge) if end - taken > 1 => self.most = (end - taken) / 2,
                Err(Refusal::TooLarge) => {
                    let seq = lines[taken].seq;
                    let reason = format!("entry {seq} alone is too large for it (413)");
                    return Err(Failure { taken, ..Failure::new(reason) });
                }
                Err(Refusal::Other(reason)) => {
                    return Err(Failure { taken, ..Failure::new(reason) });
                }
            }
        }
        Ok(())
    }
}

/// A header's value that is not shown.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn unfit(setting: &str) -> SinkError {
    SinkError(format!("`{setting}`: cannot stand in a header"))
}

fn client(setting: &str, ca_cert: Option<&Path>) -> Result<Client, SinkError> {
    outbound::client(setting, TIMEOUT, ca_cert.map(|path| ("audit.ca_cert", path)))
        .map_err(SinkError)
}
