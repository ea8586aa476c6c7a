//! Secrets: a value that no formatter prints, and a reference to where such a value lives.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

/// A secret value. `Debug` prints no part of it, and its memory is wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Where a secret lives: `env:NAME`, `file:PATH`, or one of the remote sources. Secrets are never written as literals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file, relative to the hook file that names it; one trailing line end is not part of the secret.
    File(PathBuf),
    /// Somewhere else.
    Remote(RemoteSecret),
}

/// Where a secret lives that is not on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RemoteSecret {
    /// `gcp-secret:projects/P/secrets/NAME[/versions/V]`
    GcpSecret {
        /// With its version.
        name: String,
    },
    /// `gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K@PATH`: the file holds ciphertext.
    GcpKms {
        /// Which key.
        key: String,
        /// Relative to the hook file that names it.
        path: PathBuf,
    },
    /// `vault:MOUNT/PATH#FIELD`
    Vault {
        /// Of a key-value engine, version 2.
        mount: String,
        /// Below it.
        path: String,
        /// Of the secret's data.
        field: String,
    },
    /// `aws-secret:NAME_OR_ARN[#FIELD]`
    AwsSecret {
        /// Name or ARN.
        id: String,
        /// Of the secret's JSON; none = the whole text.
        field: Option<String>,
    },
    /// A Google access token; the identity is a service account's file, or what the machine has.
    GcpToken {
        /// One or more, separated by spaces.
        scope: String,
        /// Of the service account.
        key: Option<PathBuf>,
    },
    /// A Google ID token.
    GcpIdToken {
        /// Whom it is for.
        audience: String,
        /// Of the service account.
        key: Option<PathBuf>,
    },
    /// An access token by client credentials (RFC 6749 section 4.4).
    OAuth2Client {
        /// Where it is asked for.
        token_url: String,
        /// Not secret.
        client_id: String,
        /// On this machine.
        client_secret: Box<SecretRef>,
        /// If the server wants one.
        scope: Option<String>,
    },
}

/// How remote secrets age.
#[derive(Debug, Clone, Copy)]
pub struct SecretAges {
    /// Fetched again after this.
    pub refresh: Duration,
    /// With the source down, the last value serves this long.
    pub keep: Duration,
}

impl Default for SecretAges {
    fn default() -> SecretAges {
        SecretAges {
            refresh: Duration::from_secs(300),
            keep: Duration::from_secs(12 * 3600),
        }
    }
}

/// Why there is no value now. The hook that needs it is closed until there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("environment variable `{0}` is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("secret file {path}: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Hook files may not name it.
    #[error("the secret {0}")]
    Refused(String),
    /// It could not be fetched.
    #[error("secret {reference}: {why}")]
    Remote {
        /// Which.
        reference: String,
        /// A sentence.
        why: String,
    },
    /// It is there, and is not what the scheme needs.
    #[error("the secret {0}: it should be a key as the provider gives it")]
    NoKey(String),
    /// An empty secret would let everybody in.
    #[error("the secret at `{0}` is empty")]
    Empty(String),
}

/// The future of `SecretSource::track`. It is boxed, so that the trait can be used as an object.
pub type TrackSecrets<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The current values of secrets. The crate `secrets` implements it.
pub trait SecretSource: Send + Sync {
    /// The current value, from memory if the secret is tracked.
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError>;

    /// Whether a hook file may name this secret.
    fn check(&self, _reference: &SecretRef) -> Result<(), SecretError> {
        Ok(())
    }

    /// Reads these secrets, and refreshes them from then on.
    fn track<'a>(&'a self, _references: &'a [SecretRef]) -> TrackSecrets<'a> {
        Box::pin(std::future::ready(()))
    }

    /// Reports that a server rejected this secret: a token may have been revoked before it expired.
    fn report_rejected(&self, _reference: &SecretRef) {}

    /// Stops tracking all other secrets.
    fn retain(&self, _references: &[SecretRef]) {}
}

// === impl Secret ===

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// What a file or a variable holds: a byte-order mark before the secret and one line end after it do not count.
    pub fn without_line_end(mut bytes: Vec<u8>) -> Secret {
        const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if bytes.ends_with(b"\n") {
            bytes.truncate(bytes.len() - if bytes.ends_with(b"\r\n") { 2 } else { 1 });
        }
        Secret::new(bytes)
    }

    /// The bytes: only for a comparison, a MAC or a credential on its way out.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The text itself is not repeated: it may be the secret.
const NOT_A_REFERENCE: &str = "not a secret reference: write `env:NAME` or `file:PATH` (or gcp-secret:, gcp-kms:, vault:, \
                               aws-secret:), never the secret itself";

// === impl RemoteSecret ===

impl RemoteSecret {
    /// It expires after minutes.
    pub fn is_token(&self) -> bool {
        matches!(
            self,
            RemoteSecret::GcpToken { .. }
                | RemoteSecret::GcpIdToken { .. }
                | RemoteSecret::OAuth2Client { .. }
        )
    }

    /// None where the scheme is none of these.
    fn parse(scheme: &str, rest: &str) -> Option<Result<RemoteSecret, String>> {
        let segments = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let is_plain = rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.@#:+=".contains(&byte));
        if ["gcp-secret", "gcp-kms", "vault", "aws-secret"].contains(&scheme)
            && (!is_plain
                || rest
                    .split('@')
                    .next()
                    .is_some_and(|name| name.contains("..")))
        {
            return Some(Err(format!(
                "`{scheme}:` names hold letters, digits and `/-_.@#:+=` only"
            )));
        }
        let parsed = match scheme {
            "gcp-secret" => match &segments(rest)[..] {
                [p, _, s, _] if p == "projects" && s == "secrets" => Some(format!("{rest}/versions/latest")),
                [p, _, s, _, v, _] if p == "projects" && s == "secrets" && v == "versions" => Some(rest.to_owned()),
                _ => None,
            }
            .map(|name| RemoteSecret::GcpSecret { name })
            .ok_or("write `gcp-secret:projects/PROJECT/secrets/NAME`, and `/versions/V` for a pinned one"),
            "gcp-kms" => match rest.split_once('@') {
                Some((key, path)) if key.contains("/cryptoKeys/") && !path.is_empty() => {
                    Ok(RemoteSecret::GcpKms { key: key.into(), path: path.into() })
                }
                _ => Err(
                    "write `gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K@PATH` with the file of the ciphertext",
                ),
            },
            "vault" => match rest.split_once('#').map(|(at, field)| (at.split_once('/'), field)) {
                Some((Some((mount, path)), field)) if !mount.is_empty() && !path.is_empty() && !field.is_empty() => {
                    Ok(RemoteSecret::Vault { mount: mount.into(), path: path.into(), field: field.into() })
                }
                _ => Err("write `vault:MOUNT/PATH#FIELD`"),
            },
            "aws-secret" => match rest.split_once('#') {
                None if !rest.is_empty() => Ok(RemoteSecret::AwsSecret { id: rest.into(), field: None }),
                Some((id, field)) if !id.is_empty() && !field.is_empty() => {
                    Ok(RemoteSecret::AwsSecret { id: id.into(), field: Some(field.into()) })
                }
                _ => Err("write `aws-secret:NAME` or `aws-secret:NAME#FIELD`"),
            },
            _ => return None,
        };
        Some(parsed.map_err(str::to_owned))
    }
}

impl fmt::Display for RemoteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteSecret::GcpSecret { name } => write!(f, "gcp-secret:{name}"),
            RemoteSecret::GcpKms { key, path } => write!(f, "gcp-kms:{key}@{}", path.display()),
            RemoteSecret::Vault { mount, path, field } => write!(f, "vault:{mount}/{path}#{field}"),
            RemoteSecret::AwsSecret { id, field: None } => write!(f, "aws-secret:{id}"),
            RemoteSecret::AwsSecret {
                id,
                field: Some(field),
            } => write!(f, "aws-secret:{id}#{field}"),
            RemoteSecret::GcpToken { scope, .. } => write!(f, "google access token for {scope}"),
            RemoteSecret::GcpIdToken { audience, .. } => {
                write!(f, "google ID token for {audience}")
            }
            RemoteSecret::OAuth2Client {
                token_url,
                client_id,
                ..
            } => {
                write!(f, "access token of {client_id} from {token_url}")
            }
        }
    }
}

// === impl SecretRef ===

impl FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretRef, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
            Some((scheme, rest)) => match RemoteSecret::parse(scheme, rest) {
                Some(remote) => Ok(SecretRef::Remote(remote?)),
                None => Err(NOT_A_REFERENCE.into()),
            },
            None => Err(NOT_A_REFERENCE.into()),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
            SecretRef::Remote(remote) => remote.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_does_not_count() {
        for (held, secret) in [
            ("s", "s"),
            ("\u{feff}s\r\n", "s"),
            ("\u{feff}", ""),
            ("s\n", "s"),
            ("s\r\n", "s"),
            ("s\n\n", "s\n"),
            ("s\r", "s\r"),
            (" s ", " s "),
        ] {
            assert_eq!(
                Secret::without_line_end(held.into()).expose(),
                secret.as_bytes(),
                "{held:?}"
            );
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn remote_references_are_read_and_mistakes_say_what_to_write() {
        for (text, shown) in [
            (
                "gcp-secret:projects/p/secrets/s",
                "gcp-secret:projects/p/secrets/s/versions/latest",
            ),
            (
                "gcp-secret:projects/p/secrets/s/versions/3",
                "gcp-secret:projects/p/secrets/s/versions/3",
            ),
            (
                "vault:secret/hooks/github#token",
                "vault:secret/hooks/github#token",
            ),
            ("aws-secret:prod/github", "aws-secret:prod/github"),
            (
                "aws-secret:arn:aws:secretsmanager:eu-west-1:1:secret:x-1#key",
                "aws-secret:arn:aws:secretsmanager:eu-west-1:1:secret:x-1#key",
            ),
        ] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), shown);
        }
        for (text, words) in [
            ("gcp-secret:s", "projects/PROJECT/secrets/NAME"),
            ("gcp-kms:projects/p", "cryptoKeys/K@PATH"),
            ("vault:secret#x", "vault:MOUNT/PATH#FIELD"),
            ("aws-secret:", "aws-secret:NAME"),
            ("vault:secret/../sys#x", "letters, digits"),
        ] {
            assert!(
                text.parse::<SecretRef>().unwrap_err().contains(words),
                "{text}"
            );
        }
    }

    #[test]
    fn a_literal_is_refused_and_not_repeated() {
        let error = "hunter2".parse::<SecretRef>().unwrap_err();
        assert!(error.contains("env:NAME"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
