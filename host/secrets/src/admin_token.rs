//! The admin token that a node creates in its data directory if none is configured.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use landfall_model::{SecretError, SecretRef};

use crate::local;

const RANDOM_BYTES: usize = 32;
/// The fewest bytes of a token in the file. Anything shorter can be guessed, or is not complete.
const TOKEN_BYTES_MIN: usize = 16;
const GROUP_OR_OTHERS_ANY: u32 = 0o077;

/// Why the node cannot use the token file.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// It can be neither read nor created.
    #[error(
        "{} cannot be written: make the data directory writable, or set admin.token (LANDFALL_ADMIN_TOKEN)",
        .path.display()
    )]
    Unwritable {
        /// The path of the file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: Error,
    },
    /// Another user may know the token, or has chosen it.
    #[error(
        "{} holds the admin token, and {why}: remove it, and the node creates a new one when it starts; or set admin.token \
         (LANDFALL_ADMIN_TOKEN)",
        .path.display()
    )]
    Untrusted {
        /// The path of the file.
        path: PathBuf,
        /// The end of a sentence that begins with the file.
        why: String,
    },
}

/// The path of the token file.
pub fn admin_token_path(data: &Path) -> PathBuf {
    data.join("admin-token")
}

/// Creates the token at the first start, readable only by this user. Later starts use the same
/// token. Blocks.
pub fn create_admin_token(data: &Path) -> Result<SecretRef, AdminTokenError> {
    let unwritable = |path: PathBuf, error| AdminTokenError::Unwritable { path, error };
    let path = admin_token_path(data);
    let path = std::path::absolute(&path).map_err(|error| unwritable(path, error))?;
    let mut random = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| unwritable(path.clone(), Error::other(error)))?;

    match local::create_file(&path, &format!("{}\n", hex::encode(random))) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_file(&path)?,
        Err(error) => return Err(unwritable(path, error)),
    }

    Ok(SecretRef::File(path))
}

/// Checks that the token in an existing file is one that only this user can have chosen and can
/// know.
fn check_file(path: &Path) -> Result<(), AdminTokenError> {
    let untrusted = |why| AdminTokenError::Untrusted {
        path: path.to_owned(),
        why,
    };
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    if is_link {
        return Err(untrusted("is a link".into()));
    }

    let mut distrust = None;
    let token = local::read_file(path, |file| {
        distrust = reason_for_distrust(file);
        Ok(())
    })
    .map_err(|error| untrusted(describe_unreadable(error)))?;
    if let Some(why) = distrust {
        return Err(untrusted(why));
    }

    let length = token.expose().len();
    if length < TOKEN_BYTES_MIN {
        return Err(untrusted(format!(
            "has {length} characters, fewer than {TOKEN_BYTES_MIN}"
        )));
    }

    Ok(())
}

fn reason_for_distrust(file: &File) -> Option<String> {
    let meta = match file.metadata() {
        Ok(meta) => meta,
        Err(error) => return Some(format!("cannot be examined ({error})")),
    };
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own {
        return Some(format!(
            "belongs to user {}, while this process is user {own}",
            meta.uid()
        ));
    }

    let mode = meta.permissions().mode() & 0o7777;
    (mode & GROUP_OR_OTHERS_ANY != 0)
        .then(|| format!("other users can read or write it (mode {mode:o})"))
}

fn describe_unreadable(error: SecretError) -> String {
    match error {
        SecretError::Unreadable { why, .. } => format!("cannot be read ({why})"),
        other => format!("cannot be read ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// The refusal of a data directory. Checks that it says what to do.
    fn refusal(data: &Path) -> String {
        let error = create_admin_token(data).unwrap_err().to_string();
        assert!(
            error.contains("admin-token") && error.contains("remove it, and"),
            "{error}"
        );
        error
    }

    #[test]
    fn token_is_created_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let SecretRef::File(path) = create_admin_token(dir.path()).unwrap() else {
            panic!("a file")
        };

        let token = std::fs::read_to_string(&path).unwrap();
        assert_eq!(token.trim().len(), 2 * RANDOM_BYTES);
        assert_eq!(mode_of(&path), 0o600);

        create_admin_token(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
    }

    #[test]
    fn exposed_token_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = admin_token_path(dir.path());
        create_admin_token(dir.path()).unwrap();
        for mode in [0o644, 0o620, 0o602] {
            set_mode(&path, mode);
            let error = refusal(dir.path());
            assert!(error.contains(&format!("mode {mode:o}")), "{error}");
            assert_eq!(mode_of(&path), mode);
        }
        set_mode(&path, 0o600);
        create_admin_token(dir.path()).unwrap();
    }

    #[test]
    fn linked_token_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "0123456789abcdef").unwrap();
        set_mode(&target, 0o644);
        std::os::unix::fs::symlink(&target, admin_token_path(dir.path())).unwrap();
        assert!(refusal(dir.path()).contains("is a link"));
        assert_eq!(mode_of(&target), 0o644);

        std::fs::remove_file(&target).unwrap();
        assert!(refusal(dir.path()).contains("is a link"));
        std::fs::remove_file(admin_token_path(dir.path())).unwrap();
        std::fs::create_dir(admin_token_path(dir.path())).unwrap();
        assert!(refusal(dir.path()).contains("not a regular file"));
    }

    #[test]
    fn foreign_token_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        create_admin_token(dir.path()).unwrap();
        // Only root can give a file away; the rule for other users is the same.
        if std::os::unix::fs::chown(admin_token_path(dir.path()), Some(12_345), None).is_ok() {
            assert!(refusal(dir.path()).contains("belongs to user 12345"));
        }
    }

    #[test]
    fn short_tokens_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = admin_token_path(dir.path());
        for (token, is_good) in [
            ("", false),
            ("\n", false),
            ("x", false),
            ("0123456789abcde\n", false),
            ("0123456789abcdef\n", true),
        ] {
            std::fs::write(&path, token).unwrap();
            set_mode(&path, 0o600);
            if is_good {
                create_admin_token(dir.path()).unwrap();
            } else {
                assert!(refusal(dir.path()).contains("fewer than 16"));
            }
        }
    }
}
