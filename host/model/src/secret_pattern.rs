//! An entry of `secrets.allow`: which secrets hook files may name.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// One reference, or a beginning of references that ends in `*` or `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPattern {
    /// Without the star.
    text: String,
    is_prefix: bool,
}

/// A text that is not an entry of `secrets.allow`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretPatternError {
    /// A star in another place than at the end, or an unknown source.
    #[error("`{0}` in secrets.allow: {FORM}, with a star only at the end")]
    Star(String),
    /// A source without a name.
    #[error("`{0}` in secrets.allow: {FORM}")]
    NoName(String),
    /// A relative path, or one with `.` or `..`.
    #[error("`{0}` in secrets.allow: write the whole path, such as \"file:/run/secrets/\"")]
    Path(String),
}

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
    /// Whether this entry allows the reference `text`.
    pub(crate) fn covers(&self, text: &str) -> bool {
        if self.is_prefix {
            text.starts_with(&self.text)
        } else {
            text == self.text
        }
    }

    /// Whether this entry is exactly the reference `text`, not a beginning of it.
    pub(crate) fn is_exactly(&self, text: &str) -> bool {
        !self.is_prefix && self.text == text
    }

    /// The directory of the files that this pattern covers.
    pub(crate) fn directory(&self) -> Option<&Path> {
        let (directory, _) = self.text.strip_prefix("file:")?.rsplit_once('/')?;
        let directory = if directory.is_empty() { "/" } else { directory };
        Some(Path::new(directory))
    }
}

impl FromStr for SecretPattern {
    type Err = SecretPatternError;

    fn from_str(typed: &str) -> Result<SecretPattern, SecretPatternError> {
        let without_star = typed.strip_suffix('*');
        let text = without_star.unwrap_or(typed);
        let source = text.split_once(':');
        let source = source.filter(|(source, _)| SOURCES.contains(source));
        let Some((source, name)) = source.filter(|(_, name)| !name.contains('*')) else {
            return Err(SecretPatternError::Star(typed.to_owned()));
        };

        if name.is_empty() && without_star.is_none() {
            return Err(SecretPatternError::NoName(typed.to_owned()));
        }
        if source == "file" && !name.is_empty() && !is_plain_path(name) {
            return Err(SecretPatternError::Path(typed.to_owned()));
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

/// Whether a path is absolute and has no `.` and no `..`.
fn is_plain_path(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute() && plain(path).join("") == path.join("")
}

/// The path without `.` and `..`.
pub(crate) fn plain(path: &Path) -> PathBuf {
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
            let why = typed.parse::<SecretPattern>().unwrap_err().to_string();
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
