//! What became of a component's `init` when it was compiled: a file beside the machine code.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The end of the name of a report.
const ENDING: &str = "-init.json";

/// What `init` did, and whether events start from a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitReport {
    /// Why there is no snapshot, so that `init` runs at the start of each event.
    pub obstacle: Option<String>,
    /// The processor time of `init`, in milliseconds.
    pub processor_ms: u64,
    /// The bytes of all linear memories after `init`, with which each event starts. 0: unknown.
    pub memory_bytes: u64,
    /// Whether `init` asked the host for random numbers, which are part of the snapshot.
    pub took_random_numbers: bool,
    /// Whether `init` asked the host for environment variables. It received none.
    pub read_environment: bool,
    /// The lines that `init` logged or wrote, each after its level.
    pub lines: Vec<String>,
}

// === impl InitReport ===

impl InitReport {
    /// Of a component whose `init` could not be run without a hook.
    pub(super) fn untested(obstacle: String) -> InitReport {
        InitReport {
            obstacle: Some(obstacle),
            ..InitReport::default()
        }
    }

    /// Whether events start from a snapshot.
    pub fn is_snapshotted(&self) -> bool {
        self.obstacle.is_none()
    }

    /// Whether the environment that `init` found empty is part of the snapshot, so that the
    /// variables of a hook do not reach the component.
    pub(crate) fn hides_environment(&self) -> bool {
        self.is_snapshotted() && self.read_environment
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report is JSON")
    }

    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<InitReport> {
        serde_json::from_slice(bytes)
            .map_err(|error| anyhow::anyhow!("the report of its init cannot be read: {error}"))
    }
}

/// The report that lies beside a file of machine code.
pub(crate) fn path_of(code: &Path) -> PathBuf {
    let stem = code.file_stem().unwrap_or_default().to_string_lossy();
    code.with_file_name(format!("{stem}{ENDING}"))
}

/// Whether this is the file of a report.
pub(crate) fn is_report(path: &Path) -> bool {
    path.to_string_lossy().ends_with(ENDING)
}
