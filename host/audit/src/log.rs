//! The log as it is written: entries become lines, lines go to the file, files follow each other,
//! and now and then all of it is signed. One thread's own; nothing here waits for anybody but the
//! disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::dir::{self, CHECKPOINT_FILE, Part};
use crate::event::Event;
use crate::hash::{self, Hash};
use crate::note::Signer;
use crate::sealed::{Keys, Sealer};
use crate::settings::Settings;
use crate::statistics::{Counters, add};
use crate::tree::Tree;
use crate::{line, time};

/// Where the entries have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last entry's hash.
    pub hash: Hash,
    /// The tree over all of them; its size is the last one's sequence number.
    pub tree: Tree,
}

/// What lines are written to. Writing the same bytes at the same place again does no harm, so what
/// failed half way is simply done again.
pub(crate) trait Output: Send {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Output for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// When a log is signed and begins a new file.
pub(crate) struct Periods {
    rotate_bytes: u64,
    rotate_after: Duration,
    checkpoint_every: Duration,
    checkpoint_entries: u64,
}

impl Periods {
    pub(crate) fn of(settings: &Settings) -> Self {
        let Settings { rotate_bytes, rotate_after, checkpoint_every, checkpoint_entries, .. } =
            *settings;
        Self { rotate_bytes, rotate_after, checkpoint_every, checkpoint_entries }
    }
}

/// A log being written.
pub(crate) struct Log {
    dir: PathBuf,
    periods: Periods,
    signer: Signer,
    /// Seals entries, if they are sealed.
    sealer: Option<Sealer>,
    counters: Arc<Counters>,
    head: Head,
    output: Box<dyn Output>,
    /// Bytes in the file.
    offset: u64,
    /// Lines that are not in the file yet.
    pending: Vec<u8>,
    begun: Instant,
    /// Size of the tree after the last checkpoint's own entry.
    signed: u64,
    signed_at: Instant,
}

impl Log {
    /// Goes on in a file that has `offset` bytes.
    pub(crate) fn new(
        settings: &Settings,
        (signer, sealer): (Signer, Option<Sealer>),
        counters: Arc<Counters>,
        head: Head,
        output: Box<dyn Output>,
        offset: u64,
    ) -> Self {
        let now = Instant::now();
        Self {
            dir: settings.dir.clone(),
            periods: Periods::of(settings),
            signer,
            sealer,
            counters,
            head,
            output,
            offset,
            pending: Vec::with_capacity(64 << 10),
            begun: now,
            signed: 0,
            signed_at: now,
        }
    }

    /// Adds an entry. It is in the file after the next [`flush`](Self::flush) that succeeds.
    pub(crate) fn append(&mut self, event: &Event<'_>, time_ms: u64) {
        let start = self.pending.len();
        let out = &mut self.pending;
        line::begin(out, self.head.tree.size() + 1, event.kind(), time_ms);
        match (event, &mut self.sealer) {
            (Event::Request(entry), Some(sealer)) => sealer.push(entry, out, start),
            _ => event.push(out),
        }
        self.head.hash = hash::chain(&self.head.hash, &out[start..]);
        line::end(out, &self.head.hash);
        self.head.tree.push(hash::leaf(&out[start..out.len() - 1]));
        add(&self.counters.entries, 1);
    }

    /// Brings all entries to the file, and if so wanted to the disk. What fails is done again, all
    /// of it, by the next call: after a failed sync nobody knows what the disk has.
    pub(crate) fn flush(&mut self, to_disk: bool) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.output.write_at(&self.pending, self.offset)?;
        if to_disk {
            self.output.sync()?;
        }
        let length = self.pending.len() as u64;
        self.offset += length;
        add(&self.counters.bytes, length);
        self.pending.clear();
        self.counters.written.send_replace(self.head.tree.size());
        Ok(())
    }

    /// Brings all entries to the disk, those of earlier flushes as well.
    fn sync(&mut self) -> io::Result<()> {
        self.flush(true)?;
        self.output.sync()
    }

    /// How long nothing is to be done by the clock.
    pub(crate) fn idle_for(&self) -> Duration {
        let until = |at: Instant, period: Duration| period.saturating_sub(at.elapsed());
        let rotate = until(self.begun, self.periods.rotate_after);
        if self.is_signed() {
            return rotate;
        }
        rotate.min(until(self.signed_at, self.periods.checkpoint_every))
    }

    /// Signs and begins a new file where it is time for that.
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        let unsigned = self.head.tree.size() - self.signed.min(self.head.tree.size());
        let since = self.signed_at.elapsed();
        if unsigned >= self.periods.checkpoint_entries
            || (unsigned > 0 && since >= self.periods.checkpoint_every)
        {
            self.checkpoint()?;
        }
        if self.offset >= self.periods.rotate_bytes
            || self.begun.elapsed() >= self.periods.rotate_after
        {
            self.rotate()?;
        }
        Ok(())
    }

    /// Begins a new file, which says what it continues.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let keys = self.new_keys()?;
        let next = Part::of(&self.dir, self.head.tree.size() + 1);
        let file = next.create()?;
        dir::sync_dir(&self.dir)?;
        self.output = Box::new(file);
        (self.offset, self.begun) = (0, Instant::now());
        let Head { hash, tree } = self.head.clone();
        let log = self.signer.verifier().name().to_owned();
        let event = Event::File { log: &log, size: tree.size(), hash: &hash, tree: &tree };
        self.append(&event, time::now_ms());
        self.note_keys(keys);
        add(&self.counters.files, 1);
        self.flush(false)
    }

    /// Seals what follows under a new key, if entries are sealed.
    pub(crate) fn renew_keys(&mut self) -> io::Result<()> {
        let keys = self.new_keys()?;
        self.note_keys(keys);
        Ok(())
    }

    fn new_keys(&mut self) -> io::Result<Option<Keys>> {
        self.sealer.as_mut().map(Sealer::renew).transpose()
    }

    /// No entry may come between a new key and this.
    fn note_keys(&mut self, keys: Option<Keys>) {
        if let Some(keys) = keys {
            self.append(&Event::Keys(&keys), time::now_ms());
        }
    }

    /// Whether every entry but the last checkpoint's own is signed.
    fn is_signed(&self) -> bool {
        self.head.tree.size() == self.signed
    }

    /// Signs all entries so far, which are on disk before, and notes that as an entry: so nobody
    /// takes a checkpoint away unseen.
    pub(crate) fn checkpoint(&mut self) -> io::Result<()> {
        if self.is_signed() {
            return Ok(());
        }
        let (size, now) = (self.head.tree.size(), time::now_ms());
        let note = self.publish(now)?;
        self.append(&Event::Checkpoint { size, note: &note }, now);
        (self.signed, self.signed_at) = (self.head.tree.size(), Instant::now());
        self.flush(false)
    }

    /// Ends the log in order: nothing stays unsigned.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.append(&Event::Stop, time::now_ms());
        self.publish(time::now_ms()).map(drop)
    }

    /// Replaces the file of the last checkpoint.
    fn publish(&mut self, now: u64) -> io::Result<String> {
        self.sync()?;
        let note = self.signer.sign(&self.head.tree, now);
        dir::replace(&self.dir.join(CHECKPOINT_FILE), &note)?;
        self.counters.checkpoint_size.store(self.head.tree.size(), Ordering::Relaxed);
        self.counters.checkpoint_ms.store(now, Ordering::Relaxed);
        Ok(note)
    }
}
