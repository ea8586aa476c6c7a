//! What became of a component's `init` when it was compiled: a file beside the machine code.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The end of the name of a report.
const ENDING: &str = "-init.json";

/// The file: a report, and the machine code to which it belongs. Two processes that compile a
/// component at the same time can leave the report of one beside the code of the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReportFile {
    /// The SHA-256 of the machine code, in hexadecimal digits.
    code_sha256: String,
    pub(crate) report: InitReport,
}

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
}

// === impl ReportFile ===

impl ReportFile {
    /// Of a report and its machine code.
    pub(crate) fn new(report: InitReport, code: &[u8]) -> ReportFile {
        ReportFile {
            code_sha256: digest(code),
            report,
        }
    }

    /// The report, if it is that of this machine code.
    pub(crate) fn of_code(self, code: &[u8]) -> anyhow::Result<InitReport> {
        anyhow::ensure!(
            self.code_sha256 == digest(code),
            "the report of its init is that of other machine code"
        );
        Ok(self.report)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report is JSON")
    }

    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<ReportFile> {
        serde_json::from_slice(bytes)
            .map_err(|error| anyhow::anyhow!("the report of its init cannot be read: {error}"))
    }
}

fn digest(code: &[u8]) -> String {
    hex::encode(Sha256::digest(code))
}

/// The report that lies beside a file of machine code.
pub(crate) fn path_of(code: &Path) -> PathBuf {
    let stem = code.file_stem().unwrap_or_default().to_string_lossy();
    code.with_file_name(format!("{stem}{ENDING}"))
}

/// The machine code beside which a report lies. `None`: the file is no report.
pub(crate) fn code_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    let stem = name.strip_suffix(ENDING)?;
    Some(path.with_file_name(format!("{stem}.cwasm")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_belong_to_their_code() {
        let report = InitReport {
            processor_ms: 7,
            ..InitReport::default()
        };
        let written = ReportFile::new(report.clone(), b"code").to_json();
        let read = |code: &[u8]| ReportFile::parse(&written).unwrap().of_code(code);
        assert_eq!(read(b"code").unwrap(), report);
        let error = read(b"other").unwrap_err().to_string();
        assert!(error.contains("other machine code"), "{error}");

        let of_older_version = serde_json::to_vec(&report).unwrap();
        assert!(ReportFile::parse(&of_older_version).is_err());
    }

    #[test]
    fn reports_lie_beside_their_code() {
        let code = Path::new("/cache/a-1.cwasm");
        assert_eq!(code_of(&path_of(code)).as_deref(), Some(code));
        assert_eq!(code_of(code), None);
    }
}
