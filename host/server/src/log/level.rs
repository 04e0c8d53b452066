//! What is logged, changed while the server runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, Registry};

/// Longest text of directives.
const MAX_DIRECTIVES: usize = 1000;
/// What a directive may ask for.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The level of the log.
pub struct Level {
    /// Where it takes effect; none where nothing is logged by this crate.
    handle: Option<Handle<EnvFilter, Registry>>,
    now: Mutex<Now>,
}

struct Now {
    configured: String,
    level: String,
    until: Option<SystemTime>,
    /// How often it was changed: what ends a level ends none that came after it.
    changes: u64,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// A level, or directives.
    pub level: String,
    /// What the configuration says.
    pub configured: String,
    /// When that is in force again, if that is known.
    pub until: Option<SystemTime>,
}

/// How long a level is to be in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until there is another, or the process ends.
    Unlimited,
    /// Until then, and the caller sees to it.
    Until(SystemTime),
}

/// Why a level cannot be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LevelError {
    /// It is none.
    #[error(
        "must be directives separated by commas, each a level (off, error, warn, info, debug or \
         trace) or a target and a level, such as `info,keyward::http=debug`; at most 1000 bytes"
    )]
    NoLevel,
    /// The log is gone.
    #[error("the log does not take another level: {0}")]
    NoLog(String),
}

impl Level {
    pub(super) fn new(configured: String, handle: Option<Handle<EnvFilter, Registry>>) -> Self {
        let now = Now { level: configured.clone(), configured, until: None, changes: 0 };
        Self { handle, now: Mutex::new(now) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in force.
    pub fn get(&self) -> InForce {
        let now = self.now();
        let (level, until) = (now.level.clone(), now.until);
        InForce { level, configured: now.configured.clone(), until }
    }

    /// From now on the configuration says so. Where something else was set, that stays for its time.
    pub fn configure(&self, level: &str) -> Result<(), LevelError> {
        let mut now = self.now();
        let was = std::mem::replace(&mut now.configured, level.to_owned());
        let is_in_force = now.level == was && now.until.is_none();
        drop(now);
        if is_in_force && was != level { self.reset("SIGHUP") } else { Ok(()) }
    }

    /// Sets it; `by` is who asked. The number of the change.
    pub fn set(&self, level: &str, lifetime: Lifetime, by: &str) -> Result<u64, LevelError> {
        if !is_plain(level) {
            return Err(LevelError::NoLevel);
        }
        let filter = EnvFilter::try_new(level).map_err(|_| LevelError::NoLevel)?;
        let until = match lifetime {
            Lifetime::Unlimited => None,
            Lifetime::Until(time) => Some(time),
        };
        self.take(filter, level, until, by)
    }

    /// Sets it for so long, from now on.
    pub fn set_for(
        self: &Arc<Self>,
        level: &str,
        time: Duration,
        by: &str,
    ) -> Result<(), LevelError> {
        let change = self.set(level, Lifetime::Until(SystemTime::now() + time), by)?;
        let this = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if this.now().changes == change
                && let Err(error) = this.reset("the time given with it")
            {
                tracing::warn!(%error, "the log's level does not go back");
            }
        });
        Ok(())
    }

    /// Goes back to what the configuration says.
    pub fn reset(&self, by: &str) -> Result<(), LevelError> {
        // The configuration may have directives that cannot be given later.
        let configured = self.now().configured.clone();
        let filter = EnvFilter::try_new(&configured);
        let filter = filter.map_err(|error| LevelError::NoLog(error.to_string()))?;
        self.take(filter, &configured, None, by).map(drop)
    }

    fn take(
        &self,
        filter: EnvFilter,
        level: &str,
        until: Option<SystemTime>,
        by: &str,
    ) -> Result<u64, LevelError> {
        // Held until it is in force, so that what is shown is what is logged.
        let mut now = self.now();
        if let Some(handle) = &self.handle {
            handle.reload(filter).map_err(|error| LevelError::NoLog(error.to_string()))?;
        }
        let before = std::mem::replace(&mut now.level, level.to_owned());
        now.until = until;
        now.changes += 1;
        let change = now.changes;
        drop(now);
        tracing::info!(before, level, by, "the log's level is another one");
        Ok(change)
    }
}

/// Whether these are directives without conditions on spans and fields, of which there are none
/// here, and without words that a target alone would be: `debgu` is likely no target.
fn is_plain(directives: &str) -> bool {
    let is_target = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
    };
    let is_level = |text: &str| LEVELS.contains(&text);
    directives.len() <= MAX_DIRECTIVES
        && directives.split(',').all(|directive| match directive.split_once('=') {
            None => is_level(directive),
            Some((target, level)) => is_target(target) && is_level(level),
        })
}
