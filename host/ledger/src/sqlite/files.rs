//! The files of a ledger on the disk. A database is created only if no trace shows that there was
//! one before.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Only the user of the node may read the files: they hold bodies and headers of requests.
pub(super) const MODE: u32 = 0o600;
/// A file with this ending says that the directory has had a ledger. It stays until an operator
/// removes it.
const MARKER: &str = "-created";
const MARKER_TEXT: &str = "Landfall has created a ledger in this directory. If ledger.db is missing, the node does not start: an empty ledger \
     would hide that events are lost.\n";
/// Damaged logs that are kept, each under a name of its own.
const ASIDE_MAX: usize = 100;
/// Where the header of a database says how it is written. 2: with a log. 1: without one, as in a
/// backup.
const WRITE_VERSION: usize = 18;

/// Creates an empty database if there is none. Refuses if a log or a marker shows that there was
/// one; with `accept_loss`, the log is moved aside instead. Refuses a backup beside the log of
/// another database.
pub(super) fn make_if_new(database: &Path, accept_loss: bool) -> Result<(), OpenError> {
    let failed = |error: io::Error| OpenError::from_io(database, "be created", &error);
    let found = found(database).map_err(failed)?;
    let log = beside(database, "-wal");
    let log_bytes = self::found(&log)
        .map_err(failed)?
        .map_or(0, |log| log.len());
    if found.as_ref().is_some_and(|found| found.len() > 0) {
        return refuse_foreign_log(database, log_bytes);
    }

    if let Some(traces) = traces(database, log_bytes).map_err(failed)? {
        if !accept_loss {
            let state = if found.is_some() { "empty" } else { "missing" };
            return Err(OpenError::Other(format!(
                "{} is {state}, but {traces}: events that were acknowledged would be lost; put the same file back beside its log, or \
                 start with a backup in an empty data directory, or begin an empty ledger with --recover-with-data-loss (a log is \
                 moved aside)",
                database.display()
            )));
        }
        move_aside(database, log_bytes)?;
        tracing::error!(database = %database.display(), "an empty ledger is begun in place of a lost one: events are lost");
    }

    if found.is_none() {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(database)
            .map_err(failed)?;
        sync_directory_of(database).map_err(failed)?;
    }
    Ok(())
}

/// What shows that there was a database.
fn traces(database: &Path, log_bytes: u64) -> io::Result<Option<String>> {
    if log_bytes > 0 {
        let log = beside(database, "-wal");
        return Ok(Some(format!(
            "its log {} has {log_bytes} bytes",
            log.display()
        )));
    }
    for (ending, what) in [("-synced", "in use"), (MARKER, "created")] {
        let marker = beside(database, ending);
        if found(&marker)?.is_some() {
            return Ok(Some(format!(
                "its marker {} shows that it was {what}",
                marker.display()
            )));
        }
    }
    Ok(None)
}

/// A backup is written without a log. SQLite would apply the log of another database to it, and
/// call it malformed.
fn refuse_foreign_log(database: &Path, log_bytes: u64) -> Result<(), OpenError> {
    let mut header = [0; WRITE_VERSION + 1];
    let read = File::open(database).and_then(|mut file| file.read_exact(&mut header));
    // A damaged database is reported when it is opened.
    if log_bytes == 0 || read.is_err() || header[WRITE_VERSION] != 1 {
        return Ok(());
    }

    let path = database.display();
    Err(OpenError::Other(format!(
        "{path} is a backup, but {path}-wal is the log of another ledger: start with the backup in an empty data directory, or first \
         move {path}-wal, {path}-shm and {path}-synced away (events that only this log has are then lost)"
    )))
}

/// Creates the marker of a database that has been opened, so that its loss is noticed also after a
/// clean stop.
pub(super) fn mark(database: &Path) -> Result<(), OpenError> {
    let path = beside(database, MARKER);
    let create = || -> io::Result<()> {
        if found(&path)?.is_some() {
            return Ok(());
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&path)?;
        file.write_all(MARKER_TEXT.as_bytes())?;
        file.sync_all()?;
        sync_directory_of(database)
    };
    create().map_err(|error| OpenError::from_io(&path, "be created", &error))
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn move_aside(database: &Path, log_bytes: u64) -> Result<(), OpenError> {
    let failed = |error: io::Error| OpenError::from_io(database, "be begun anew", &error);
    if log_bytes > 0 {
        fs::rename(beside(database, "-wal"), free_aside(database)?).map_err(failed)?;
    }
    for ending in ["-synced", "-shm", "-wal"] {
        fs::remove_file(beside(database, ending))
            .or_else(absent)
            .map_err(failed)?;
    }
    Ok(())
}

/// The names under which damaged logs are kept: `ledger.db-wal.damaged`, `ledger.db-wal.damaged-2`
/// and so on.
pub(super) fn aside_names(database: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=ASIDE_MAX).map(move |number| match number {
        1 => beside(database, "-wal.damaged"),
        _ => beside(database, &format!("-wal.damaged-{number}")),
    })
}

/// A name for a damaged log that no file has yet: an earlier one may be the only copy of its
/// events.
pub(super) fn free_aside(database: &Path) -> Result<PathBuf, OpenError> {
    aside_names(database)
        .find(|path| fs::symlink_metadata(path).is_err())
        .ok_or_else(|| {
            OpenError::Other(format!(
                "{} and {} more damaged logs are kept: remove those that you do not need",
                beside(database, "-wal.damaged").display(),
                ASIDE_MAX - 1
            ))
        })
}

/// The bytes of a database and its log.
pub(super) fn bytes(database: &Path) -> u64 {
    let log = beside(database, "-wal");
    let files = [database, &log];
    files
        .iter()
        .filter_map(|path| found(path).ok()?)
        .map(|file| file.len())
        .sum()
}

pub(super) fn found(path: &Path) -> io::Result<Option<Metadata>> {
    fs::metadata(path)
        .map(Some)
        .or_else(|error| absent(error).map(|()| None))
}

/// The path of a file that SQLite or the node keeps next to the database, such as `ledger.db-wal`.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Treats a missing file as success.
pub(super) fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(files: &[(&str, &[u8])]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        make_if_new(&dir.path().join("ledger.db"), false)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn traces_of_a_ledger_forbid_another() {
        assert_eq!(refusal(&[]), None);
        assert_eq!(refusal(&[("ledger.db", b"")]), None);
        assert_eq!(refusal(&[("ledger.db-wal", b"")]), None);
        assert_eq!(
            refusal(&[
                ("ledger.db", b"x"),
                ("ledger.db-wal", b"x"),
                ("ledger.db-synced", b"x")
            ]),
            None
        );
        for trace in ["ledger.db-wal", "ledger.db-synced", "ledger.db-created"] {
            let missing = refusal(&[(trace, b"x")]).unwrap();
            assert!(
                missing.contains("ledger.db is missing") && missing.contains(trace),
                "{missing}"
            );
            let empty = refusal(&[("ledger.db", b""), (trace, b"x")]).unwrap();
            assert!(
                empty.contains("ledger.db is empty") && empty.contains(trace),
                "{empty}"
            );
        }
    }

    #[test]
    fn accepted_loss_moves_the_log_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        fs::write(path("ledger.db-wal"), b"frames").unwrap();
        fs::write(path("ledger.db-synced"), b"note").unwrap();
        make_if_new(&path("ledger.db"), true).unwrap();
        assert_eq!(fs::read(path("ledger.db-wal.damaged")).unwrap(), b"frames");
        assert_eq!(fs::metadata(path("ledger.db")).unwrap().len(), 0);
        assert!(!path("ledger.db-wal").exists() && !path("ledger.db-synced").exists());
    }

    #[test]
    fn earlier_damaged_logs_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ledger.db");
        for number in 1..=3 {
            fs::write(dir.path().join("ledger.db-wal"), format!("log {number}")).unwrap();
            fs::remove_file(&database).ok();
            make_if_new(&database, true).unwrap();
        }
        for (number, name) in [(1, "damaged"), (2, "damaged-2"), (3, "damaged-3")] {
            let kept = fs::read_to_string(dir.path().join(format!("ledger.db-wal.{name}")));
            assert_eq!(kept.unwrap(), format!("log {number}"));
        }

        aside_names(&database).for_each(|name| fs::write(name, "").unwrap());
        let why = free_aside(&database).unwrap_err().to_string();
        assert!(why.contains("remove those"), "{why}");
    }

    #[test]
    fn backups_beside_foreign_logs_are_refused() {
        let mut backup = [0; 100];
        backup[WRITE_VERSION] = 1;
        let why = refusal(&[("ledger.db", &backup), ("ledger.db-wal", b"x")]).unwrap();
        assert!(
            why.contains("is a backup") && why.contains("ledger.db-wal is the log of another"),
            "{why}"
        );
        assert_eq!(refusal(&[("ledger.db", &backup)]), None);
        backup[WRITE_VERSION] = 2;
        let own = [("ledger.db", &backup[..]), ("ledger.db-wal", b"x")];
        assert_eq!(refusal(&own), None);
    }
}
