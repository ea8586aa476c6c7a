//! A file system of a fixed size, in memory, that only one node sees.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::require::missing;

/// The process that keeps the file system mounted.
pub(crate) struct Mount {
    holder: Child,
    /// What a program is started with to see the file system.
    pub(crate) under: Vec<String>,
}

// === impl Mount ===

impl Mount {
    /// None, and a plain line, where no file system can be mounted.
    pub(crate) fn at(dir: &Path, size: &str) -> Option<Mount> {
        let script =
            format!("mount -t tmpfs -o size={size} none \"$0\" && echo mounted && exec sleep 3600");
        let ways: [(&[&str], &[&str]); 2] = [
            (&["--mount"], &["--mount"]),
            (
                &["--user", "--map-root-user", "--mount"],
                &["--user", "--preserve-credentials", "--mount"],
            ),
        ];
        for (rights, ways_in) in ways {
            let mut command = Command::new("unshare");
            command.args(rights).args(["sh", "-c", &script]).arg(dir);
            let Ok(mut holder) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
            else {
                continue;
            };
            let mut line = String::new();
            let mut said = BufReader::new(holder.stdout.take().expect("stdout is piped"));
            let is_said = said.read_line(&mut line).is_ok();

            let id = format!("--target={}", holder.id());
            let words = [&["nsenter", &id][..], ways_in].concat();
            let mount = Mount {
                holder,
                under: words.into_iter().map(str::to_owned).collect(),
            };
            if is_said && line.trim() == "mounted" {
                return Some(mount);
            }
        }
        missing("no file system can be mounted (unshare --mount)");
        None
    }

    /// Where this process finds a directory that the node sees.
    pub(crate) fn outside(&self, dir: &Path) -> PathBuf {
        let below = dir.strip_prefix("/").expect("a whole path");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(below)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}
