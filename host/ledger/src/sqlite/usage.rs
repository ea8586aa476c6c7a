//! Logs what fills the disk when there is no space for events.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::place;
use landfall_model::lock;

/// The time between two reports while there is no space.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Entries of the data directory that a report names.
const NAMED_MAX: usize = 4;
/// Levels of directories whose sizes are added up.
const DEPTH_MAX: usize = 4;

/// Reports a full disk, but not at every event.
#[derive(Debug, Default)]
pub(super) struct SpaceReports {
    last: Mutex<Option<Instant>>,
}

// === impl SpaceReports ===

impl SpaceReports {
    /// Logs the free space and the largest entries of the data directory, at most once a minute.
    /// Reads the disk on another thread.
    pub(super) fn report(&self, dir: &Path, min_free: u64) {
        let mut last = lock(&self.last);
        if last.is_some_and(|last| last.elapsed() < REPORT_EVERY) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);

        let dir = dir.to_owned();
        let report = move || {
            let free = place::free_bytes(&dir).unwrap_or(0);
            let largest = largest(&dir);
            let (free, min_free) = (size(free), size(min_free));
            tracing::error!(
                data = %dir.display(),
                free,
                min_free,
                largest,
                "the disk is low on space: no event is accepted; free some, or lower ledger.max_size or cache.max_size"
            );
        };
        if let Err(error) = std::thread::Builder::new()
            .name("space-report".into())
            .spawn(report)
        {
            tracing::error!(%error, "the disk is low on space: no event is accepted");
        }
    }
}

/// The largest entries of a directory with their sizes: `ledger.db 3.0 GiB, compiled 90.0 MiB`.
fn largest(dir: &Path) -> String {
    let Ok(entries) = fs::read_dir(dir) else {
        return "unknown".into();
    };
    let mut sizes: Vec<(u64, String)> = entries
        .flatten()
        .map(|entry| {
            (
                bytes_below(&entry.path(), DEPTH_MAX),
                entry.file_name().to_string_lossy().into_owned(),
            )
        })
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.truncate(NAMED_MAX);
    sizes
        .into_iter()
        .map(|(bytes, name)| format!("{name} {}", size(bytes)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn bytes_below(path: &Path, depth: usize) -> u64 {
    let Ok(meta) = path.symlink_metadata() else {
        return 0;
    };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = fs::read_dir(path).ok().filter(|_| depth > 0);
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| bytes_below(&entry.path(), depth - 1))
        .sum()
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("compiled")).unwrap();
        for (name, bytes) in [
            ("compiled/a", 3000),
            ("compiled/b", 3000),
            ("ledger.db", 5120),
            ("lock", 0),
            ("x", 1),
            ("y", 2),
        ] {
            fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(
            largest(dir.path()),
            "compiled 5.9 KiB, ledger.db 5.0 KiB, y 2 B, x 1 B"
        );
    }
}
