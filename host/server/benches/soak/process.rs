//! What a server takes of the machine.

use std::fs;

use super::servers::{Server, get};

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Bytes in memory that are the process's own. Pages of files, such as the program's, are left out:
    /// the system takes and gives them as it likes.
    pub own: u64,
    descriptors: u64,
    threads: u64,
    tasks: u64,
}

impl Sample {
    /// Looks at the server, whose metrics have what the system cannot know.
    pub fn take(server: &Server) -> Self {
        let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let descriptors = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count() as u64;
        let metrics = get(&server.address, "/metrics");
        let tasks = metrics.lines().find_map(|line| line.strip_prefix("keyward_runtime_tasks "));
        let tasks = tasks.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let tasks = tasks as u64;
        Self {
            own: (field("RssAnon:") + field("VmSwap:")) << 10,
            descriptors,
            threads: field("Threads:"),
            tasks,
        }
    }

    /// Open files and connections.
    pub fn descriptors(&self) -> u64 {
        self.descriptors
    }

    /// Threads.
    pub fn threads(&self) -> u64 {
        self.threads
    }

    /// Tasks of the runtime.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }
}
