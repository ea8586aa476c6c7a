//! Which secrets hook files may name. The authors of hook files must not be able to read every
//! variable and file of the node.

use std::path::{Path, PathBuf};

use super::secret_pattern::{SecretPattern, plain};
use super::secret_ref::{RemoteSecret, SecretRef};

/// The secrets that hook files may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretGrant {
    /// `secrets.allow`. `None`: every secret except those of the node.
    pub allow: Option<Vec<SecretPattern>>,
    /// References in the node's own settings.
    pub own: Vec<SecretRef>,
    /// Files and directories of the node: its data, its settings, its identity. Absolute.
    pub own_paths: Vec<PathBuf>,
    /// A directory below `own_paths` that contains secrets of hooks.
    pub hooks_path: Option<PathBuf>,
}

/// Why a hook file may not name a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretDenied {
    /// The secret belongs to the node.
    #[error(
        "`{0}` belongs to the node itself: name another secret, or list it word for word in secrets.allow \
         (LANDFALL_SECRETS_ALLOW) of the node"
    )]
    OfTheNode(String),
    /// `secrets.allow` does not cover the secret.
    #[error(
        "`{0}` is not in secrets.allow (LANDFALL_SECRETS_ALLOW) of the node: add it there, or name another secret"
    )]
    NotListed(String),
    /// A symbolic link leads to a file that `secrets.allow` does not cover.
    #[error("`{written}` leads to {target}, and {reason}")]
    Link {
        /// The reference in the hook file.
        written: String,
        /// The path without symbolic links.
        target: String,
        /// Why the target is denied.
        reason: Box<SecretDenied>,
    },
}

/// Environment variables that begin with this word and `_` are settings of the node.
const NODE_VARIABLES: &str = "LANDFALL";
/// The variable with the node's identity for Vault.
const VAULT_TOKEN: &str = "VAULT_TOKEN";
/// Directories of the kernel. `/proc/self/environ` contains every variable of the node.
const SYSTEM_PATHS: [&str; 3] = ["/proc", "/sys", "/dev"];

// === impl SecretGrant ===

impl SecretGrant {
    /// Whether a hook file may name this secret. Paths are absolute.
    pub fn check(&self, reference: &SecretRef) -> Result<(), SecretDenied> {
        parts(reference)
            .iter()
            .try_for_each(|part| self.check_part(part))
    }

    /// Whether the file at `path` may be read, which depends on the target of its symbolic links
    /// too. `real` is `path` without symbolic links; `resolve` does the same for other paths.
    pub fn check_file(
        &self,
        path: &Path,
        real: &Path,
        resolve: impl Fn(&Path) -> PathBuf,
    ) -> Result<(), SecretDenied> {
        let (written, target) = (file_text(path), file_text(real));
        let is_listed = self.is_listed(&target) || self.is_listed(&written);
        if self.is_own_file(real, &resolve) && !is_listed {
            return Err(SecretDenied::OfTheNode(target));
        }

        let Some(patterns) = &self.allow else {
            if is_of_system(real) {
                return Err(SecretDenied::NotListed(target));
            }
            return Ok(());
        };
        let is_allowed = patterns.iter().any(|pattern| {
            let is_inside = match pattern.directory() {
                Some(directory) => real.starts_with(resolve(directory)),
                None => true,
            };
            (pattern.covers(&written) && is_inside) || pattern.covers(&target)
        });
        if is_allowed {
            return Ok(());
        }

        Err(SecretDenied::Link {
            written,
            target: real.display().to_string(),
            reason: Box::new(SecretDenied::NotListed(target)),
        })
    }

    /// The files that are read for this secret.
    pub fn files(reference: &SecretRef) -> Vec<PathBuf> {
        parts(reference)
            .into_iter()
            .filter_map(|part| match part {
                SecretRef::File(path) => Some(path),
                _ => None,
            })
            .collect()
    }

    fn check_part(&self, part: &SecretRef) -> Result<(), SecretDenied> {
        let text = text(part);
        if self.is_own(part, &text) && !self.is_listed(&text) {
            return Err(SecretDenied::OfTheNode(text));
        }

        let is_allowed = match &self.allow {
            Some(patterns) => patterns.iter().any(|pattern| pattern.covers(&text)),
            None => !matches!(part, SecretRef::File(path) if is_of_system(&plain(path))),
        };
        if is_allowed {
            Ok(())
        } else {
            Err(SecretDenied::NotListed(text))
        }
    }

    /// Whether a file without symbolic links belongs to the node.
    fn is_own_file(&self, real: &Path, resolve: &impl Fn(&Path) -> PathBuf) -> bool {
        let hooks_path = self.hooks_path.as_deref();
        if hooks_path.is_some_and(|hooks_path| real.starts_with(resolve(hooks_path))) {
            return false;
        }

        let own_files = self.own.iter().filter_map(|own| match own {
            SecretRef::File(path) => Some(path),
            _ => None,
        });
        own_files
            .chain(&self.own_paths)
            .any(|own| real.starts_with(resolve(own)))
    }

    fn is_own(&self, part: &SecretRef, text: &str) -> bool {
        let is_named = match part {
            SecretRef::Env(name) => {
                let first = name.split_once('_').map(|(first, _)| first);
                first == Some(NODE_VARIABLES) || name == VAULT_TOKEN
            }
            SecretRef::File(path) => self.is_own_path(&plain(path)),
            SecretRef::Remote(_) => false,
        };

        let own = self.own.iter().flat_map(parts);
        is_named
            || own
                .map(|own| self::text(&own))
                .any(|own| any_version(&own) == any_version(text))
    }

    fn is_own_path(&self, path: &Path) -> bool {
        let is_below = |above: &PathBuf| path.starts_with(plain(above));
        self.own_paths.iter().any(is_below) && !self.hooks_path.as_ref().is_some_and(is_below)
    }

    /// Whether `secrets.allow` lists exactly this reference, not a beginning of it.
    fn is_listed(&self, text: &str) -> bool {
        self.allow
            .iter()
            .flatten()
            .any(|pattern| pattern.is_exactly(text))
    }
}

fn is_of_system(path: &Path) -> bool {
    SYSTEM_PATHS.iter().any(|system| path.starts_with(system))
}

/// The secrets that must be granted for a reference.
fn parts(reference: &SecretRef) -> Vec<SecretRef> {
    match reference {
        SecretRef::Remote(RemoteSecret::OAuth2Client { client_secret, .. }) => parts(client_secret),
        SecretRef::Remote(
            RemoteSecret::GcpToken {
                key: Some(path), ..
            }
            | RemoteSecret::GcpIdToken {
                key: Some(path), ..
            },
        ) => vec![SecretRef::File(path.clone())],
        other => vec![other.clone()],
    }
}

/// The reference as patterns name it.
fn text(reference: &SecretRef) -> String {
    match reference {
        SecretRef::File(path) => file_text(path),
        SecretRef::Remote(RemoteSecret::GcpKms { key, path }) => {
            format!("gcp-kms:{key}@{}", plain(path).display())
        }
        SecretRef::Remote(RemoteSecret::GcpToken { scope, .. }) => format!("google:{scope}"),
        SecretRef::Remote(RemoteSecret::GcpIdToken { audience, .. }) => {
            format!("google:{audience}")
        }
        other => other.to_string(),
    }
}

fn file_text(path: &Path) -> String {
    format!("file:{}", plain(path).display())
}

/// The text without its version: a grant covers every version of a secret.
fn any_version(text: &str) -> &str {
    match text.split_once("/versions/") {
        Some((name, _)) if text.starts_with("gcp-secret:") => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(patterns: &[&str]) -> SecretGrant {
        let allow = patterns
            .iter()
            .map(|pattern| pattern.parse().unwrap())
            .collect();
        SecretGrant {
            allow: Some(allow),
            ..SecretGrant::default()
        }
    }

    fn reference(text: &str) -> SecretRef {
        text.parse().unwrap()
    }

    #[test]
    fn only_listed_secrets_are_granted() {
        let grant = grant(&[
            "env:HOOK_*",
            "file:/run/secrets/",
            "env:ONE",
            "vault:kv/hooks/*",
            "file:/etc/hook-*",
        ]);
        for (text, is_granted) in [
            ("env:HOOK_A", true),
            ("env:HOOK_", true),
            ("env:ONE", true),
            ("env:ONE_MORE", false),
            ("env:HOME", false),
            ("env:hook_a", false),
            ("file:/run/secrets/a", true),
            ("file:/run/secrets/./b/a", true),
            ("file:/run/secrets//a", true),
            ("file:/run/secrets/x/../a", true),
            ("file:/run/secrets", false),
            ("file:/run/secrets/../../etc/shadow", false),
            ("file:/../../run/secrets/../shadow", false),
            ("file:/run/secretsx", false),
            ("file:/run/secretsx/a", false),
            ("file:run/secrets/a", false),
            ("file:/etc/hook-a", true),
            ("file:/etc/hook-a/../shadow", false),
            ("vault:kv/hooks/a#f", true),
            ("vault:kv/node/a#f", false),
            ("gcp-secret:projects/p/secrets/s", false),
        ] {
            assert_eq!(grant.check(&reference(text)).is_ok(), is_granted, "{text}");
        }
        let why = grant.check(&reference("env:HOME")).unwrap_err().to_string();
        assert!(
            why.contains("`env:HOME`") && why.contains("secrets.allow"),
            "{why}"
        );
    }

    #[test]
    fn own_secrets_are_refused_by_default() {
        let own = [
            "env:ADMIN",
            "file:/etc/landfall/db",
            "gcp-secret:projects/p/secrets/s",
            "vault:kv/node#key",
        ];
        let mut grant = SecretGrant {
            allow: None,
            own: own.map(reference).into(),
            own_paths: ["/var/lib/landfall".into(), "/etc/landfall.toml".into()].into(),
            hooks_path: Some("/var/lib/landfall/secrets".into()),
        };
        let refused = [
            "env:ADMIN",
            "env:LANDFALL_LEDGER_URL",
            "env:VAULT_TOKEN",
            "file:/etc/landfall/x/../db",
            "file:/etc/landfall.toml",
            "file:/var/lib/landfall/admin-token",
            "file:/var/lib/landfall/secrets/../admin-token",
            "file:/var/lib/x/../landfall/compiled.key",
            "gcp-secret:projects/p/secrets/s/versions/3",
            "vault:kv/node#key",
        ];
        for (allow, text) in [
            None,
            Some("env:*"),
            Some("file:/"),
            Some("gcp-secret:*"),
            Some("vault:*"),
        ]
        .into_iter()
        .flat_map(|allow| refused.map(|text| (allow, text)))
        {
            grant.allow = allow.map(|pattern| vec![pattern.parse().unwrap()]);
            assert!(
                grant.check(&reference(text)).is_err(),
                "{text} with {allow:?}"
            );
        }
        grant.allow = None;
        let why = grant
            .check(&reference("env:ADMIN"))
            .unwrap_err()
            .to_string();
        assert!(
            why.contains("belongs to the node itself") && why.contains("secrets.allow"),
            "{why}"
        );
        for text in [
            "env:HOOK",
            "file:/etc/landfall/hook",
            "file:/var/lib/landfall/secrets/a",
            "vault:kv/node#other",
        ] {
            assert_eq!(grant.check(&reference(text)), Ok(()), "{text}");
        }
        grant.allow = Some(vec!["env:ADMIN".parse().unwrap()]);
        assert_eq!(grant.check(&reference("env:ADMIN")), Ok(()));
    }

    #[test]
    fn views_of_the_kernel_are_refused() {
        let grant = SecretGrant::default();
        for text in [
            "file:/proc/self/environ",
            "file:/tmp/../proc/1/environ",
            "file:/dev/stdin",
            "file:/sys/x",
        ] {
            assert!(grant.check(&reference(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_need_what_they_rest_on() {
        let token = |key: Option<&str>| {
            SecretRef::Remote(RemoteSecret::GcpToken {
                scope: "s".into(),
                key: key.map(PathBuf::from),
            })
        };
        let client = |secret: &str| {
            let client_secret = Box::new(reference(secret));
            SecretRef::Remote(RemoteSecret::OAuth2Client {
                token_url: "https://t/".into(),
                client_id: "c".into(),
                client_secret,
                scope: None,
            })
        };
        let files = grant(&["file:/keys/"]);
        assert!(
            files.check(&token(Some("/keys/a.json"))).is_ok()
                && files.check(&token(Some("/k/a.json"))).is_err()
        );
        assert!(
            files.check(&token(None)).is_err() && grant(&["google:*"]).check(&token(None)).is_ok()
        );
        assert!(
            files.check(&client("file:/keys/a")).is_ok() && files.check(&client("env:A")).is_err()
        );
    }

    #[test]
    fn links_must_not_lead_outside() {
        let resolve = |path: &Path| match path.strip_prefix("/var/run") {
            Ok(rest) => Path::new("/run").join(rest),
            Err(_) => path.to_owned(),
        };
        let check = |grant: &SecretGrant, path: &str, real: &str| {
            grant
                .check_file(Path::new(path), Path::new(real), resolve)
                .is_ok()
        };
        let listed = grant(&["file:/var/run/secrets/", "file:/etc/hooks/a"]);
        assert!(check(
            &listed,
            "/var/run/secrets/a",
            "/run/secrets/..2026/a"
        ));
        assert!(check(&listed, "/etc/hooks/a", "/etc/hooks/..data/a"));
        assert!(!check(&listed, "/var/run/secrets/a", "/etc/shadow"));
        assert!(!check(&listed, "/etc/hooks/a", "/etc/shadow"));
        let open = SecretGrant {
            own_paths: vec!["/var/run/node".into()],
            ..SecretGrant::default()
        };
        assert!(check(&open, "/plugins/a", "/run/other/token"));
        assert!(!check(&open, "/plugins/a", "/run/node/admin-token"));
        assert!(!check(&open, "/plugins/a", "/proc/7/environ"));
    }
}
