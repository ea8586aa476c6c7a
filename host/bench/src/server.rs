//! A server process under measurement. It is killed when dropped.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The kernel counts processor time in these (proc(5), `sysconf(_SC_CLK_TCK)` on Linux).
const TICK: Duration = Duration::from_millis(10);
/// How long a program of others may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    child: Child,
    /// Whether the processes that it starts belong to it: their time and memory count too.
    has_workers: bool,
    /// The address it listens on.
    pub(crate) address: SocketAddr,
}

// === impl Server ===

impl Server {
    pub(crate) fn spawn(command: Command, address: SocketAddr) -> anyhow::Result<Server> {
        Server::start(command, address, false)
    }

    /// A program that starts processes of its own.
    pub(crate) fn spawn_with_workers(
        command: Command,
        address: SocketAddr,
    ) -> anyhow::Result<Server> {
        Server::start(command, address, true)
    }

    fn start(
        mut command: Command,
        address: SocketAddr,
        has_workers: bool,
    ) -> anyhow::Result<Server> {
        // Backtraces cost a fifth of the rate where errors are made.
        command
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);

        Ok(Server {
            child: command.spawn().context("the server does not start")?,
            has_workers,
            address,
        })
    }

    /// Waits until the process ends by itself.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Kills the process and waits for its end: the next node uses the same data directory.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if self.has_workers {
            let ids: Vec<String> = self.processes().iter().map(u32::to_string).collect();
            let mut kill = Command::new("sh");
            kill.arg("-c").arg(format!("kill -TERM {}", ids.join(" ")));
            kill.stderr(Stdio::null()).status().await?;
            if timeout(STOP_TIMEOUT, self.child.wait()).await.is_ok() {
                return Ok(());
            }
        }

        Ok(self.child.kill().await?)
    }

    /// The largest resident set so far, in KiB. Of several processes, the sum.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The resident set now, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The part of the resident set that is no page of a file, in KiB.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        self.status_kib("RssAnon:")
    }

    /// User and system time so far.
    pub(crate) fn processor_time(&self) -> Duration {
        // utime and stime. The two after them are those of workers that have ended.
        let count = if self.has_workers { 4 } else { 2 };
        let ticks: u32 = self
            .processes()
            .into_iter()
            .flat_map(|id| stat_fields(id).into_iter().skip(11).take(count))
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();

        TICK * ticks
    }

    fn status_kib(&self, key: &str) -> u64 {
        let of_process = |id: u32| {
            read_proc(id, "status")
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok())
        };
        self.processes().into_iter().filter_map(of_process).sum()
    }

    /// The process, and its descendants if they belong to it.
    fn processes(&self) -> Vec<u32> {
        let mut found = Vec::from_iter(self.child.id());
        if !self.has_workers {
            return found;
        }

        let parents = parents();
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let children = parents.iter().filter(|(_, of)| *of == parent);
            found.extend(children.map(|(id, _)| *id));
            next += 1;
        }

        found
    }
}

/// Each process of the machine, and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };

    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, stat_fields(id).get(1)?.parse().ok()?)))
        .collect()
}

/// The fields of proc(5) `stat` from the third one, the state. The name before them may contain
/// anything.
fn stat_fields(id: u32) -> Vec<String> {
    let stat = read_proc(id, "stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().map(str::to_owned).collect()
}

fn read_proc(id: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default()
}
