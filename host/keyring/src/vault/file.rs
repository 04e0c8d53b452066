//! Notices that a token file changed.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::login::read_token;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// The file and the tokens that need no second try.
pub(super) struct FileWatch {
    path: PathBuf,
    due: Instant,
    in_use: Option<Zeroizing<String>>,
    seen: Option<Zeroizing<String>>,
}

impl FileWatch {
    pub fn new(path: PathBuf) -> Self {
        Self { path, due: Instant::now() + PERIOD, in_use: None, seen: None }
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Remembers the token that is in use now.
    pub fn took(&mut self, token: Zeroizing<String>) {
        self.in_use = Some(token);
        self.seen = None;
    }

    /// Whether the file holds a token that is neither in use nor reported by the last call. The
    /// content decides, not its time: a file may be replaced twice within the resolution of time
    /// stamps. A file that is missing, or in the middle of being written, is no change.
    pub async fn changed(&mut self) -> bool {
        self.due = Instant::now() + PERIOD;
        let Ok(token) = read_token(&self.path).await else { return false };
        let new = Some(&token) != self.in_use.as_ref() && Some(&token) != self.seen.as_ref();
        if new {
            self.seen = Some(token);
        }
        new
    }
}
