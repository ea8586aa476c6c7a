//! Which secrets hook files may name. Who writes the plugins directory does not read every variable and file of the node.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::secret::{RemoteSecret, SecretRef};

/// An entry of `secrets.allow`: one reference, or with `*` or `/` at its end all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPattern {
    /// Without the star.
    text: String,
    is_prefix: bool,
}

/// The secrets that hook files may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretGrant {
    /// `secrets.allow`; none = every secret but those of the node.
    pub allow: Option<Vec<SecretPattern>>,
    /// References in the node's own settings.
    pub own: Vec<SecretRef>,
    /// Files and directories of the node: its data, its settings, its identity. Absolute.
    pub own_paths: Vec<PathBuf>,
    /// A directory below `own_paths` that holds secrets of hooks all the same.
    pub hooks_path: Option<PathBuf>,
}

/// Environment variables that begin with this word and `_` hold settings of the node.
const NODE_VARIABLES: &str = "LANDFALL";
/// Proves to Vault who the node is.
const VAULT_TOKEN: &str = "VAULT_TOKEN";
/// Views of the kernel. `/proc/self/environ` would give every variable away.
const SYSTEM_PATHS: [&str; 3] = ["/proc", "/sys", "/dev"];
const SOURCES: [&str; 7] = [
    "env",
    "file",
    "gcp-secret",
    "gcp-kms",
    "vault",
    "aws-secret",
    "google",
];
const FORM: &str =
    "write a secret reference such as \"env:HOOK_*\", \"file:/run/secrets/\" or \"google:*\"";

// === impl SecretPattern ===

impl SecretPattern {
    fn covers(&self, text: &str) -> bool {
        if self.is_prefix {
            text.starts_with(&self.text)
        } else {
            text == self.text
        }
    }

    /// The directory that its files are in.
    fn directory(&self) -> Option<&Path> {
        let (directory, _) = self.text.strip_prefix("file:")?.rsplit_once('/')?;
        Some(Path::new(if directory.is_empty() {
            "/"
        } else {
            directory
        }))
    }
}

impl FromStr for SecretPattern {
    type Err = String;

    fn from_str(typed: &str) -> Result<SecretPattern, String> {
        let without_star = typed.strip_suffix('*');
        let text = without_star.unwrap_or(typed);
        let source = text
            .split_once(':')
            .filter(|(source, _)| SOURCES.contains(source));
        let Some((source, rest)) = source.filter(|(_, rest)| !rest.contains('*')) else {
            return Err(format!(
                "`{typed}` in secrets.allow: {FORM}, with a star only at the end"
            ));
        };
        if rest.is_empty() && without_star.is_none() {
            return Err(format!("`{typed}` in secrets.allow: {FORM}"));
        }
        let is_plain_path =
            rest.starts_with('/') && plain(Path::new(rest)).join("") == Path::new(rest).join("");
        if source == "file" && !rest.is_empty() && !is_plain_path {
            return Err(format!(
                "`{typed}` in secrets.allow: write the whole path, such as \"file:/run/secrets/\""
            ));
        }
        Ok(SecretPattern {
            text: text.into(),
            is_prefix: without_star.is_some() || text.ends_with('/'),
        })
    }
}

impl fmt::Display for SecretPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_prefix && !self.text.ends_with('/') {
            "*"
        } else {
            ""
        };
        write!(f, "{}{star}", self.text)
    }
}

// === impl SecretGrant ===

impl SecretGrant {
    /// Why a hook file may not name this secret. Paths are absolute.
    pub fn check(&self, reference: &SecretRef) -> Result<(), String> {
        parts(reference)
            .iter()
            .try_for_each(|part| self.check_part(part))
    }

    /// Why the file of `reference` may not be read: where symbolic links lead counts too. `real` is the path without links;
    /// `resolve` gives the same for other paths.
    pub fn check_file(
        &self,
        path: &Path,
        real: &Path,
        resolve: impl Fn(&Path) -> PathBuf,
    ) -> Result<(), String> {
        let (written, leads_to) = (file_text(path), file_text(real));
        let is_of_hooks = self
            .hooks_path
            .as_ref()
            .is_some_and(|path| real.starts_with(resolve(path)));
        let is_below = |own: &PathBuf| real.starts_with(resolve(own)) && !is_of_hooks;
        let own_files = self.own.iter().filter_map(|own| match own {
            SecretRef::File(path) => Some(path),
            _ => None,
        });
        if own_files.chain(&self.own_paths).any(is_below)
            && !self.is_listed(&leads_to)
            && !self.is_listed(&written)
        {
            return Err(of_the_node(&leads_to));
        }

        let Some(patterns) = &self.allow else {
            return match is_of_system(real) {
                true => Err(not_listed(&leads_to)),
                false => Ok(()),
            };
        };
        let stays_inside = |pattern: &SecretPattern| match pattern.directory() {
            Some(directory) => pattern.covers(&written) && real.starts_with(resolve(directory)),
            None => pattern.covers(&written),
        };
        match patterns
            .iter()
            .any(|pattern| stays_inside(pattern) || pattern.covers(&leads_to))
        {
            true => Ok(()),
            false => Err(format!(
                "`{written}` leads to {}, and {}",
                real.display(),
                not_listed(&leads_to)
            )),
        }
    }

    /// The files that are read for this secret.
    pub fn files(reference: &SecretRef) -> Vec<PathBuf> {
        let in_part = |part| match part {
            SecretRef::File(path) => Some(path),
            _ => None,
        };
        parts(reference).into_iter().filter_map(in_part).collect()
    }

    fn check_part(&self, part: &SecretRef) -> Result<(), String> {
        let text = text(part);
        if self.is_own(part, &text) && !self.is_listed(&text) {
            return Err(of_the_node(&text));
        }
        let is_allowed = match &self.allow {
            Some(patterns) => patterns.iter().any(|pattern| pattern.covers(&text)),
            None => !matches!(part, SecretRef::File(path) if is_of_system(&plain(path))),
        };
        if is_allowed {
            Ok(())
        } else {
            Err(not_listed(&text))
        }
    }

    fn is_own(&self, part: &SecretRef, text: &str) -> bool {
        let is_node_file = |path: &Path| {
            let is_below = |above: &PathBuf| plain(path).starts_with(plain(above));
            self.own_paths.iter().any(is_below) && !self.hooks_path.as_ref().is_some_and(is_below)
        };
        let is_named = match part {
            SecretRef::Env(name) => {
                let first = name.split_once('_').map(|(first, _)| first);
                first == Some(NODE_VARIABLES) || name == VAULT_TOKEN
            }
            SecretRef::File(path) => is_node_file(path),
            SecretRef::Remote(_) => false,
        };
        is_named
            || self
                .own
                .iter()
                .flat_map(parts)
                .any(|own| any_version(&self::text(&own)) == any_version(text))
    }

    /// Word for word, not by its beginning.
    fn is_listed(&self, text: &str) -> bool {
        self.allow
            .iter()
            .flatten()
            .any(|pattern| !pattern.is_prefix && pattern.text == text)
    }
}

fn of_the_node(text: &str) -> String {
    format!(
        "`{text}` belongs to the node itself: name another secret, or list it word for word in secrets.allow \
         (LANDFALL_SECRETS_ALLOW) of the node"
    )
}

fn not_listed(text: &str) -> String {
    format!(
        "`{text}` is not in secrets.allow (LANDFALL_SECRETS_ALLOW) of the node: add it there, or name another secret"
    )
}

fn is_of_system(path: &Path) -> bool {
    SYSTEM_PATHS.iter().any(|system| path.starts_with(system))
}

/// What must be granted so that the reference may be used.
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

/// As patterns name it.
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

/// Every version of a secret is the secret.
fn any_version(text: &str) -> &str {
    match text.split_once("/versions/") {
        Some((name, _)) if text.starts_with("gcp-secret:") => name,
        _ => text,
    }
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
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
        let why = grant.check(&reference("env:HOME")).unwrap_err();
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
        let why = grant.check(&reference("env:ADMIN")).unwrap_err();
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

    #[test]
    fn patterns_that_grant_nothing_are_refused() {
        for typed in [
            "HOOK_*",
            "env:",
            "env:A*B",
            "*",
            "file:secrets/",
            "file:/run/../etc/",
            "http://x",
            "env:**",
        ] {
            let why = typed.parse::<SecretPattern>().unwrap_err();
            assert!(why.contains(typed) && why.contains("write"), "{why}");
        }
        for typed in [
            "env:A",
            "env:*",
            "file:/",
            "file:/run/secrets/",
            "file:/run/a*",
            "google:*",
        ] {
            assert_eq!(typed.parse::<SecretPattern>().unwrap().to_string(), typed);
        }
    }
}
