//! SQLite silently ignores all frames of its log after the first bad one. The node therefore notes
//! how many frames are on stable storage, and compares the note with the readable frames at the
//! next start. Format: sqlite.org/walformat.html.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files::{MODE, beside, free_aside};
use crate::error::OpenError;

pub(super) const HEADER: usize = 32;
pub(super) const FRAME_HEADER: usize = 24;
/// Where the header of the log, and each header of a frame, has the salts.
pub(super) const SALTS: usize = 16;
pub(super) const FRAME_SALTS: usize = 8;
/// The log's checksums are over little-endian words. This number plus one: over big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// The note: the two salts of the log, and how many of its frames were synced.
pub(super) struct Note {
    file: File,
    path: PathBuf,
}

// === impl Note ===

impl Note {
    /// Opens or creates the note of a database.
    pub(super) fn open(database: &Path) -> io::Result<Note> {
        let path = beside(database, "-synced");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(&path)?;
        Ok(Note { file, path })
    }

    /// Notes that so many frames of the log with these salts are on stable storage.
    pub(super) fn write(&self, salts: &[u8; 8], frames: u32) -> io::Result<()> {
        let mut note = [0; 12];
        note[..8].copy_from_slice(salts);
        note[8..].copy_from_slice(&frames.to_be_bytes());
        self.file.write_all_at(&note, 0)
    }

    /// Removes the note before the database is closed, which removes the log.
    pub(super) fn forget(self) {
        fs::remove_file(&self.path).ok();
    }
}

/// Refuses a log that has lost synced frames. With `accept_loss`, the log is copied aside and used
/// as it is.
pub(super) fn check(database: &Path, accept_loss: bool) -> Result<(), OpenError> {
    let failed = |error: io::Error| {
        OpenError::Other(format!(
            "{} cannot be read: {error}",
            beside(database, "-wal").display()
        ))
    };

    let Some((salts, noted)) = read_note(database).map_err(failed)? else {
        return Ok(());
    };
    let log = match fs::read(beside(database, "-wal")) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    // The salts differ: SQLite has started a new log, after it wrote the noted one back.
    if has_whole_header(&log) && log[16..24] != salts {
        return Ok(());
    }

    let readable = readable_frames(&log);
    if readable >= noted {
        return Ok(());
    }

    if !accept_loss {
        return Err(OpenError::Other(format!(
            "{}: of {noted} frames that were on stable storage {readable} can be read: events that were acknowledged would be \
             lost; put the same file back, or start with a backup in an empty data directory, or start with \
             --recover-with-data-loss (the log is copied aside first)",
            beside(database, "-wal").display()
        )));
    }

    if !log.is_empty() {
        let aside = free_aside(database)?;
        fs::copy(beside(database, "-wal"), &aside).map_err(failed)?;
        tracing::error!(noted, readable, aside = %aside.display(), "a damaged log is used as it is: events are lost");
    }
    fs::remove_file(beside(database, "-synced")).map_err(failed)
}

fn read_note(database: &Path) -> io::Result<Option<([u8; 8], u32)>> {
    let note = match fs::read(beside(database, "-synced")) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (Some(salts), Some(frames)) = (note.first_chunk::<8>(), note.get(8..12)) else {
        return Ok(None);
    };
    Ok(Some((*salts, word(frames, true))))
}

/// The number of frames from the start whose checksums match.
fn readable_frames(log: &[u8]) -> u32 {
    if !has_whole_header(log) {
        return 0;
    }
    let is_big_endian = word(&log[..4], true) & 1 == 1;
    let page_size = word(&log[8..12], true) as usize;
    let mut sum = checksum((0, 0), &log[..24], is_big_endian);
    if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
        return 0;
    }

    let mut frames = 0;
    for frame in log[HEADER..].chunks_exact(FRAME_HEADER + page_size) {
        sum = checksum(sum, &frame[..8], is_big_endian);
        sum = checksum(sum, &frame[FRAME_HEADER..], is_big_endian);
        if frame[8..16] != log[16..24] || sum != stored(&frame[16..24]) {
            break;
        }
        frames += 1;
    }
    frames
}

pub(super) fn has_whole_header(log: &[u8]) -> bool {
    log.len() >= HEADER
        && word(&log[..4], true) & !1 == MAGIC
        && checksum((0, 0), &log[..24], word(&log[..4], true) & 1 == 1) == stored(&log[24..32])
}

fn checksum((mut one, mut two): (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        one = one
            .wrapping_add(word(&pair[..4], is_big_endian))
            .wrapping_add(two);
        two = two
            .wrapping_add(word(&pair[4..], is_big_endian))
            .wrapping_add(one);
    }
    (one, two)
}

fn stored(bytes: &[u8]) -> (u32, u32) {
    (word(&bytes[..4], true), word(&bytes[4..8], true))
}

fn word(bytes: &[u8], is_big_endian: bool) -> u32 {
    let bytes = bytes.try_into().expect("four bytes");
    if is_big_endian {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}
