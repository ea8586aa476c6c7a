//! Writes a component and its hook file into a plugins directory.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use super::error::DistributionError;
use super::fetched::Fetched;
use landfall_model::HookName;

/// The file of a component's signature: `NAME.wasm.minisig`.
pub fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Writes `NAME.wasm`, its signature, and then `NAME.toml`. Each file appears whole. Until the hook
/// file is there, a running node goes on with the previous version: the old hook file pins another
/// digest.
pub fn install(
    dir: &Path,
    name: &HookName,
    fetched: &Fetched,
    hook_file: &str,
) -> Result<(), DistributionError> {
    let component = dir.join(format!("{name}.wasm"));
    let signature = signature_file(&component);
    match fetched.signature.text() {
        Some(text) => place(&signature, text.as_bytes())?,
        None => remove(&signature)?,
    }

    place(&component, &fetched.bytes)?;
    let hook = dir.join(format!("{name}.toml"));
    let target = link_target(&hook).map_err(|error| unwritable(&hook, error))?;
    place(&target, hook_file.as_bytes())
}

/// A hook file that is a link stays one: the file that it leads to is replaced.
fn link_target(path: &Path) -> io::Result<PathBuf> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => std::fs::canonicalize(path),
        _ => Ok(path.to_owned()),
    }
}

/// Writes a file beside its place and renames it. A file with the same content stays as it is, and
/// a file that is replaced passes on its mode and its owner.
fn place(path: &Path, bytes: &[u8]) -> Result<(), DistributionError> {
    if std::fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The node ignores hidden files.
    let partial = path.with_file_name(format!(".{name}.partial"));
    let replaced = std::fs::symlink_metadata(path)
        .ok()
        .filter(Metadata::is_file);
    let written = write_synced(&partial, bytes, replaced.as_ref());
    let written = written.and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        std::fs::remove_file(&partial).ok();
        unwritable(path, error)
    })
}

fn write_synced(path: &Path, bytes: &[u8], replaced: Option<&Metadata>) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    if let Some(replaced) = replaced {
        // Only root can give files away.
        fchown(&file, Some(replaced.uid()), Some(replaced.gid())).ok();
        file.set_permissions(replaced.permissions())?;
    }
    file.sync_all()
}

fn remove(path: &Path) -> Result<(), DistributionError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, error: io::Error) -> DistributionError {
    DistributionError::File {
        path: path.to_owned(),
        act: "written",
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::signature::FoundSignature;
    use landfall_model::ComponentDigest;

    #[test]
    fn links_and_modes_of_hook_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("plugins")).unwrap();
        std::fs::write(at("real.toml"), "old").unwrap();
        std::fs::set_permissions(at("real.toml"), Permissions::from_mode(0o600)).unwrap();
        symlink("../real.toml", at("plugins/a.toml")).unwrap();
        symlink("nowhere.toml", at("plugins/b.toml")).unwrap();

        let bytes = bytes::Bytes::from_static(b"x");
        let fetched = Fetched {
            digest: ComponentDigest::of(&bytes),
            bytes,
            signature: FoundSignature::None,
            from: "x.wasm".into(),
        };
        let install = |name: &str| install(&at("plugins"), &name.parse().unwrap(), &fetched, "new");
        install("a").unwrap();
        assert!(at("plugins/a.toml").is_symlink());
        assert_eq!(std::fs::read_to_string(at("real.toml")).unwrap(), "new");
        let mode = std::fs::metadata(at("real.toml"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        // A link to nothing is not replaced.
        let error = install("b").unwrap_err().to_string();
        assert!(error.contains("b.toml cannot be written: "), "{error}");
    }
}
