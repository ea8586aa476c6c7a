//! The limit of open files of the test process and of its nodes.

use std::process::Command;

use crate::Node;
use crate::require::missing;

/// Raises the limit of this process to at least this many descriptors; false, and a plain line, where the system does not allow it.
pub fn raise(wanted: usize) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux has it");
    let present = open_files(&limits);
    if present >= wanted || set(std::process::id(), wanted) {
        return true;
    }
    missing(&format!("a limit of {wanted} open files (ulimit -n)"));
    false
}

/// The soft limit in the text of `/proc/PID/limits`.
fn open_files(limits: &str) -> usize {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let words = line.expect("every process has the limit");
    let soft = words.split_whitespace().next().expect("a number");
    soft.parse().unwrap_or(usize::MAX)
}

/// Sets the soft limit of a process. Raises the hard limit if it is lower.
fn set(process: u32, soft: usize) -> bool {
    let attempts = [format!("--nofile={soft}:"), format!("--nofile={soft}")];
    attempts.iter().any(|limit| {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &process.to_string(), limit]);
        let output = command.output();
        output.is_ok_and(|output| output.status.success())
    })
}

// === impl Node ===

impl Node {
    /// Sets how many descriptors the process may have. Those that are open stay open.
    pub fn limit_descriptors(&self, soft: usize) {
        assert!(set(self.child.id(), soft), "prlimit is there");
    }
}
