//! Reads files of a handler's folder. Only regular files, and links to them: to read a named pipe
//! would wait for a writer.

use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The bytes of a regular file. The error of anything else says what it is.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    check(&std::fs::metadata(path)?)?;
    std::fs::read(path)
}

/// The text of a regular file.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    check(&std::fs::metadata(path)?)?;
    std::fs::read_to_string(path)
}

fn check(found: &Metadata) -> io::Result<()> {
    match irregular(found.file_type()) {
        None => Ok(()),
        Some(kind) => {
            let why = format!("it is {kind}, and only regular files are read");
            Err(io::Error::other(why))
        }
    }
}

/// What a file is that is not regular.
fn irregular(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}
