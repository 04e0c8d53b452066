//! `/api/v1/log`: what is logged, changed while the server runs. For operators.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::json::Text;
use super::openapi::{Endpoint, Tag, Who, schema};
use super::routes::Routes;
use super::{Problem, auth, body, json as read, output};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::config::parse_duration;
use crate::errors::Code;
use crate::log::{InForce, LevelError, Lifetime};

/// How long a level may be in force that goes by itself.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// What is to be logged.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetLogLevel")]
struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::LogLevel")]
    level: Text<'a>,
    /// For how long, such as `10m`, from `1s` to 30 days; then the configured level is in force again.
    /// Absent: until another is set or the server ends.
    #[serde(borrow, rename = "for")]
    #[schemars(with = "Option<String>")]
    time: Option<Text<'a>>,
}

/// What is logged.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogLevelInForce")]
struct View {
    /// A level, or directives.
    level: String,
    /// What the configuration says: `log.level`.
    configured: String,
    /// When the configured one is in force again, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    until: Option<String>,
}

impl From<InForce> for View {
    fn from(InForce { level, configured, until }: InForce) -> Self {
        Self { level, configured, until: until.map(clock::ms_of).map(clock::rfc3339) }
    }
}

fn answer(app: &App) -> Result<Response<Body>, Problem> {
    output::json(StatusCode::OK, &View::from(app.log_level.get()))
}

/// `GET /api/v1/log`.
async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    auth::operating(&app, request.headers()).await?;
    answer(&app)
}

/// `PUT /api/v1/log`.
async fn set(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    let credential = auth::operating(&app, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Fields { level, time } = read::parse(&bytes)?;
    let (level, by) = (level.as_str(), credential.caller.subject.as_str());
    let done = match time {
        None => app.log_level.set(level, Lifetime::Unlimited, by).map(drop),
        Some(time) => app.log_level.set_for(level, duration(time.as_str())?, by),
    };
    done.map_err(problem)?;
    audit::target(&format!("log {level}"));
    answer(&app)
}

/// `DELETE /api/v1/log`.
async fn reset(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    let credential = auth::operating(&app, request.headers()).await?;
    app.log_level.reset(&credential.caller.subject).map_err(problem)?;
    answer(&app)
}

fn duration(text: &str) -> Result<Duration, Problem> {
    let fits = |time: &Duration| (Duration::from_secs(1)..=LONGEST).contains(time);
    parse_duration(text).filter(fits).ok_or_else(|| {
        let detail = "must be a whole number and ms, s, m or h: from 1s to 720h";
        Problem::field(Code::InvalidField, "/for", detail)
    })
}

fn problem(error: LevelError) -> Problem {
    match error {
        LevelError::NoLevel => {
            Problem::field(Code::InvalidField, "/level", LevelError::NoLevel.to_string())
        }
        error @ LevelError::NoLog(_) => Problem::internal(error),
    }
}

/// Its routes.
pub fn routes(routes: &mut Routes) {
    let path = "/api/v1/log";
    let operating = |id, summary| {
        Endpoint::new(Tag::Management, Who::Operators, id, summary)
            .answers::<View>(200, "What is logged")
    };
    let endpoint = operating("getLogLevel", "What this server logs");
    routes.get(path, show, endpoint);
    let endpoint = operating("setLogLevel", "Have this server log more, or less")
        .about(
            "Of this server alone, from now on, until it is changed, goes back by itself or the \
             server ends.",
        )
        .json::<Fields<'_>>(json!({ "level": "info,keyward=debug", "for": "10m" }));
    routes.put(path, set, endpoint);
    let endpoint = operating("resetLogLevel", "Have this server log what its configuration says");
    routes.delete(path, reset, endpoint);
}
