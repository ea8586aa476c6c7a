//! A reference to a secret: `env:NAME`, `file:PATH`, or a remote source. Secrets are never written
//! as literals.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a secret is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file, relative to the hook file that names it. One line end at its end is not part of the
    /// secret.
    File(PathBuf),
    /// A remote source.
    Remote(RemoteSecret),
}

/// A secret that is not stored on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RemoteSecret {
    /// `gcp-secret:projects/P/secrets/NAME[/versions/V]`
    GcpSecret {
        /// Resource name with version.
        name: String,
    },
    /// `gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K@PATH`: the file contains ciphertext.
    GcpKms {
        /// Resource name of the key.
        key: String,
        /// Relative to the hook file that names it.
        path: PathBuf,
    },
    /// `vault:MOUNT/PATH#FIELD`
    Vault {
        /// The mount of a key-value engine, version 2.
        mount: String,
        /// Below `mount`.
        path: String,
        /// A key of the secret's data.
        field: String,
    },
    /// `aws-secret:NAME_OR_ARN[#FIELD]`
    AwsSecret {
        /// Name or ARN.
        id: String,
        /// A key of the secret's JSON. `None`: the whole text.
        field: Option<String>,
    },
    /// A Google access token, for a service account's key file or the identity of the machine.
    GcpToken {
        /// One or more, separated by spaces.
        scope: String,
        /// The key file of the service account.
        key: Option<PathBuf>,
    },
    /// A Google ID token.
    GcpIdToken {
        /// The `aud` claim.
        audience: String,
        /// The key file of the service account.
        key: Option<PathBuf>,
    },
    /// An access token by client credentials (RFC 6749 section 4.4).
    OAuth2Client {
        /// URL of the token endpoint.
        token_url: String,
        /// Not secret.
        client_id: String,
        /// A variable or a file.
        client_secret: Box<SecretRef>,
        /// The requested scope, if the server requires one.
        scope: Option<String>,
    },
}

/// A text that is not a secret reference. The text is not repeated, because it may be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefError {
    /// The text has no known scheme.
    #[error(
        "not a secret reference: write `env:NAME` or `file:PATH` (or gcp-secret:, gcp-kms:, vault:, aws-secret:), \
         never the secret itself"
    )]
    NoScheme,
    /// The name has characters that no source uses, or `..`.
    #[error("`{0}:` names hold letters, digits and `/-_.@#:+=` only")]
    Characters(&'static str),
    /// The name of a secret in Google Secret Manager has another form.
    #[error("write `gcp-secret:projects/PROJECT/secrets/NAME`, and `/versions/V` for a pinned one")]
    GcpSecret,
    /// The name of a key in Google Cloud KMS has another form.
    #[error(
        "write `gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K@PATH` with the file of the ciphertext"
    )]
    GcpKms,
    /// The name of a secret in Vault has another form.
    #[error("write `vault:MOUNT/PATH#FIELD`")]
    Vault,
    /// The name of a secret in AWS Secrets Manager has another form.
    #[error("write `aws-secret:NAME` or `aws-secret:NAME#FIELD`")]
    AwsSecret,
}

const REMOTE_SCHEMES: [&str; 4] = ["gcp-secret", "gcp-kms", "vault", "aws-secret"];

// === impl RemoteSecret ===

impl RemoteSecret {
    /// Whether this is a token, which expires after minutes.
    pub fn is_token(&self) -> bool {
        matches!(
            self,
            RemoteSecret::GcpToken { .. }
                | RemoteSecret::GcpIdToken { .. }
                | RemoteSecret::OAuth2Client { .. }
        )
    }

    fn parse(scheme: &str, name: &str) -> Result<RemoteSecret, SecretRefError> {
        let scheme = REMOTE_SCHEMES.into_iter().find(|known| *known == scheme);
        let scheme = scheme.ok_or(SecretRefError::NoScheme)?;
        if !is_plain(name) {
            return Err(SecretRefError::Characters(scheme));
        }

        match scheme {
            "gcp-secret" => gcp_secret(name),
            "gcp-kms" => gcp_kms(name),
            "vault" => vault(name),
            _ => aws_secret(name),
        }
    }
}

/// Whether a name has only the characters of names, and no `..` before the path of a file.
fn is_plain(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.@#:+=".contains(&byte);
    let before_path = name.split('@').next().unwrap_or_default();
    name.bytes().all(is_part) && !before_path.contains("..")
}

fn gcp_secret(name: &str) -> Result<RemoteSecret, SecretRefError> {
    let segments: Vec<&str> = name.split('/').collect();
    let name = match segments[..] {
        ["projects", _, "secrets", _] => format!("{name}/versions/latest"),
        ["projects", _, "secrets", _, "versions", _] => name.to_owned(),
        _ => return Err(SecretRefError::GcpSecret),
    };
    Ok(RemoteSecret::GcpSecret { name })
}

fn gcp_kms(name: &str) -> Result<RemoteSecret, SecretRefError> {
    match name.split_once('@') {
        Some((key, path)) if key.contains("/cryptoKeys/") && !path.is_empty() => {
            Ok(RemoteSecret::GcpKms {
                key: key.into(),
                path: path.into(),
            })
        }
        _ => Err(SecretRefError::GcpKms),
    }
}

fn vault(name: &str) -> Result<RemoteSecret, SecretRefError> {
    let (place, field) = name.split_once('#').ok_or(SecretRefError::Vault)?;
    let (mount, path) = place.split_once('/').ok_or(SecretRefError::Vault)?;
    if [mount, path, field].contains(&"") {
        return Err(SecretRefError::Vault);
    }

    Ok(RemoteSecret::Vault {
        mount: mount.into(),
        path: path.into(),
        field: field.into(),
    })
}

fn aws_secret(name: &str) -> Result<RemoteSecret, SecretRefError> {
    let (id, field) = match name.split_once('#') {
        Some((id, field)) => (id, Some(field)),
        None => (name, None),
    };
    if id.is_empty() || field == Some("") {
        return Err(SecretRefError::AwsSecret);
    }

    Ok(RemoteSecret::AwsSecret {
        id: id.into(),
        field: field.map(str::to_owned),
    })
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
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<SecretRef, SecretRefError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
            Some((scheme, name)) => RemoteSecret::parse(scheme, name).map(SecretRef::Remote),
            None => Err(SecretRefError::NoScheme),
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
    fn remote_references_have_one_form() {
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
            let error = text.parse::<SecretRef>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn literals_are_refused_and_not_repeated() {
        let error = "hunter2".parse::<SecretRef>().unwrap_err().to_string();
        assert!(error.contains("env:NAME"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
