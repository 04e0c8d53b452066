//! Reading along: the lines of a log in their order, from a place on, while it is being written.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::dir::{self, Part};
use crate::event::FileLine;
use crate::hash::{Hash, START};
use crate::{line, query};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// Longest line, in bytes: an entry is bounded, and far shorter.
const MAX_LINE: usize = 1 << 20;

/// A line as it stands in the log, with its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its sequence number.
    pub seq: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Line {
    /// Without the newline.
    pub fn text(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes)
    }

    /// The place behind it.
    pub fn place(&self) -> Place {
        let hash = line::split(self.text()).map_or(START, |(_, hash)| hash);
        Place { seq: self.seq, hash }
    }
}

/// How far somebody has read: behind this line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line's sequence number; 0: before the first.
    pub seq: u64,
    /// The line's hash, by which it is known again.
    hash: Hash,
}

impl Place {
    /// Before the first line of the newest file, which says what went before.
    pub fn newest(dir: &Path) -> io::Result<Self> {
        dir::parts(dir)?.pop().map_or_else(|| Ok(Self::default()), |part| Self::before(dir, part))
    }

    /// Before the first line of a file.
    fn before(dir: &Path, part: Part) -> io::Result<Self> {
        let seq = part.first.saturating_sub(1);
        let first = Follower::of(dir, Some(part), 0)?.read(1, CHUNK)?.pop();
        let first = first.and_then(|line| FileLine::read(line.text()));
        // Without it nothing is known but the number, and the hash is nobody's.
        let hash = first.and_then(|first| first.head()).map_or(START, |head| head.hash);
        Ok(Self { seq, hash })
    }

    /// The place kept in a file; none if there is no such file, an error of kind
    /// [`InvalidData`](io::ErrorKind::InvalidData) if it holds something else.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        let Some(text) = dir::read(path)? else {
            return Ok(None);
        };
        let read = |text: &str| {
            let (seq, digits) = text.strip_suffix('\n')?.split_once(' ')?;
            let mut hash = START;
            hex::decode_to_slice(digits, &mut hash).ok()?;
            Some(Self { seq: seq.parse().ok()?, hash })
        };
        read(&text).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Keeps it in a file: after a crash that is the old one or the new one.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        dir::replace(path, &format!("{} {}\n", self.seq, hex::encode(self.hash)))
    }
}

/// Reads the lines of a log, one after the other. Blocks.
pub struct Follower {
    dir: PathBuf,
    part: Option<Part>,
    file: Option<File>,
    offset: u64,
    /// Lines up to this one are left out, until another one came.
    passed: u64,
    last: u64,
    buffer: Vec<u8>,
}

impl Follower {
    /// Goes on behind `place`. If what is there is another line, or none, as after a power cut that took
    /// lines which had been read, it is from the begin of that file on: all before it was on disk.
    /// With it comes the place it goes on from.
    pub fn resume(dir: &Path, place: &Place) -> io::Result<(Self, Place)> {
        let mut follower = Self::after(dir, place.seq.saturating_sub(1))?;
        if place.seq == 0 {
            return Ok((follower, place.clone()));
        }
        let found = follower.read(1, CHUNK)?.pop().map(|line| line.place());
        if found.as_ref() == Some(place) {
            return Ok((follower, place.clone()));
        }
        // Files before the first there is were taken away, and nothing is to be said again.
        if found.is_some_and(|found| found.seq > place.seq) {
            return Ok((Self::after(dir, place.seq)?, place.clone()));
        }
        let part = dir::parts(dir)?.into_iter().rfind(|part| part.first <= place.seq);
        let Some(part) = part else {
            return Ok((Self::of(dir, None, 0)?, Place::default()));
        };
        let begin = Place::before(dir, part.clone())?;
        Ok((Self::of(dir, Some(part), begin.seq)?, begin))
    }

    /// Goes on behind the line with this number, or with the first after it.
    pub fn after(dir: &Path, seq: u64) -> io::Result<Self> {
        let parts = dir::parts(dir)?;
        let at = parts.iter().rposition(|part| part.first <= seq.saturating_add(1)).unwrap_or(0);
        Self::of(dir, parts.into_iter().nth(at), seq)
    }

    fn of(dir: &Path, part: Option<Part>, seq: u64) -> io::Result<Self> {
        let mut follower = Self {
            dir: dir.to_owned(),
            part: None,
            file: None,
            offset: 0,
            passed: seq,
            last: seq,
            buffer: Vec::new(),
        };
        if let Some(part) = part {
            let mut reader = BufReader::new(File::open(&part.path)?);
            query::skip_to(&mut reader, &part, seq)?;
            follower.offset = reader.stream_position()?;
            follower.file = Some(reader.into_inner());
            follower.part = Some(part);
        }
        Ok(follower)
    }

    /// The next whole lines: none if there are no more at the moment, at most `lines`, and no more
    /// once they have `bytes`. One file's at a time.
    pub fn read(&mut self, lines: usize, bytes: usize) -> io::Result<Vec<Line>> {
        let mut has_next = false;
        loop {
            let (found, consumed) = self.take(lines, bytes)?;
            if !found.is_empty() {
                return Ok(found);
            }
            if consumed {
                continue;
            }
            // What was written before the next file began is read before that.
            let next = self.next()?;
            match next {
                None => return Ok(Vec::new()),
                Some(_) if !has_next && self.part.is_some() => has_next = true,
                Some(part) => {
                    self.file = Some(File::open(&part.path)?);
                    (self.part, self.offset, has_next) = (Some(part), 0, false);
                }
            }
        }
    }

    /// Whole lines of the file, and whether it had any, wanted or not.
    fn take(&mut self, most: usize, bytes: usize) -> io::Result<(Vec<Line>, bool)> {
        let (mut lines, mut taken) = (Vec::new(), 0);
        let Some(file) = &self.file else {
            return Ok((lines, false));
        };
        let mut size = CHUNK;
        let read = loop {
            self.buffer.resize(size, 0);
            let read = read_at(file, &mut self.buffer, self.offset)?;
            if read < size || memchr::memchr(b'\n', &self.buffer).is_some() {
                break read;
            }
            if size >= MAX_LINE {
                let (name, at) = (self.part.as_ref().map(Part::name), self.offset);
                let name = name.unwrap_or_default();
                return Err(io::Error::other(format!("{name} has no line at byte {at}")));
            }
            size *= 2;
        };
        let mut consumed = 0;
        while lines.len() < most
            && taken < bytes
            && let Some(end) = memchr::memchr(b'\n', &self.buffer[consumed..read])
        {
            let line = &self.buffer[consumed..=consumed + end];
            consumed += line.len();
            let seq = line::start_of(line).map_or(self.last + 1, |(seq, _)| seq);
            if seq <= self.passed {
                continue;
            }
            (self.passed, self.last) = (0, seq);
            taken += line.len();
            lines.push(Line { seq, bytes: line.to_vec() });
        }
        self.offset += consumed as u64;
        Ok((lines, consumed > 0))
    }

    /// The file after this one, or the first.
    fn next(&self) -> io::Result<Option<Part>> {
        let first = self.part.as_ref().map_or(0, |part| part.first);
        Ok(dir::parts(&self.dir)?.into_iter().find(|part| part.first > first))
    }
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
