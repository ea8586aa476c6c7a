//! Secrets of this machine: environment variables and small regular files.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use landfall_config::env;
use landfall_model::{Secret, SecretError};

use crate::error::FetchError;

/// A key, a token or a password is smaller.
const BYTES_MAX: u64 = 64 * 1024;

pub(crate) fn read_variable(name: &str) -> Result<Secret, SecretError> {
    let bytes = env::bytes(name).ok_or_else(|| SecretError::NotSet(name.to_owned()))?;
    Ok(Secret::without_line_end(bytes))
}

/// Reads a file without its trailing line end. `check` sees the open file before it is read.
pub(crate) fn read_file(
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), SecretError>,
) -> Result<Secret, SecretError> {
    let file = open(path).map_err(|error| unreadable(path, error))?;
    check(&file)?;

    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(unreadable(path, format!("more than {BYTES_MAX} bytes")));
    }

    Ok(Secret::without_line_end(bytes))
}

/// Creates a file that only this user can read. An existing file is an error.
pub(crate) fn create_file(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = file
        .write_all(secret.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // The next start must not find a part of the secret.
        std::fs::remove_file(path).ok();
    }
    written
}

/// A variable that a remote source needs. `purpose` is for the error.
pub(crate) fn required_variable(
    name: &'static str,
    purpose: &'static str,
) -> Result<String, FetchError> {
    env::var(name).ok_or(FetchError::NotSet { name, purpose })
}

fn open(path: &Path) -> std::io::Result<File> {
    // Opening a pipe must not block.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::other("not a regular file"))
    }
}

fn unreadable(path: &Path, why: impl ToString) -> SecretError {
    SecretError::Unreadable {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}
