//! Reads a log from its first entry to its last and says whether it is what was written.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::dir::{self, CHECKPOINT_FILE, KEY_FILE, Part};
use crate::event::{CHECKPOINT, CRASH, DAMAGE, FILE, FORMAT, FileLine, LOST, LossLine, NoteLine};
use crate::hash::{self, START};
use crate::line;
use crate::log::Head;
use crate::note::{Checkpoint, NoteError, Verifier};

/// Longest line, in bytes: an entry is bounded, and far shorter.
const MAX_LINE: usize = 1 << 20;

/// What to hold the log against.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The log's public key. None: the one beside the log, which proves less.
    pub key: Option<Verifier>,
    /// Checkpoints kept elsewhere.
    pub checkpoints: Vec<String>,
    /// How many entries there have to be at least.
    pub expect_size: Option<u64>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, counted from 1; 0: the file as a whole.
    pub line: u64,
    /// The sequence number of the first entry that is wrong or missing.
    pub seq: u64,
    /// What is wrong, in one sentence.
    pub what: String,
}

/// Why a log was not verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It was edited.
    #[error("{}: line {}: entry {}: {}", .0.file, .0.line, .0.seq, .0.what)]
    Edited(Finding),
    /// There is no log.
    #[error("{} has no audit log", .0.display())]
    NoLog(PathBuf),
    /// A key or a checkpoint that it is to be held against cannot be used.
    #[error("{what}: {error}")]
    Given {
        /// Which.
        what: String,
        /// Why.
        error: NoteError,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A checkpoint that the log was held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Entries it covers.
    pub size: u64,
    /// When it was signed, RFC 3339.
    pub time: String,
}

/// A log that is as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The log's name.
    pub log: String,
    /// Its files.
    pub files: u64,
    /// Its entries.
    pub entries: u64,
    /// The checkpoint that covers the most of them.
    pub signed: Option<Signed>,
    /// What the log itself tells of: crashes, losses, a last line that is not whole.
    pub notes: Vec<String>,
}

/// Verifies the log in `dir`, whether or not a server is writing to it.
pub fn verify(dir: &Path, options: &Options) -> Result<Report, VerifyError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| VerifyError::Io { path, error }
    };
    // Before the files: the log may grow, and a checkpoint must not be ahead of what is read.
    let last = dir::read(&dir.join(CHECKPOINT_FILE)).map_err(at(dir))?;
    let beside = dir::read(&dir.join(KEY_FILE)).map_err(at(dir))?;
    let parts = match dir::parts(dir) {
        Ok(parts) if !parts.is_empty() => parts,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(dir)(error)),
        _ => return Err(VerifyError::NoLog(dir.to_owned())),
    };
    let mut walk = Walk::new(options, beside.as_deref(), last.as_deref())?;
    for (index, part) in parts.iter().enumerate() {
        walk.part(part, index + 1 == parts.len()).map_err(|stop| match stop {
            Stop::Edited(finding) => VerifyError::Edited(finding),
            Stop::Io(error) => at(&part.path)(error),
        })?;
    }
    walk.end(options.expect_size).map_err(VerifyError::Edited)?;
    Ok(walk.report)
}

enum Stop {
    Edited(Finding),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Walk {
    key: Verifier,
    /// To be compared when the tree has their size, the smallest last.
    checkpoints: Vec<(Checkpoint, &'static str)>,
    /// What the file `checkpoint` covers.
    last_size: Option<u64>,
    head: Head,
    /// Up to where the last checkpoint that was right reached.
    proven: u64,
    place: (String, u64),
    report: Report,
}

impl Walk {
    fn new(
        options: &Options,
        beside: Option<&str>,
        last: Option<&str>,
    ) -> Result<Self, VerifyError> {
        let given = |what: &str, error| VerifyError::Given { what: what.to_owned(), error };
        let key = match (&options.key, beside) {
            (Some(key), _) => key.clone(),
            (None, Some(text)) => text.parse().map_err(|error| given(KEY_FILE, error))?,
            (None, None) => return Err(given(KEY_FILE, NoteError::Key)),
        };
        let mut checkpoints = Vec::new();
        for note in &options.checkpoints {
            let what = "a checkpoint kept elsewhere";
            checkpoints.push((key.open(note).map_err(|error| given(what, error))?, what));
        }
        let mut last_size = None;
        if let Some(note) = last {
            let what = "the file `checkpoint`";
            let checkpoint = key.open(note).map_err(|error| given(what, error))?;
            last_size = Some(checkpoint.size);
            checkpoints.push((checkpoint, what));
        }
        checkpoints.sort_by_key(|(checkpoint, _)| std::cmp::Reverse(checkpoint.size));
        let report = Report { log: key.name().to_owned(), ..Report::default() };
        let head = Head { hash: START, ..Head::default() };
        let place = (String::new(), 0);
        Ok(Self { key, checkpoints, last_size, head, proven: 0, place, report })
    }

    fn found(&self, seq: u64, what: impl Into<String>) -> Finding {
        let (file, line) = self.place.clone();
        Finding { file, line, seq, what: what.into() }
    }

    fn edited<T>(&self, seq: u64, what: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::Edited(self.found(seq, what)))
    }

    fn next(&self) -> u64 {
        self.head.tree.size() + 1
    }

    fn part(&mut self, part: &Part, is_last: bool) -> Result<(), Stop> {
        self.place = (part.name(), 0);
        let next = self.next();
        if part.first > next {
            let what =
                format!("entries {next} to {} are missing: no file has them", part.first - 1);
            return self.edited(next, what);
        }
        let mut reader = BufReader::with_capacity(1 << 20, File::open(&part.path)?);
        let mut line = Vec::new();
        self.report.files += 1;
        loop {
            line.clear();
            let limited = &mut io::Read::take(&mut reader, MAX_LINE as u64 + 1);
            if limited.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            self.place.1 += 1;
            let Some(whole) = line.strip_suffix(b"\n") else {
                if is_last && line.len() <= MAX_LINE {
                    let length = line.len();
                    self.report.notes.push(format!(
                        "the last line is not whole ({length} bytes): the server was stopped while \
                         it wrote, or is writing; its next start takes it off and notes that"
                    ));
                    return Ok(());
                }
                return self.edited(self.next(), "the line does not end");
            };
            self.line(whole)?;
        }
        if self.place.1 == 0 {
            if !is_last {
                return self.edited(self.next(), "the file is empty");
            }
            self.report.notes.push("the last file is empty: its first line was not written".into());
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Stop> {
        let next = self.next();
        let Some((body, hash)) = line::split(line) else {
            return self.edited(next, "the line is no entry");
        };
        let Some((seq, kind)) = line::start_of(body) else {
            return self.edited(next, "the line is no entry");
        };
        if seq > next {
            let what = format!("entries {next} to {} are missing here", seq - 1);
            return self.edited(next, what);
        }
        if seq < next {
            let what = format!("entry {seq} stands here: moved, put in, or written twice");
            return self.edited(next, what);
        }
        if hash::chain(&self.head.hash, body) != hash {
            let what = "its hash does not follow: it was edited, or the one before was";
            return self.edited(next, what);
        }
        if (self.place.1 == 1) != (kind == FILE.as_bytes()) {
            return self
                .edited(next, "a file begins with a line of kind `file`, and no other has it");
        }
        self.kind(seq, kind, line)?;
        self.head.hash = hash;
        self.head.tree.push(hash::leaf(line));
        self.compare()
    }

    /// Holds the tree against the checkpoints of its size.
    fn compare(&mut self) -> Result<(), Stop> {
        while let Some((checkpoint, what)) = self.checkpoints.last() {
            if checkpoint.size > self.head.tree.size() {
                break;
            }
            if checkpoint.size == self.head.tree.size() {
                self.hold_against(&checkpoint.clone(), what)?;
            }
            self.checkpoints.pop();
        }
        Ok(())
    }

    fn hold_against(&mut self, checkpoint: &Checkpoint, what: &str) -> Result<(), Stop> {
        let Checkpoint { size, root, time, .. } = checkpoint;
        if *root != self.head.tree.root() {
            let first = self.proven + 1;
            let what = format!(
                "entries {first} to {size} are not those that {what} signed at {time}: one of them \
                 at least was edited"
            );
            return self.edited(first, what);
        }
        self.proven = self.proven.max(*size);
        self.report.signed = Some(Signed { size: *size, time: time.clone() });
        Ok(())
    }

    /// What lines that are not requests must say.
    fn kind(&mut self, seq: u64, kind: &[u8], line: &[u8]) -> Result<(), Stop> {
        if kind == FILE.as_bytes() {
            let Some(first) = FileLine::read(line) else {
                return self.edited(seq, "the file's first line cannot be read");
            };
            if first.head().as_ref() != Some(&self.head)
                || first.log != self.report.log
                || first.format != FORMAT
            {
                return self.edited(seq, "the file does not continue the one before");
            }
        } else if kind == CHECKPOINT.as_bytes() {
            let read: Result<NoteLine, _> = serde_json::from_slice(line);
            let Ok(NoteLine { size, note, .. }) = read else {
                return self.edited(seq, "the checkpoint cannot be read");
            };
            let checkpoint = match self.key.open(&note) {
                Ok(checkpoint) if checkpoint.size == size && size == seq - 1 => checkpoint,
                Ok(_) => return self.edited(seq, "the checkpoint is of another place"),
                Err(error) => return self.edited(seq, format!("the checkpoint: {error}")),
            };
            self.hold_against(&checkpoint, "the checkpoint after them")?;
            if self.last_size.is_none_or(|last| last < size) {
                let what = "the file `checkpoint` is missing or older than this one: it was \
                            removed or put back";
                return self.edited(seq, what);
            }
        } else if kind == DAMAGE.as_bytes() {
            let read: Result<NoteLine, _> = serde_json::from_slice(line);
            let reason = read.map(|read| read.reason).unwrap_or_default();
            return self.edited(seq, format!("the server found when it started: {reason}"));
        } else if kind == CRASH.as_bytes() || kind == LOST.as_bytes() {
            let read: LossLine = serde_json::from_slice(line).unwrap_or_default();
            let LossLine { time, torn_bytes, lost_at_most, count } = read;
            self.report.notes.push(if kind == LOST.as_bytes() {
                format!("entry {seq}, {time}: {count} requests were answered without an entry")
            } else {
                format!(
                    "entry {seq}, {time}: the server was not stopped in order before; at most \
                     {lost_at_most} entries in memory were lost, and {torn_bytes} bytes of a line"
                )
            });
        }
        Ok(())
    }

    fn end(&mut self, expected: Option<u64>) -> Result<(), Finding> {
        let size = self.head.tree.size();
        self.report.entries = size;
        if let Some((checkpoint, what)) = self.checkpoints.last() {
            let Checkpoint { size: signed, time, .. } = checkpoint;
            let what = format!(
                "entries {} to {signed} are missing at the end: {what} signed them at {time}",
                size + 1
            );
            return Err(self.found(size + 1, what));
        }
        match expected {
            Some(expected) if expected > size => {
                let what = format!(
                    "entries {} to {expected} are missing at the end: {expected} were expected",
                    size + 1
                );
                Err(self.found(size + 1, what))
            }
            _ => Ok(()),
        }
    }
}
