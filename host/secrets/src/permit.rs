//! Which files secrets are read from: what `secrets.allow` grants, also where a symbolic link leads elsewhere.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use landfall_model::{RemoteSecret, SecretGrant, SecretRef};

/// The reference with its paths from the root on.
pub fn absolute(reference: &SecretRef) -> SecretRef {
    let mut reference = reference.clone();
    match &mut reference {
        SecretRef::Env(_) => {}
        SecretRef::File(path) => *path = whole(path),
        SecretRef::Remote(remote) => match remote {
            RemoteSecret::GcpKms { path, .. }
            | RemoteSecret::GcpToken {
                key: Some(path), ..
            }
            | RemoteSecret::GcpIdToken {
                key: Some(path), ..
            } => *path = whole(path),
            RemoteSecret::OAuth2Client { client_secret, .. } => {
                **client_secret = absolute(client_secret)
            }
            _ => {}
        },
    }
    reference
}

/// Checks the file that was opened, not its name: a link may have been changed since.
pub fn check_open(grant: &SecretGrant, path: &Path, file: &File) -> Result<(), String> {
    // Where /proc is not mounted, the name is looked up once more.
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let real = opened
        .or_else(|_| path.canonicalize())
        .map_err(|error| error.to_string())?;
    grant.check_file(&whole(path), &real, resolve)
}

/// The same for a file that something else opens, or that is not there yet.
pub fn check_path(grant: &SecretGrant, path: &Path) -> Result<(), String> {
    grant.check_file(&whole(path), &resolve(path), resolve)
}

fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Without links; of a path that is not there, as much as is.
fn resolve(path: &Path) -> PathBuf {
    let path = whole(path);
    let there = path
        .ancestors()
        .find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there {
        Some((above, real)) => real.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Secrets;
    use landfall_model::{SecretAges, SecretError, SecretSource};

    fn read(grant: SecretGrant, path: &Path) -> Result<Vec<u8>, SecretError> {
        let secrets = Secrets::new(SecretAges::default(), grant);
        secrets
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

    #[test]
    fn own_secrets_may_be_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let own = SecretRef::File(dir.path().join("own"));
        std::fs::write(dir.path().join("own"), "value").unwrap();
        let grant = SecretGrant {
            allow: Some(Vec::new()),
            own: vec![own.clone()],
            ..SecretGrant::default()
        };
        let secrets = Secrets::new(SecretAges::default(), grant);
        assert!(secrets.value(&own).is_err());
        secrets.track_own(std::slice::from_ref(&own));
        assert_eq!(secrets.value(&own).unwrap().expose(), b"value");
    }

    #[test]
    fn pairing_writes_no_file_of_the_node() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        symlink(dir.path().join("data"), dir.path().join("link")).unwrap();
        let grant = SecretGrant {
            own_paths: vec![dir.path().join("data")],
            ..SecretGrant::default()
        };
        let secrets = Secrets::new(SecretAges::default(), grant);
        assert!(
            secrets
                .pair(&SecretRef::File(dir.path().join("link/new")), "s")
                .is_err()
        );
        assert!(!dir.path().join("data/new").exists());
        secrets
            .pair(&SecretRef::File(dir.path().join("new")), "s")
            .unwrap();
    }
}
