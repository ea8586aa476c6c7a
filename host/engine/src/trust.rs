//! Which files machine code may be loaded from: files of this user that no other user can write,
//! with a seal that only this node can make.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::process_tag::process_tag;

const KEY_BYTES: usize = 32;
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const GROUP_OR_OTHERS_ANY: u32 = 0o077;

/// The key that makes and checks the seals of files.
pub(crate) struct SealKey([u8; KEY_BYTES]);

/// Who may own a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This user.
    Own,
    /// This user or root, which owns the files of an image.
    OwnOrRoot,
}

// === impl SealKey ===

impl SealKey {
    /// Reads the key, or creates one. A key that other users could have read or written is an
    /// error.
    pub(crate) fn open(path: &Path) -> io::Result<SealKey> {
        match OpenOptions::new()
            .read(true)
            .custom_flags(NOFOLLOW)
            .open(path)
        {
            Ok(file) => SealKey::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => SealKey::create(path),
            Err(error) => Err(error),
        }
    }

    fn read(mut file: File) -> io::Result<SealKey> {
        let meta = file.metadata()?;
        check_owner(&meta, Owner::Own)?;
        if meta.mode() & GROUP_OR_OTHERS_ANY != 0 {
            return Err(io::Error::other(
                "can be read or written by other users: remove it, a new one is made",
            ));
        }
        let mut key = [0; KEY_BYTES];
        file.read_exact(&mut key)
            .map_err(|_| io::Error::other("is not a key: remove it, a new one is made"))?;
        Ok(SealKey(key))
    }

    fn create(path: &Path) -> io::Result<SealKey> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&key)?;
        file.sync_all()?;
        Ok(SealKey(key))
    }

    /// Seals a file of this user: the seal is a file beside it.
    pub(crate) fn seal_file(&self, path: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        open_file(path, Owner::Own)?.read_to_end(&mut bytes)?;
        let seal = self.seal(&file_name_of(path), &bytes);
        let partial = path.with_extension(format!("{}.seal-partial", process_tag()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(&seal)?;
        std::fs::rename(&partial, seal_path(path))
    }

    /// Opens and reads a file of this user. One without its seal is an error.
    pub(crate) fn read_sealed(&self, path: &Path) -> io::Result<(File, Vec<u8>)> {
        let mut file = open_file(path, Owner::Own)?;
        let (mut bytes, mut seal) = (Vec::new(), Vec::new());
        file.read_to_end(&mut bytes)?;
        let sealed = open_file(&seal_path(path), Owner::Own)
            .and_then(|mut file| file.read_to_end(&mut seal));
        if sealed.is_ok() && self.is_seal(&seal, &file_name_of(path), &bytes) {
            return Ok((file, bytes));
        }
        Err(io::Error::other("it does not have the seal of this node"))
    }

    /// The seal of a file with this name and these bytes.
    fn seal(&self, name: &str, bytes: &[u8]) -> [u8; 32] {
        self.mac(name, bytes).finalize().into_bytes().into()
    }

    /// Whether this is the seal of that file.
    fn is_seal(&self, seal: &[u8], name: &str, bytes: &[u8]) -> bool {
        self.mac(name, bytes).verify_slice(seal).is_ok()
    }

    fn mac(&self, name: &str, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("every length is a key");
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac.update(bytes);
        mac
    }
}

/// The file of the seal of a file.
pub(crate) fn seal_path(path: &Path) -> PathBuf {
    path.with_extension("seal")
}

fn file_name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Checks that a directory belongs to `owner`, and that no other user can write into it.
pub(crate) fn check_dir(path: &Path, owner: Owner) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Err(io::Error::other("is not a directory"));
    }
    check_owner(&meta, owner)?;
    check_writers(&meta)
}

/// Opens a regular file by the same rules. Links are not followed.
pub(crate) fn open_file(path: &Path, owner: Owner) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(NOFOLLOW)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    check_owner(&meta, owner)?;
    check_writers(&meta)?;
    Ok(file)
}

fn check_owner(meta: &Metadata, owner: Owner) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() == own || (owner == Owner::OwnOrRoot && meta.uid() == 0) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "belongs to user {}, and this process is user {own}",
        meta.uid()
    )))
}

fn check_writers(meta: &Metadata) -> io::Result<()> {
    if meta.mode() & GROUP_OR_OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "can be written by other users (mode {:o}): run `chmod go-w` on it, or remove it",
        meta.mode() & 0o7777
    )))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn keys_are_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.key");
        let seal = SealKey::open(&path).unwrap().seal("a", b"x");
        let again = SealKey::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(again.is_seal(&seal, "a", b"x"));
        assert!(
            !again.is_seal(&seal, "b", b"x")
                && !again.is_seal(&seal, "a", b"y")
                && !again.is_seal(&[], "a", b"x")
        );
        std::fs::remove_file(&path).unwrap();
        assert!(
            !SealKey::open(&path).unwrap().is_seal(&seal, "a", b"x"),
            "another key"
        );
    }

    #[test]
    fn readable_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.key");
        SealKey::open(&path).unwrap();
        set_mode(&path, 0o640);
        assert!(
            SealKey::open(&path)
                .err()
                .unwrap()
                .to_string()
                .contains("by other users")
        );
        set_mode(&path, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(
            SealKey::open(&path)
                .err()
                .unwrap()
                .to_string()
                .contains("is not a key")
        );
    }

    #[test]
    fn files_writable_by_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "x").unwrap();
        set_mode(&file, 0o644);
        assert!(open_file(&file, Owner::Own).is_ok() && check_dir(dir.path(), Owner::Own).is_ok());
        set_mode(&file, 0o646);
        set_mode(dir.path(), 0o770);
        for error in [
            open_file(&file, Owner::Own).err().unwrap(),
            check_dir(dir.path(), Owner::Own).err().unwrap(),
        ] {
            assert!(
                error.to_string().contains("can be written by other users"),
                "{error}"
            );
        }
        set_mode(dir.path(), 0o700);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open_file(&link, Owner::Own).is_err() && check_dir(&link, Owner::Own).is_err());
    }
}
