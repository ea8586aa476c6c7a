//! `rows/HOOK/TABLE.jsonl` below the data directory: one line a row, synced before anybody is told that it is stored.
//!
//! A line is `{"event_id": …, "received_at": …, "row": {…}}`. The rows of one attempt in one table are written whole or
//! not at all; a torn line, left by a power cut in the middle of a write, was never acknowledged and is cut off.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::model::{Event, Row};

/// Tables with an open file.
const OPEN_MAX: usize = 256;

/// The rows of every hook.
pub struct Rows {
    dir: PathBuf,
    open: Mutex<HashMap<PathBuf, Arc<Mutex<Option<File>>>>>,
}

/// The rows are not stored.
#[derive(Debug, thiserror::Error)]
#[error("rows cannot be stored in {path}: {source}")]
pub struct RowsError {
    /// The file.
    pub path: String,
    /// From the system.
    pub source: io::Error,
}

// === impl Rows ===

impl Rows {
    /// Below the data directory; nothing is created before the first row.
    pub fn new(data: &Path) -> Rows {
        Rows { dir: data.join("rows"), open: Mutex::default() }
    }

    /// Where the rows of a table are.
    pub fn path(&self, hook: &str, table: &str) -> PathBuf {
        self.dir.join(hook).join(format!("{table}.jsonl"))
    }

    /// Stores the rows of one attempt. Returns when they are on stable storage. Blocks.
    pub fn append(&self, event: &Event, rows: &[Row]) -> Result<(), RowsError> {
        let mut tables: Vec<&str> = rows.iter().map(|row| row.table.as_str()).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let path = self.path(&event.hook, table);
            let lines = lines(event, rows.iter().filter(|row| row.table == table));
            self.append_lines(&path, &lines)
                .map_err(|source| RowsError { path: path.display().to_string(), source })?;
        }
        Ok(())
    }

    fn append_lines(&self, path: &Path, lines: &[u8]) -> io::Result<()> {
        let slot = self.slot(path);
        let mut slot = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // A file that somebody moved away is not written to any more.
        if slot.is_none() || !path.exists() {
            *slot = Some(open(path)?);
        }
        let file = slot.as_mut().expect("opened above");
        let end = file.seek(SeekFrom::End(0))?;
        let written = file.write_all(lines).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a row must not stay. If even this fails, the next open cuts it off.
            file.set_len(end).ok();
            *slot = None;
        }
        written
    }

    fn slot(&self, path: &Path) -> Arc<Mutex<Option<File>>> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if open.len() >= OPEN_MAX && !open.contains_key(path) {
            open.clear();
        }
        open.entry(path.to_owned()).or_default().clone()
    }
}

fn lines<'a>(event: &Event, rows: impl Iterator<Item = &'a Row>) -> Vec<u8> {
    let received_at = humantime::format_rfc3339_millis(event.received_at).to_string();
    let mut lines = Vec::new();
    for row in rows {
        let line = json!({ "event_id": event.id.to_string(), "received_at": received_at, "row": row.json });
        serde_json::to_writer(&mut lines, &line).expect("JSON is written to memory");
        lines.push(b'\n');
    }
    lines
}

fn open(path: &Path) -> io::Result<File> {
    let dir = path.parent().expect("a table is in a folder");
    let is_new = !path.exists();
    std::fs::create_dir_all(dir)?;
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    cut_torn_line(&file)?;
    if is_new {
        sync_parents(dir)?;
    }
    Ok(file)
}

/// The names must survive a power cut as well as the bytes.
fn sync_parents(dir: &Path) -> io::Result<()> {
    for dir in dir.ancestors().take(3).filter(|dir| !dir.as_os_str().is_empty()) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn cut_torn_line(file: &File) -> io::Result<()> {
    let mut end = file.metadata()?.len();
    let mut byte = [0];
    while end > 0 {
        file.read_exact_at(&mut byte, end - 1)?;
        if byte[0] == b'\n' {
            break;
        }
        end -= 1;
    }
    match end == file.metadata()?.len() {
        true => Ok(()),
        false => file.set_len(end).and_then(|()| file.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::EventId;

    fn event() -> Event {
        Event {
            id: EventId::new(SystemTime::UNIX_EPOCH),
            hook: "h".into(),
            received_at: SystemTime::UNIX_EPOCH,
            method: http::Method::POST,
            path: "/h".into(),
            query: None,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            attributes: Vec::new(),
        }
    }

    fn row(table: &str, n: u32) -> Row {
        Row { table: table.into(), json: json!({ "n": n }).as_object().unwrap().clone() }
    }

    #[test]
    fn rows_are_lines_and_a_torn_one_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let rows = Rows::new(dir.path());
        rows.append(&event(), &[row("a", 1), row("b", 2), row("a", 3)]).unwrap();
        let path = rows.path("h", "a");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&first["row"]["n"], &first["received_at"]), (&json!(1), &json!("1970-01-01T00:00:00.000Z")));
        std::fs::write(&path, format!("{text}{{\"torn")).unwrap();
        Rows::new(dir.path()).append(&event(), &[row("a", 4)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn what_cannot_be_stored_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rows"), "in the way").unwrap();
        let error = Rows::new(dir.path()).append(&event(), &[row("a", 1)]).unwrap_err();
        assert!(error.to_string().starts_with("rows cannot be stored in "), "{error}");
    }
}
