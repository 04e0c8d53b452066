//! In which format figures are given: the Prometheus text format, or `OpenMetrics`, which alone has
//! exemplars.

use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use super::requests::Exemplar;

/// Media type of `OpenMetrics`.
const OPENMETRICS: &str = "application/openmetrics-text";
/// The histogram that has exemplars.
const EXEMPLIFIED: &str = "keyward_http_request_duration_seconds_bucket{";

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// The Prometheus text format, version 0.0.4.
    Text,
    /// `OpenMetrics`, version 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// Which of them the value of an `Accept` header prefers (RFC 9110 section 12.5.1); of two that
    /// are as welcome the one that is named, and the text format where neither is.
    pub fn preferred(accept: Option<&str>) -> Self {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |text| text.trim().parse::<f32>().unwrap_or(0.0));
            if media_type.eq_ignore_ascii_case(OPENMETRICS) {
                open = weight.max(open);
            } else if media_type.eq_ignore_ascii_case("text/plain") {
                plain = weight.max(plain);
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Text }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All figures of `registry` in it, with what of `exemplars` it can show.
    pub(super) fn encode(
        self,
        registry: &Registry,
        exemplars: &[Exemplar],
    ) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(32 << 10);
        match self {
            Self::Text => prometheus_text::encode(&mut out, registry)?,
            Self::OpenMetrics => {
                text::encode(&mut out, registry)?;
                if !exemplars.is_empty() {
                    out = with_exemplars(&out, exemplars)?;
                }
            }
        }
        Ok(out)
    }
}

/// Writes each exemplar behind its bucket. The encoder has a way of its own for histograms that it
/// keeps itself; these are only shown to it.
fn with_exemplars(text: &str, exemplars: &[Exemplar]) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(text.len() + exemplars.len() * 96);
    for line in text.lines() {
        out.push_str(line);
        if let Some(exemplar) = exemplar_of(line, exemplars) {
            let at = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let Exemplar { trace, seconds, .. } = exemplar;
            write!(out, " # {{trace_id=\"{trace}\"}} {seconds} {at:.3}")?;
        }
        out.push('\n');
    }
    Ok(out)
}

fn exemplar_of<'a>(line: &str, exemplars: &'a [Exemplar]) -> Option<&'a Exemplar> {
    let labels = line.strip_prefix(EXEMPLIFIED)?.split('}').next()?;
    let label = |name: &str| {
        let value = labels.split(',').find_map(|label| label.strip_prefix(name))?;
        value.strip_prefix("=\"")?.strip_suffix('"')
    };
    let (route, bound) = (label("route")?, label("le")?);
    let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
    exemplars.iter().find(|it| it.route.as_str() == route && it.bound.total_cmp(&bound).is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_prefers() {
        let of = |text: &str| Exposition::preferred(Some(text));
        assert_eq!(Exposition::preferred(None), Exposition::Text);
        for text in [
            "*/*",
            "text/plain;version=0.0.4",
            "text/html",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3,text/plain;q=0.5",
            "application/openmetrics-text;q=x",
        ] {
            assert_eq!(of(text), Exposition::Text, "{text}");
        }
        // The second is what Prometheus 2 sends, the third what Prometheus 3 does.
        for text in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;\
             version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.1",
            "application/OpenMetrics-text ; version=1.0.0 ; q=1.0, text/plain",
        ] {
            assert_eq!(of(text), Exposition::OpenMetrics, "{text}");
        }
    }
}
