//! The process of a running node: signals, memory, descriptors, and its end.

use std::process::{Command, ExitStatus};

use crate::{Node, Setup, eventually};

// === impl Node ===

impl Node {
    /// Sends SIGTERM to the process.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
    }

    /// Ends the process as a fault would; what it left can be started again.
    pub fn killed(mut self) -> Setup {
        self.child.kill().ok();
        self.child.wait().ok();
        let dir = std::mem::replace(
            &mut self.dir,
            tempfile::tempdir().expect("a temporary folder"),
        );
        Setup {
            dir,
            launch: self.launch.clone(),
        }
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the node ends", || {
            let ended = child.try_wait().expect("a child can be asked");
            async move { ended }
        })
        .await
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// Whether the process has not ended. One that has ended is a zombie until its exit status is read.
    pub(crate) fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // The name of the program, in brackets, may contain anything.
        let state = stat
            .ok()
            .and_then(|text| Some(text.rsplit_once(") ")?.1.chars().next()));
        !matches!(state.flatten(), None | Some('Z' | 'X'))
    }

    /// Ids of the processes that it has started and that still run.
    pub fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let of_threads = std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten();
        let texts = of_threads
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        texts
            .flat_map(|text| {
                text.split_whitespace()
                    .filter_map(|id| id.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a process has memory");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    }

    /// How many files, sockets and pipes the process has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("the process lives")
            .count()
    }

    /// How many threads the process has.
    pub fn threads(&self) -> usize {
        let status = self.proc("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Threads:"));
        line.and_then(|count| count.trim().parse().ok())
            .expect("a number")
    }

    /// What the system says of the process: `limits`, `status`.
    pub fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
            .expect("the process lives")
    }
}
