//! Reads the files of the plugins directory: regular files of a bounded size, through links that
//! stay inside.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::beneath;

const COMPONENT_BYTES_MAX: u64 = 64 << 20;
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// One regular file, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<[u8]>,
    /// SHA-256 of the bytes.
    pub(crate) digest: [u8; 32],
}

/// Why a file cannot be used. The texts follow the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    #[error("does not exist")]
    NotFound,
    #[error("is a link that leads out of the plugins directory")]
    LeadsOut,
    #[error("is a link to {}, and absolute links are not followed: make it relative with `ln -sr`", .target.display())]
    AbsoluteLink { target: PathBuf },
    #[error("is not a regular file")]
    NotRegular,
    #[error("is larger than {} MiB", .bytes_max >> 20)]
    TooLarge { bytes_max: u64 },
    #[error("is not UTF-8 text")]
    NotText,
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// A file that was opened, or read, or why it was not.
pub(crate) type FileContent = Result<Content, FileError>;

/// The properties of a file that change when it is written or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

// === impl Content ===

impl Content {
    pub(crate) fn new(bytes: Vec<u8>) -> Content {
        Content {
            digest: Sha256::digest(&bytes).into(),
            bytes: bytes.into(),
        }
    }

    pub(crate) fn text(&self) -> Result<&str, FileError> {
        std::str::from_utf8(&self.bytes).map_err(|_| FileError::NotText)
    }
}

// === impl FileError ===

impl From<Errno> for FileError {
    fn from(error: Errno) -> FileError {
        match error {
            Errno::NOENT => FileError::NotFound,
            Errno::XDEV => FileError::LeadsOut,
            error => FileError::Unreadable(io::Error::from(error).to_string()),
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        match error.kind() {
            ErrorKind::NotFound => FileError::NotFound,
            _ => FileError::Unreadable(error.to_string()),
        }
    }
}

/// Opens a regular file. Links are followed only within the directory, as those of a ConfigMap
/// (`..data`) are.
pub(crate) fn open(dir: &File, name: &str) -> Result<(Stamp, File), FileError> {
    let file = File::from(beneath::open(dir, name)?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(FileError::NotRegular);
    }

    let stamp = Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        modified_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
    };
    Ok((stamp, file))
}

/// Reads an open file whole. Blocks.
pub(crate) fn read(file: File, name: &str, stamp: &Stamp) -> FileContent {
    let bytes_max = if name.ends_with(".wasm") {
        COMPONENT_BYTES_MAX
    } else {
        TEXT_BYTES_MAX
    };
    if stamp.bytes > bytes_max {
        return Err(FileError::TooLarge { bytes_max });
    }

    let mut bytes = Vec::with_capacity(stamp.bytes as usize + 1);
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Content::new(bytes))
}

/// Opens and reads a file of a directory. Blocks.
pub(crate) fn read_in(dir: &Path, name: &str) -> FileContent {
    let dir = File::open(dir)?;
    let (stamp, file) = open(&dir, name)?;
    read(file, name, &stamp)
}

fn nanoseconds(seconds: i64, ns: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(ns)
}
