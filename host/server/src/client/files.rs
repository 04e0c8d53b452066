//! What commands read and write: standard input and output, or files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::failure::Failure;

/// The longest value that is sent in one piece, in bytes.
const MAX_VALUE: u64 = 1 << 20;

/// Where the input comes from.
#[derive(Args, Clone)]
#[group(skip)]
pub struct InputArgs {
    /// Read this file instead of standard input
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
}

/// Where the output goes.
#[derive(Args, Clone)]
#[group(skip)]
pub struct OutputArgs {
    /// Write to this file instead of standard output; it is there once it is whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl InputArgs {
    /// Opens it.
    pub fn open(&self) -> Result<Input, Failure> {
        match self.input.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => Input::open(path),
            None => Ok(Input::stdin()),
        }
    }

    /// A file with places that can be gone to, and what to call it.
    pub fn open_file(&self) -> Result<(String, File), Failure> {
        let Some(path) = self.input.as_deref().filter(|path| *path != Path::new("-")) else {
            return Err(Failure::Usage("a range is read from a file: give it with --in".into()));
        };
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        if length_of(&file).is_none() {
            return Err(Failure::Usage(format!("{} is not a file", path.display())));
        }
        Ok((path.display().to_string(), file))
    }

    /// All of it, if that is not much.
    pub fn value(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.open()?.value()
    }

    /// A ciphertext, which is text.
    pub fn ciphertext(&self) -> Result<String, Failure> {
        self.open()?.ciphertext()
    }
}

/// Something to read.
pub struct Input {
    /// What to call it.
    pub name: String,
    /// Its length, where that is known.
    pub length: Option<u64>,
    /// The bytes.
    pub source: Box<dyn Read + Send>,
}

impl Input {
    /// A file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        let length = length_of(&file);
        Ok(Self { name: path.display().to_string(), length, source: Box::new(file) })
    }

    fn stdin() -> Self {
        use std::os::fd::AsFd;
        // A file that was redirected here has a length.
        let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let length = file.as_ref().ok().and_then(length_of);
        Self { name: "standard input".into(), length, source: Box::new(io::stdin()) }
    }

    /// All of it, if that is not much.
    pub fn value(self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let too_long = "is longer than 1 MiB; what is longer is encrypted with --stream";
        self.read(MAX_VALUE, too_long)
    }

    /// A ciphertext of such a value, without white space around it.
    pub fn ciphertext(self) -> Result<String, Failure> {
        let name = self.name.clone();
        let bytes = self.read(2 * MAX_VALUE, "is longer than any ciphertext that is text")?;
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| Failure::Usage(format!("{name} is no ciphertext (kw1.…)")))?;
        Ok(text.trim().to_owned())
    }

    fn read(self, limit: u64, too_long: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = self.source.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::local(&format!("cannot read {}", self.name), &error))?;
        if bytes.len() as u64 > limit {
            return Err(Failure::Usage(format!("{} {too_long}", self.name)));
        }
        Ok(bytes)
    }
}

fn length_of(file: &File) -> Option<u64> {
    file.metadata().ok().filter(std::fs::Metadata::is_file).map(|about| about.len())
}

/// Something to write to.
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file that has another name until it is whole.
    File(NamedTempFile, PathBuf),
}

impl OutputArgs {
    /// Opens it; a file that is there is replaced in the end.
    pub fn open(&self) -> Result<Output, Failure> {
        match self.out.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => Output::file(path),
            None => Ok(Output::Stdout),
        }
    }
}

impl Output {
    /// A file beside `path`, for the owner alone.
    pub fn file(path: &Path) -> Result<Self, Failure> {
        let name = path
            .file_name()
            .ok_or_else(|| Failure::Usage(format!("{} does not name a file", path.display())))?;
        let mut prefix = name.to_owned();
        prefix.push(".");
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .tempfile_in(dir.unwrap_or(Path::new(".")))
            .map_err(|error| Failure::file("write", path, &error))?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Writes a piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout().write_all(piece).map_err(|error| Failure::stdout(&error)),
            Self::File(file, path) => {
                file.write_all(piece).map_err(|error| Failure::file("write", path, &error))
            }
        }
    }

    /// What was written is the whole: the file gets its name, and replaces what has it.
    pub fn finish(self) -> Result<(), Failure> {
        self.complete(true)
    }

    /// The same, but for a file that is there by now.
    pub fn finish_new(self) -> Result<(), Failure> {
        self.complete(false)
    }

    fn complete(self, replace: bool) -> Result<(), Failure> {
        let (file, path) = match self {
            Self::Stdout => {
                return io::stdout().flush().map_err(|error| Failure::stdout(&error));
            }
            Self::File(file, path) => (file, path),
        };
        let fail = |error: &io::Error| Failure::file("write", &path, error);
        file.as_file().sync_all().map_err(|error| fail(&error))?;
        let named = if replace { file.persist(&path) } else { file.persist_noclobber(&path) };
        named.map_err(|error| fail(&error.error))?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = File::open(dir.unwrap_or(Path::new("."))).map_err(|error| fail(&error))?;
        dir.sync_all().map_err(|error| fail(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut output = Output::file(&path).unwrap();
        output.write(b"half").unwrap();
        assert!(!path.exists());
        drop(output);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        for text in ["one", "two"] {
            let mut output = Output::file(&path).unwrap();
            output.write(text.as_bytes()).unwrap();
            output.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let mut output = Output::file(&path).unwrap();
        output.write(b"three").unwrap();
        assert!(output.finish_new().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
