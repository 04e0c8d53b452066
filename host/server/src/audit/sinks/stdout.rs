//! Lines on standard output, for what collects a container's. The log is on standard error, so that
//! nothing else stands there.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use keyward_audit::Line;

use super::{Failure, SinkError, Target};

/// Lines at once.
const MOST: usize = 1_000;

pub(super) struct Stdout(File);

impl Stdout {
    pub(super) fn open() -> Result<Self, SinkError> {
        // Not Rust's own: that is locked while a write hangs.
        let copy = std::io::stdout().as_fd().try_clone_to_owned();
        let failed = |error| SinkError(format!("`audit.stdout`: no standard output: {error}"));
        copy.map(|copy| Self(copy.into())).map_err(failed)
    }
}

#[async_trait::async_trait]
impl Target for Stdout {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, lines: &[Line]) -> Result<(), Failure> {
        for (taken, line) in lines.iter().enumerate() {
            // In one write where a pipe takes it so, lest others' lines come between.
            if let Err(error) = self.0.write_all(&line.bytes) {
                return Err(Failure { taken, ..Failure::new(error.to_string()) });
            }
        }
        Ok(())
    }
}
