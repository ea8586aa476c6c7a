//! Key documents in the data directory, so that a restart while a provider is down does not refuse
//! its events. One file a document: a line of JSON with its URL and when it was fetched, then its
//! bytes. A file that cannot be read or is too old is removed.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use landfall_model::clock::{from_ms, to_ms};

use super::limits::{BYTES_MAX, KEEP_MAX, TOTAL_MAX};

/// The most bytes of the line before the document.
const HEAD_MAX: usize = 8 << 10;
/// Tolerated clock difference. A fetch time that is further ahead is invalid.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// A stored document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DiskDocument {
    pub(super) url: String,
    pub(super) bytes: Bytes,
    /// Time since it was fetched.
    pub(super) age: Duration,
    /// It must be fetched again after `AGE_MAX`.
    pub(super) expires: bool,
}

/// Creates the directory with mode 0700.
pub(super) fn prepare(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Reads every stored document that is not too old.
pub(super) fn read_all(dir: &Path, now: SystemTime) -> Vec<DiskDocument> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };

    let mut all = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        match read(&path, now) {
            Some(found) if all.len() < TOTAL_MAX && path == path_of(dir, &found.url) => {
                all.push(found);
            }
            _ => drop(std::fs::remove_file(&path)),
        }
    }

    all
}

/// Stores the document of this URL in place of an earlier one.
pub(super) fn write(
    dir: &Path,
    url: &str,
    bytes: &[u8],
    at: SystemTime,
    expires: bool,
) -> std::io::Result<()> {
    let head = json!({ "url": url, "fetched_ms": to_ms(at), "has_end": expires }).to_string();
    if head.len() >= HEAD_MAX {
        return Ok(());
    }

    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    file.write_all(&[head.as_bytes(), b"\n", bytes].concat())?;
    file.persist(path_of(dir, url))
        .map_err(|error| error.error)?;
    Ok(())
}

/// Removes the document of this URL.
pub(super) fn remove(dir: &Path, url: &str) {
    std::fs::remove_file(path_of(dir, url)).ok();
}

fn path_of(dir: &Path, url: &str) -> PathBuf {
    dir.join(hex::encode(Sha256::digest(url)))
}

fn read(path: &Path, now: SystemTime) -> Option<DiskDocument> {
    // Opening a pipe must not block, and links are not followed.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .ok()?;
    let meta = file.metadata().ok()?;
    let is_ours = meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0;
    if !meta.is_file() || !is_ours || meta.len() > (HEAD_MAX + BYTES_MAX) as u64 {
        return None;
    }

    let mut bytes = Vec::new();
    file.take((HEAD_MAX + BYTES_MAX) as u64)
        .read_to_end(&mut bytes)
        .ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Value = serde_json::from_slice(&bytes[..end]).ok()?;
    let at = from_ms(head["fetched_ms"].as_i64()?);
    let age = match now.duration_since(at) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() <= AHEAD_MAX => Duration::ZERO,
        Err(_) => return None,
    };

    let found = DiskDocument {
        url: head["url"].as_str()?.to_owned(),
        bytes: bytes.split_off(end + 1).into(),
        age,
        expires: head["has_end"].as_bool()?,
    };
    (age < KEEP_MAX && found.bytes.len() <= BYTES_MAX).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const YEARS: Duration = Duration::from_secs(1_700_000_000);

    const URL: &str = "https://keys.example/jwks?a=b#kid";

    #[test]
    fn documents_come_back_until_too_old() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, now) = (dir.path().join("keys"), SystemTime::UNIX_EPOCH + YEARS);
        prepare(&dir).unwrap();
        write(&dir, URL, b"{}\n\n", now, true).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&path_of(&dir, URL))), (0o700, 0o600));
        let found = read_all(&dir, now + Duration::from_secs(60));
        assert_eq!(
            (found[0].url.as_str(), &found[0].bytes[..], found[0].expires),
            (URL, &b"{}\n\n"[..], true)
        );
        assert!(found[0].age >= Duration::from_secs(59));
        assert!(
            read_all(&dir, now - Duration::from_secs(3600)).is_empty(),
            "its time is in the future"
        );
        write(&dir, URL, b"{}", now, false).unwrap();
        assert!(read_all(&dir, now + KEEP_MAX).is_empty());
        assert_eq!(
            std::fs::read_dir(&dir).unwrap().count(),
            0,
            "useless files are removed"
        );
    }

    #[test]
    fn files_of_others_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + YEARS;
        for (name, change) in [
            (
                "shared",
                Box::new(|path: &Path| {
                    std::fs::set_permissions(path, PermissionsExt::from_mode(0o622)).unwrap()
                }) as Box<dyn Fn(&Path)>,
            ),
            (
                "renamed",
                Box::new(|path: &Path| {
                    std::fs::rename(path, path.with_file_name("other")).unwrap()
                }),
            ),
            (
                "linked",
                Box::new(|path: &Path| {
                    std::fs::rename(path, path.with_file_name("target")).unwrap();
                    symlink("target", path).unwrap();
                }),
            ),
            (
                "damaged",
                Box::new(|path: &Path| std::fs::write(path, "no JSON").unwrap()),
            ),
            (
                "large",
                Box::new(|path: &Path| {
                    let bytes = std::fs::read(path).unwrap();
                    std::fs::write(path, [bytes, vec![b' '; BYTES_MAX + HEAD_MAX]].concat())
                        .unwrap();
                }),
            ),
        ] {
            write(dir.path(), URL, b"{}", now, false).unwrap();
            change(&path_of(dir.path(), URL));
            assert!(read_all(dir.path(), now).is_empty(), "{name}");
        }
    }
}
