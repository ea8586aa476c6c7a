//! The files of an open ledger. Before and after each commit, the node checks that they still have
//! their names, and that no other program has cut or overwritten them: SQLite would not notice, and
//! the next start would not find what was acknowledged.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::beside;
use super::wal::{self, FRAME_HEADER, FRAME_SALTS, SALTS};
use crate::error::LedgerError;

/// The time between two comparisons of the header of the database.
const HEADER_EVERY: Duration = Duration::from_secs(1);
/// The part of the header that never changes: magic, page size, and that there is a log. Format:
/// sqlite.org/fileformat.html.
const FIXED: std::ops::Range<usize> = 0..24;
/// Counts the changes of the header.
const COUNTER: std::ops::Range<usize> = 24..28;

/// The open files of a database.
pub(super) struct OpenFiles {
    /// Kept open: SQLite loses its locks when any descriptor of this file is closed.
    database: File,
    log: File,
    /// Database, log, and its index. Each with the device and inode that its name had at the start.
    names: [(PathBuf, (u64, u64)); 3],
    page_size: u64,
    /// As after the last checkpoint. Only a checkpoint writes to the database.
    database_len: u64,
    header: [u8; 100],
    next_header: Instant,
    /// The salts of the log, and its last frame, as after the last commit.
    last: ([u8; 8], u32),
}

// === impl OpenFiles ===

impl OpenFiles {
    /// The files of a database that has been opened and written to, so that its log exists.
    pub(super) fn new(database: &Path, page_size: u32) -> io::Result<OpenFiles> {
        let [of, log, index] = ["", "-wal", "-shm"].map(|ending| {
            let path = beside(database, ending);
            fs::metadata(&path).map(|found| (path, identity(&found)))
        });
        let mut files = OpenFiles {
            database: File::open(database)?,
            log: File::open(beside(database, "-wal"))?,
            names: [of?, log?, index?],
            page_size: page_size.into(),
            database_len: 0,
            header: [0; 100],
            next_header: Instant::now(),
            last: ([0; 8], 0),
        };
        files.written_back()?;
        Ok(files)
    }

    /// After a checkpoint: the database is compared with what it is now.
    pub(super) fn written_back(&mut self) -> io::Result<()> {
        self.database_len = self.database.metadata()?.len();
        self.database.read_exact_at(&mut self.header, 0)
    }

    /// Refuses if a file was removed, replaced, cut or overwritten: the next start would not find
    /// what is written now. `frames`: how many frames the log has.
    pub(super) fn check(&mut self, frames: u32) -> Result<(), LedgerError> {
        let log_len = self.frame_at(frames);
        for ((path, opened), len) in self.names.iter().zip([self.database_len, log_len, 0]) {
            let why = match fs::metadata(path) {
                Ok(now) if identity(&now) != *opened => "was replaced".to_owned(),
                Ok(now) if now.len() < len => {
                    format!("was cut from at least {len} bytes to {}", now.len())
                }
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed".to_owned(),
                Err(error) => format!("can no longer be examined ({error})"),
            };
            return Err(gone(path, &why));
        }
        if self.next_header <= Instant::now() {
            self.check_header()?;
            self.next_header = Instant::now() + HEADER_EVERY;
        }
        Ok(())
    }

    /// Checks the log after a commit: one that was cut during the commit has a hole where its
    /// header or the last frame before the commit was. Returns the salts of the log.
    pub(super) fn check_log(&mut self, frames: u32) -> Result<[u8; 8], LedgerError> {
        let (path, _) = &self.names[1];
        let mut header = [0; wal::HEADER];
        self.log
            .read_exact_at(&mut header, 0)
            .map_err(|error| gone(path, &format!("can no longer be read ({error})")))?;
        if !wal::has_whole_header(&header) {
            return Err(gone(path, "was overwritten"));
        }

        let salts: [u8; 8] = *header[SALTS..].first_chunk().expect("the header is longer");
        let (salts_before, last) = self.last;
        if salts == salts_before && (1..=frames).contains(&last) {
            let mut found = [0; 8];
            let at = self.frame_at(last - 1) + FRAME_SALTS as u64;
            let read = self.log.read_exact_at(&mut found, at);
            if read.is_err() || found != salts {
                return Err(gone(path, "was overwritten"));
            }
        }
        self.last = (salts, frames);
        Ok(salts)
    }

    /// Where the frame of the log begins that follows so many frames.
    fn frame_at(&self, frames: u32) -> u64 {
        wal::HEADER as u64 + u64::from(frames) * (FRAME_HEADER as u64 + self.page_size)
    }

    fn check_header(&self) -> Result<(), LedgerError> {
        let (path, _) = &self.names[0];
        let mut now = [0; 100];
        self.database
            .read_exact_at(&mut now, 0)
            .map_err(|error| gone(path, &format!("can no longer be read ({error})")))?;
        // Another program that keeps to the locks of SQLite may have made a checkpoint, and counted
        // it.
        let is_later = now[COUNTER] > self.header[COUNTER];
        if now == self.header || (now[FIXED] == self.header[FIXED] && is_later) {
            Ok(())
        } else {
            Err(gone(path, "was overwritten"))
        }
    }
}

fn gone(path: &Path, why: &str) -> LedgerError {
    LedgerError::Gone(format!("{} {why}", path.display()))
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn holes_in_the_log_are_noticed() {
        for kept in [0, wal::HEADER] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ledger.db");
            let connection = Connection::open(&path).unwrap();
            let frames = || -> u32 {
                let frames = "PRAGMA wal_checkpoint(NOOP)";
                connection.query_row(frames, [], |row| row.get(1)).unwrap()
            };
            connection
                .execute_batch(
                    "PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)",
                )
                .unwrap();
            let mut files = OpenFiles::new(&path, 4096).unwrap();
            files.check(frames()).unwrap();
            files.check_log(frames()).unwrap();
            let before = files.frame_at(frames());
            connection.execute("INSERT INTO t VALUES (2)", []).unwrap();
            files.check_log(frames()).unwrap();

            // Cut while the commit runs: its frames are written behind the new end of the file.
            let log = beside(&path, "-wal");
            let whole = fs::read(&log).unwrap();
            let cut = fs::OpenOptions::new().write(true).open(&log).unwrap();
            cut.set_len(kept as u64).unwrap();
            cut.write_all_at(&whole[before as usize + 4096..], before + 4096)
                .unwrap();
            files.check(frames()).unwrap();
            let why = files.check_log(frames()).unwrap_err().to_string();
            assert!(why.contains("ledger.db-wal was overwritten"), "{why}");
        }
    }
}
