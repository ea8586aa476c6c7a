//! A server process under measurement. It is killed when dropped.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};

/// The kernel counts processor time in these (proc(5), `sysconf(_SC_CLK_TCK)` on Linux).
const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Server {
    child: Child,
    /// The address it listens on.
    pub(crate) address: SocketAddr,
}

// === impl Server ===

impl Server {
    pub(crate) fn spawn(mut command: Command, address: SocketAddr) -> anyhow::Result<Server> {
        // Backtraces cost a fifth of the rate where errors are made.
        command
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);

        Ok(Server {
            child: command.spawn().context("the server does not start")?,
            address,
        })
    }

    /// Kills the process and waits for its end: the next node uses the same data directory.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The largest resident set so far, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The resident set now, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// User and system time so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.read_proc("stat");
        // utime and stime are fields 14 and 15. The name in parentheses before them may contain
        // anything.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u32 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();

        TICK * ticks
    }

    fn status_kib(&self, key: &str) -> u64 {
        self.read_proc("status")
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0)
    }

    fn read_proc(&self, file: &str) -> String {
        self.child
            .id()
            .and_then(|id| std::fs::read_to_string(format!("/proc/{id}/{file}")).ok())
            .unwrap_or_default()
    }
}
