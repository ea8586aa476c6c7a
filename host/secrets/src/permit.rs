//! Which files may be read as secrets: those that `secrets.allow` grants, with symbolic links
//! resolved.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use landfall_model::{RemoteSecret, SecretDenied, SecretError, SecretGrant, SecretRef};

/// The reference with absolute paths.
pub(crate) fn absolute(reference: &SecretRef) -> SecretRef {
    let mut reference = reference.clone();
    match &mut reference {
        SecretRef::Env(_) => {}
        SecretRef::File(path) => *path = absolute_path(path),
        SecretRef::Remote(remote) => match remote {
            RemoteSecret::GcpKms { path, .. }
            | RemoteSecret::GcpToken {
                key: Some(path), ..
            }
            | RemoteSecret::GcpIdToken {
                key: Some(path), ..
            } => *path = absolute_path(path),
            RemoteSecret::OAuth2Client { client_secret, .. } => {
                **client_secret = absolute(client_secret)
            }
            _ => {}
        },
    }

    reference
}

/// Checks the file that was opened instead of its name, because a link may have changed in between.
pub(crate) fn check_open(grant: &SecretGrant, path: &Path, file: &File) -> Result<(), SecretError> {
    // Without /proc, the name is resolved once more.
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let real =
        opened
            .or_else(|_| path.canonicalize())
            .map_err(|error| SecretError::Unreadable {
                path: path.display().to_string(),
                why: error.to_string(),
            })?;

    Ok(grant.check_file(&absolute_path(path), &real, resolve)?)
}

/// Checks a file that other code opens, or that does not exist yet.
pub(crate) fn check_path(grant: &SecretGrant, path: &Path) -> Result<(), SecretDenied> {
    grant.check_file(&absolute_path(path), &resolve(path), resolve)
}

fn absolute_path(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Resolves the links of a path, or of the part of it that exists.
fn resolve(path: &Path) -> PathBuf {
    let path = absolute_path(path);
    let existing = path
        .ancestors()
        .find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match existing {
        Some((ancestor, real)) => real.join(path.strip_prefix(ancestor).unwrap_or(Path::new(""))),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Secrets;
    use landfall_model::{Clock, SecretAges, SecretSource};

    fn secrets(grant: SecretGrant) -> Secrets {
        Secrets::new(SecretAges::default(), grant, Clock::System)
    }

    fn read(grant: SecretGrant, path: &Path) -> Result<Vec<u8>, SecretError> {
        secrets(grant)
            .value(&SecretRef::File(path.to_owned()))
            .map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn links_lead_to_no_other_secret() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["data", "secrets", "plugins"] {
            std::fs::create_dir(at(folder)).unwrap();
        }

        for file in ["data/admin-token", "secrets/own", "secrets/hook", "other"] {
            std::fs::write(at(file), file).unwrap();
        }

        for (name, target) in [
            ("a", "data/admin-token"),
            ("b", "secrets/own"),
            ("c", "other"),
            ("d", "secrets/hook"),
        ] {
            symlink(at(target), at("plugins").join(name)).unwrap();
        }
        symlink(at("secrets"), at("alias")).unwrap();
        let open = SecretGrant {
            own: vec![SecretRef::File(at("alias/own"))],
            own_paths: vec![at("data")],
            ..SecretGrant::default()
        };
        for name in [
            "plugins/a",
            "plugins/b",
            "secrets/own",
            "plugins/../data/admin-token",
        ] {
            assert!(
                matches!(read(open.clone(), &at(name)), Err(SecretError::Refused(_))),
                "{name}"
            );
        }
        assert_eq!(read(open.clone(), &at("plugins/c")).unwrap(), b"other");

        let pattern = format!("file:{}/", at("alias").display()).parse().unwrap();
        let listed = SecretGrant {
            allow: Some(vec![pattern]),
            ..open
        };
        assert_eq!(
            read(listed.clone(), &at("alias/hook")).unwrap(),
            b"secrets/hook"
        );
        for name in ["plugins/c", "plugins/d", "other", "alias/own"] {
            assert!(
                matches!(
                    read(listed.clone(), &at(name)),
                    Err(SecretError::Refused(_))
                ),
                "{name}"
            );
        }

        let error = read(listed, &at("plugins/c")).unwrap_err().to_string();
        assert!(
            error.contains("plugins/c") && error.contains("secrets.allow"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn own_secrets_may_be_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let own = SecretRef::File(dir.path().join("own"));
        std::fs::write(dir.path().join("own"), "value").unwrap();
        let grant = SecretGrant {
            allow: Some(Vec::new()),
            own: vec![own.clone()],
            ..SecretGrant::default()
        };
        let secrets = secrets(grant);
        assert!(secrets.value(&own).is_err());
        secrets.track_own(std::slice::from_ref(&own)).await;
        assert_eq!(secrets.value(&own).unwrap().expose(), b"value");
    }

    #[tokio::test]
    async fn pairing_writes_no_node_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        symlink(dir.path().join("data"), dir.path().join("link")).unwrap();
        let grant = SecretGrant {
            own_paths: vec![dir.path().join("data")],
            ..SecretGrant::default()
        };
        let secrets = secrets(grant);
        let linked = SecretRef::File(dir.path().join("link/new"));
        assert!(secrets.pair(&linked, "s").await.is_err());
        assert!(!dir.path().join("data/new").exists());
        let new = SecretRef::File(dir.path().join("new"));
        secrets.pair(&new, "s").await.unwrap();
    }
}
