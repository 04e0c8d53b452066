//! Opening a log: finds where it ended, and notes what became of it since.
//!
//! Nothing that is found stops the start. A line that is not whole is taken off and noted; what
//! contradicts the last checkpoint is noted together with that checkpoint, so that the server's own
//! next ones do not cover it up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dir::{self, CHECKPOINT_FILE, KEY_FILE, Part};
use crate::error::AuditError;
use crate::event::{CHECKPOINT, Event, FileLine, STOP};
use crate::hash::{self, Hash};
use crate::log::{Head, Log};
use crate::note::{Checkpoint, Signer};
use crate::sealed::{Auditors, Index, Sealer};
use crate::settings::Settings;
use crate::statistics::Counters;
use crate::{KeyOf, line, time};

/// Longest note kept as evidence, in bytes.
const MAX_NOTE: usize = 4 << 10;

/// Opens the log in a directory that is locked, or begins one.
pub(crate) fn open(
    settings: &Settings,
    key_of: KeyOf<'_>,
    auditors: Option<Box<dyn Auditors>>,
    counters: Arc<Counters>,
) -> Result<(Log, Index), AuditError> {
    let dir = &settings.dir;
    let failed = AuditError::io;
    let note = dir::read(&dir.join(CHECKPOINT_FILE)).map_err(failed(dir))?;
    let mut found = Found::read(dir, note.as_deref()).map_err(failed(dir))?;
    let mut damage = Vec::new();
    if found.is_unreadable {
        let aside = set_aside(dir).map_err(failed(dir))?;
        damage.push(format!("a log that cannot be read was set aside as {}", aside.display()));
        found = Found::default();
    }
    let name = match &found.log {
        Some(name) => name.clone(),
        None => new_name()?,
    };
    let signer = Signer::of(&name, key_of)?;
    let index = Index::of(&key_of(&name)?)?;
    let sealer =
        auditors.map(|auditors| Sealer::new(auditors, index.clone(), &name)).transpose()?;
    damage.extend(found.contradictions(&signer, note.as_deref()));
    publish_key(dir, &signer).map_err(failed(&dir.join(KEY_FILE)))?;

    let Found { head, torn, .. } = &found;
    let is_new = found.part.is_none();
    let (file, length): (File, u64) = if let Some((part, length)) = &found.part {
        let file = OpenOptions::new().write(true).open(&part.path).map_err(failed(&part.path))?;
        file.set_len(*length).map_err(failed(&part.path))?;
        (file, *length)
    } else {
        // Nothing is written to it: the log begins with a new file.
        (File::open(dir).map_err(failed(dir))?, 0)
    };
    let mut log =
        Log::new(settings, (signer, sealer), counters, head.clone(), Box::new(file), length);
    let begin = |log: &mut Log| -> io::Result<()> {
        if is_new {
            log.rotate()?;
        }
        let now = time::now_ms();
        if !is_new && (found.last_kind != STOP.as_bytes() || torn.is_some()) {
            let (torn_bytes, torn_sha256) = torn.unwrap_or_default();
            let torn_sha256 = (torn_bytes > 0).then_some(torn_sha256);
            let lost_at_most = settings.queue as u64;
            log.append(&Event::Crash { torn_bytes, torn_sha256, lost_at_most }, now);
        }
        for reason in &damage {
            tracing::error!(
                reason,
                "the audit log is not what was signed; run `keyward audit verify`"
            );
            let checkpoint =
                note.as_deref().map(|note| &note[..note.floor_char_boundary(MAX_NOTE)]);
            log.append(&Event::Damage { reason, checkpoint }, now);
        }
        log.append(&Event::Start { version: env!("CARGO_PKG_VERSION") }, now);
        if !is_new {
            // The keys that were sealed to auditors before are nobody else's.
            log.renew_keys()?;
        }
        log.checkpoint()
    };
    begin(&mut log).map_err(failed(dir))?;
    Ok((log, index))
}

/// What a directory holds.
#[derive(Default)]
struct Found {
    head: Head,
    log: Option<String>,
    /// The file to go on in, and how many bytes of it are whole lines.
    part: Option<(Part, u64)>,
    /// Length and hash of what was written of a last line that is not whole.
    torn: Option<(u64, Hash)>,
    last_kind: Vec<u8>,
    /// Roots of the tree at the size of the checkpoint.
    root_at_checkpoint: Option<Hash>,
    has_checkpoint_entry: bool,
    /// The first line that does not follow from the one before.
    broken: Option<String>,
    is_unreadable: bool,
}

impl Found {
    /// Reads from the file on that the checkpoint was made in, or else the last.
    fn read(dir: &Path, note: Option<&str>) -> io::Result<Self> {
        let mut found = Self::default();
        let mut parts = dir::parts(dir)?;
        found.drop_unfinished(&mut parts)?;
        let size = note.and_then(claimed_size);
        let from = parts.iter().rposition(|part| size.is_none_or(|size| part.first <= size + 1));
        for part in &parts[from.unwrap_or(0)..] {
            found.read_part(part, size)?;
            if found.is_unreadable {
                break;
            }
        }
        Ok(found)
    }

    /// Removes a last file in which there is no whole line: a crash left it.
    fn drop_unfinished(&mut self, parts: &mut Vec<Part>) -> io::Result<()> {
        while let Some(last) = parts.last() {
            let mut first = Vec::new();
            BufReader::new(File::open(&last.path)?).read_until(b'\n', &mut first)?;
            if first.ends_with(b"\n") {
                break;
            }
            self.torn = Some((first.len() as u64, hash::plain(&first)));
            fs::remove_file(&last.path)?;
            parts.pop();
        }
        Ok(())
    }

    fn read_part(&mut self, part: &Part, checkpoint: Option<u64>) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, File::open(&part.path)?);
        let (mut line, mut length, mut number) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            let Some(whole) = line.strip_suffix(b"\n") else {
                self.torn = Some((line.len() as u64, hash::plain(&line)));
                break;
            };
            number += 1;
            if number == 1 && !self.begin_part(whole, checkpoint) {
                self.is_unreadable = true;
                return Ok(());
            }
            self.take(whole, part, number);
            if checkpoint == Some(self.head.tree.size()) {
                self.root_at_checkpoint = Some(self.head.tree.root());
            }
            length += read as u64;
        }
        self.part = Some((part.clone(), length));
        Ok(())
    }

    /// Takes over from the first line of the first file what came before it.
    fn begin_part(&mut self, line: &[u8], checkpoint: Option<u64>) -> bool {
        let Some(first) = FileLine::read(line) else {
            return false;
        };
        if self.log.is_some() {
            return true;
        }
        let Some(head) = first.head() else {
            return false;
        };
        if checkpoint == Some(head.tree.size()) {
            self.root_at_checkpoint = Some(head.tree.root());
        }
        self.head = head;
        self.log = Some(first.log);
        true
    }

    fn take(&mut self, line: &[u8], part: &Part, number: u64) {
        let next = self.head.tree.size() + 1;
        let split = line::split(line);
        let start = split.and_then(|(body, _)| line::start_of(body));
        let follows = split.is_some_and(|(body, hash)| hash::chain(&self.head.hash, body) == hash)
            && start.is_some_and(|(seq, _)| seq == next);
        if !follows && self.broken.is_none() {
            let name = part.name();
            self.broken = Some(format!("line {number} of {name} does not follow the one before"));
        }
        self.head.hash = split.map_or_else(|| hash::plain(line), |(_, hash)| hash);
        self.head.tree.push(hash::leaf(line));
        let kind = start.map(|(_, kind)| kind).unwrap_or_default();
        self.has_checkpoint_entry |= kind == CHECKPOINT.as_bytes();
        self.last_kind.clear();
        self.last_kind.extend_from_slice(kind);
    }

    /// What speaks against this being the log that was signed, each in one sentence.
    fn contradictions(&self, signer: &Signer, note: Option<&str>) -> Vec<String> {
        let mut all: Vec<String> = self.broken.iter().cloned().collect();
        let Some(note) = note else {
            if self.has_checkpoint_entry {
                all.push("the file `checkpoint` is missing, which the log says was written".into());
            }
            return all;
        };
        match signer.verifier().open(note) {
            Err(error) => all.push(format!("the file `checkpoint` is not this log's: {error}")),
            Ok(Checkpoint { size, root, time, .. }) => {
                let there = self.head.tree.size();
                if size > there {
                    all.push(format!(
                        "{size} entries were signed at {time}, and {there} are there"
                    ));
                } else if self.root_at_checkpoint != Some(root) {
                    all.push(format!("the first {size} entries are not those signed at {time}"));
                }
            }
        }
        all
    }
}

/// The size a note claims, signed or not.
fn claimed_size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// A log's name: nothing else has the same.
fn new_name() -> Result<String, AuditError> {
    let mut random = [0; 8];
    keyward_crypto::random_bytes(&mut random)?;
    Ok(format!("keyward-audit/{}", hex::encode(random)))
}

fn publish_key(dir: &Path, signer: &Signer) -> io::Result<()> {
    let (path, text) = (dir.join(KEY_FILE), format!("{}\n", signer.verifier()));
    if dir::read(&path)?.as_ref() == Some(&text) {
        return Ok(());
    }
    dir::replace(&path, &text)
}

/// Moves the files of entries into a directory of their own.
fn set_aside(dir: &Path) -> io::Result<PathBuf> {
    let aside = dir.join(format!("unreadable-{}", time::now_ms()));
    fs::create_dir(&aside)?;
    for part in dir::parts(dir)? {
        fs::rename(&part.path, aside.join(part.name()))?;
    }
    Ok(aside)
}
