//! Builds in a row. A change starts the build that runs again; but a build that writes into the
//! sources changes them itself, each time, and must come to its end.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The most builds in a row that a change stops. The next one comes to its end, and one more
/// follows it: the author may have saved so often.
const STOPPED_MAX: u32 = 3;

/// The builds that changes during the build before have started, one after the other.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// How many.
    length: u32,
    /// Whether the sources have changed during a build that is not stopped.
    is_outdated: bool,
    /// When the last build ended. `None`: one runs, or there was none.
    ended: Option<SystemTime>,
}

/// What follows from a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A build starts. None runs.
    Build,
    /// The build that runs is stopped, and another one starts.
    BuildAgain,
    /// The build that runs comes to its end. One more follows it.
    BuildOnceMore,
    /// The change is not built.
    Nothing,
}

// === impl Row ===

impl Row {
    /// These files have changed.
    pub(super) fn changed(&mut self, files: &[PathBuf]) -> Next {
        let is_of_author = self.ended.is_some_and(|ended| is_later(files, ended));
        if is_of_author {
            *self = Row::default();
            return Next::Build;
        }

        if self.length < STOPPED_MAX {
            self.length += 1;
            return match self.ended.take() {
                Some(_) => Next::Build,
                None => Next::BuildAgain,
            };
        }
        if self.length > STOPPED_MAX {
            return Next::Nothing;
        }
        if self.ended.take().is_some() {
            self.length += 1;
            return Next::Build;
        }
        self.is_outdated = true;
        Next::BuildOnceMore
    }

    /// The build has come to its end at this time of `file_clock`. Returns whether one more follows.
    pub(super) fn ended(&mut self, now: SystemTime) -> bool {
        let is_outdated = std::mem::take(&mut self.is_outdated);
        if is_outdated {
            self.length += 1;
        } else {
            self.ended = Some(now);
        }
        is_outdated
    }
}

/// Whether a file was changed after this time. One that is gone was changed when its folder was.
fn is_later(files: &[PathBuf], time: SystemTime) -> bool {
    files.iter().any(|file| {
        let folder = file.parent().unwrap_or(file);
        let found = file.metadata().or_else(|_| folder.metadata());
        found.map_or(true, |found| changed_at(&found) > time)
    })
}

/// As `modified`, but also of a file that was moved here.
fn changed_at(found: &Metadata) -> SystemTime {
    time(found.ctime(), found.ctime_nsec())
}

/// The clock that the times of files are from. It advances with each tick of the kernel, which is
/// late on a busy machine: a file may seem to be older than what `SystemTime` said before.
pub(super) fn file_clock() -> SystemTime {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    time(now.tv_sec, now.tv_nsec)
}

fn time(seconds: i64, nanos: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    let nanos = u32::try_from(nanos).unwrap_or_default();
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After `now`, so that the file was changed before.
    fn later(now: SystemTime) -> SystemTime {
        now + Duration::from_secs(60)
    }

    #[test]
    fn builds_that_write_sources_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = [file.path().to_owned()];
        let now = changed_at(&file.as_file().metadata().unwrap());

        // Each build changes the file before it ends.
        let mut row = Row::default();
        let next = [0; 4].map(|_| row.changed(&files));
        let [again, more] = [Next::BuildAgain, Next::BuildOnceMore];
        assert_eq!(next, [again, again, again, more]);
        assert!(row.ended(later(now)));
        assert_eq!(row.changed(&files), Next::Nothing);
        assert!(!row.ended(later(now)));
        assert_eq!(row.changed(&files), Next::Nothing);

        // Each change is noticed when the build has ended.
        let mut row = Row::default();
        let next = [0; 5].map(|_| {
            assert!(!row.ended(later(now)));
            row.changed(&files)
        });
        let build = Next::Build;
        assert_eq!(next, [build, build, build, build, Next::Nothing]);
    }

    #[test]
    fn later_changes_are_built() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut files = [file.path().to_owned()];
        let now = changed_at(&file.as_file().metadata().unwrap());
        let mut row = Row::default();
        for _ in 0..STOPPED_MAX {
            assert_eq!(row.changed(&files), Next::BuildAgain);
        }
        for _ in 0..2 {
            assert!(!row.ended(now - Duration::from_secs(60)));
            assert_eq!(row.changed(&files), Next::Build);
        }
        files[0].push("gone");
        assert!(!row.ended(now - Duration::from_secs(60)));
        assert_eq!(row.changed(&files), Next::Build);
    }
}
