//! The admin token that a node creates in its data directory if none is configured.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use landfall_model::SecretRef;

use crate::local;

const RANDOM_BYTES: usize = 32;

/// The path of the token file.
pub fn admin_token_path(data: &Path) -> PathBuf {
    data.join("admin-token")
}

/// Creates the token at the first start, readable only by this user. Later starts use the same
/// token. Blocks.
pub fn create_admin_token(data: &Path) -> std::io::Result<SecretRef> {
    let path = std::path::absolute(admin_token_path(data))?;
    let mut random = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(Error::other)?;

    match local::create_file(&path, &format!("{}\n", hex::encode(random))) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => restrict_mode(&path)?,
        Err(error) => return Err(error),
    }

    Ok(SecretRef::File(path))
}

/// A copy of the file may have another mode.
fn restrict_mode(path: &Path) -> std::io::Result<()> {
    let mode = std::fs::symlink_metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            "the admin token was readable by others: it is now readable by this user alone; \
             delete the file and start again for a new one"
        );
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    }

    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_created_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let SecretRef::File(path) = create_admin_token(dir.path()).unwrap() else {
            panic!("a file")
        };

        let token = std::fs::read_to_string(&path).unwrap();
        assert_eq!(token.trim().len(), 2 * RANDOM_BYTES);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();

        create_admin_token(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
