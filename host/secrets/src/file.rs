//! `file:` secrets: regular files only, small ones, one trailing line end dropped.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use landfall_model::{Secret, SecretError};

/// A key, a token, a password: nothing larger is a secret.
const BYTES_MAX: u64 = 64 * 1024;

/// `check` sees the file before it is read.
pub fn read(
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), String>,
) -> Result<Secret, SecretError> {
    let unreadable = |why: String| SecretError::Unreadable {
        path: path.display().to_string(),
        why,
    };
    let mut bytes = Vec::new();
    let file = open(path).map_err(|error| unreadable(error.to_string()))?;
    check(&file).map_err(SecretError::Refused)?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(unreadable(format!("more than {BYTES_MAX} bytes")));
    }
    Ok(Secret::without_line_end(bytes))
}

fn open(path: &Path) -> std::io::Result<File> {
    // A pipe in the place of a file must not make us wait.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("not a regular file")),
    }
}

/// Writes a new file that only this user reads; one that is there stays as it is.
pub fn create(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}
