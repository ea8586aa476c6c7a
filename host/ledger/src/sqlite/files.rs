//! The files of a ledger on the disk. A database is created only if no trace shows that there was one before.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Only the user of the node may read the files: they hold bodies and headers of requests.
pub(super) const MODE: u32 = 0o600;

/// Creates an empty database if there is none. Refuses if a log or a marker shows that there was one; with `accept_loss`, the log is moved
/// aside instead.
pub(super) fn make_if_new(database: &Path, accept_loss: bool) -> Result<(), OpenError> {
    let failed = |error: io::Error| OpenError::from_io(database, "be created", &error);
    let found = found(database).map_err(failed)?;
    if found.as_ref().is_some_and(|found| found.len() > 0) {
        return Ok(());
    }

    let (log, marker) = (beside(database, "-wal"), beside(database, "-synced"));
    let log_bytes = self::found(&log)
        .map_err(failed)?
        .map_or(0, |log| log.len());
    let has_marker = self::found(&marker).map_err(failed)?.is_some();
    if log_bytes > 0 || has_marker {
        let traces = match (log_bytes, has_marker) {
            (0, _) => format!("its marker {} shows that it was in use", marker.display()),
            (bytes, _) => format!("its log {} has {bytes} bytes", log.display()),
        };
        if !accept_loss {
            let state = if found.is_some() { "empty" } else { "missing" };
            return Err(OpenError::Other(format!(
                "{} is {state}, but {traces}: events that were acknowledged would be lost; put the file or a backup back, or start \
                 with --recover-with-data-loss (an empty ledger is begun, and the log is moved aside)",
                database.display()
            )));
        }
        move_aside(database, log_bytes).map_err(failed)?;
        tracing::error!(database = %database.display(), "an empty ledger is begun in place of a lost one: events are lost");
    }

    if found.is_none() {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(database)
            .map_err(failed)?;
        database
            .parent()
            .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
            .map_err(failed)?;
    }
    Ok(())
}

fn move_aside(database: &Path, log_bytes: u64) -> io::Result<()> {
    if log_bytes > 0 {
        fs::rename(beside(database, "-wal"), beside(database, "-wal.damaged"))?;
    }
    for ending in ["-synced", "-shm", "-wal"] {
        fs::remove_file(beside(database, ending)).or_else(absent)?;
    }
    Ok(())
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
        for trace in ["ledger.db-wal", "ledger.db-synced"] {
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
}
