//! The file of compiled functions that `landfall dev` keeps, as the node sees it. The node reads
//! none of them: it seals what a compiler has written, and lets the next compiler read only that.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use landfall_model::lock;

use super::functions::FUNCTIONS_BYTES_MAX;
use super::trust::{self, Owner, SealKey, seal_path};

/// The file, in a directory of its own.
pub(crate) struct KeptFunctions {
    path: PathBuf,
    /// Two compilers can end at the same time.
    replacing: Mutex<()>,
}

// === impl KeptFunctions ===

impl KeptFunctions {
    /// Creates the directory. One of another user, or that others can write, is refused.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<KeptFunctions> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .and_then(|()| trust::check_dir(dir, Owner::Own))
            .with_context(|| format!("compiled functions are not kept in {}", dir.display()))?;
        Ok(KeptFunctions {
            path: dir.join("functions"),
            replacing: Mutex::default(),
        })
    }

    /// The file. If it does not have its seal, it is removed first.
    pub(crate) fn sealed(&self, key: &SealKey) -> &Path {
        let _replacing = lock(&self.replacing);
        if self.path.symlink_metadata().is_ok()
            && let Err(error) = key.read_sealed(&self.path)
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "compiled functions are not used again");
            self.remove();
        }
        &self.path
    }

    /// Puts the file that a compiler has written in the place of the last one. A compiler that
    /// compiled no new function has written none.
    pub(crate) fn replace(&self, written: &Path, key: &SealKey) {
        let _replacing = lock(&self.replacing);
        match self.place(written, key) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "compiled functions are not kept");
                fs::remove_file(written).ok();
                self.remove();
            }
        }
    }

    fn place(&self, written: &Path, key: &SealKey) -> io::Result<()> {
        let bytes = trust::open_file(written, Owner::Own)?.metadata()?.len();
        if bytes > FUNCTIONS_BYTES_MAX as u64 {
            return Err(io::Error::other("they are larger than their limit"));
        }
        fs::rename(written, &self.path)?;
        key.seal_file(&self.path)
    }

    fn remove(&self) {
        fs::remove_file(&self.path).ok();
        fs::remove_file(seal_path(&self.path)).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Kept {
        dir: tempfile::TempDir,
        key: SealKey,
        functions: KeptFunctions,
    }

    fn kept() -> Kept {
        let dir = tempfile::tempdir().unwrap();
        let key = SealKey::open(&dir.path().join("key")).unwrap();
        let functions = KeptFunctions::new(&dir.path().join("functions")).unwrap();
        Kept {
            dir,
            key,
            functions,
        }
    }

    impl Kept {
        /// What a compiler has written.
        fn write(&self, bytes: &[u8]) -> PathBuf {
            let path = self.dir.path().join("written");
            fs::write(&path, bytes).unwrap();
            path
        }

        fn read(&self) -> Option<Vec<u8>> {
            fs::read(self.functions.sealed(&self.key)).ok()
        }
    }

    #[test]
    fn written_functions_are_kept() {
        let kept = kept();
        assert_eq!(kept.read(), None);
        for bytes in [b"first", b"later"] {
            kept.functions.replace(&kept.write(bytes), &kept.key);
            assert_eq!(kept.read().as_deref(), Some(&bytes[..]));
        }
        // No compiler wrote this one.
        kept.functions
            .replace(&kept.dir.path().join("written"), &kept.key);
        assert_eq!(kept.read().as_deref(), Some(&b"later"[..]));
        assert_eq!(mode(&kept.dir.path().join("functions")), 0o700);
        assert_eq!(mode(&seal_path(&kept.functions.path)), 0o600);
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn changed_functions_are_removed() {
        let kept = kept();
        kept.functions.replace(&kept.write(b"first"), &kept.key);
        fs::write(&kept.functions.path, b"other").unwrap();
        assert_eq!(kept.read(), None);
        assert!(!kept.functions.path.exists() && !seal_path(&kept.functions.path).exists());
    }

    #[test]
    fn too_many_functions_are_refused() {
        let kept = kept();
        kept.functions.replace(&kept.write(b"first"), &kept.key);
        let written = kept.write(b"");
        let file = fs::OpenOptions::new().write(true).open(&written).unwrap();
        file.set_len(FUNCTIONS_BYTES_MAX as u64 + 1).unwrap();
        kept.functions.replace(&written, &kept.key);
        assert!(kept.read().is_none() && !written.exists());
    }

    #[test]
    fn folders_open_to_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = KeptFunctions::new(dir.path()).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("can be written by other users"), "{error}");
    }
}
