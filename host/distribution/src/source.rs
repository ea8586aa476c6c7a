//! Where a component comes from, as the operator writes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::registry::{Reference, ReferenceError};
use landfall_egress::shown_url;
use landfall_model::{ComponentDigest, ComponentDigestError};

/// A file, a URL, or a name in a registry.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// `https://…`, with the digest of its fragment `#sha256=HEX`.
    Url {
        /// Without the fragment.
        url: Url,
        /// What the URL pins.
        digest: Option<ComponentDigest>,
    },
    /// `oci://REGISTRY/REPOSITORY:TAG`
    Registry(Reference),
}

/// A text that names no source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Another scheme.
    #[error(
        "`{0}://` is not supported: name a file, an https:// URL, or oci://REGISTRY/REPOSITORY:TAG"
    )]
    Scheme(String),
    /// Not a URL.
    #[error("`{text}` is not a URL: {error}")]
    Url {
        /// As typed.
        text: String,
        /// Why.
        error: url::ParseError,
    },
    /// The URL has a user or password. It is not repeated.
    #[error(
        "a URL here has no user and no password: put the file where it can be read without them"
    )]
    Credentials,
    /// The fragment is not a digest.
    #[error("`#{fragment}` is not a digest: write `#sha256=` and 64 hexadecimal digits")]
    Fragment {
        /// As typed.
        fragment: String,
        /// Why.
        #[source]
        error: ComponentDigestError,
    },
    /// Not a name in a registry.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

// === impl Source ===

impl Source {
    /// The name that the hook has unless the operator names another: the file's stem, or the last
    /// part of the repository.
    pub fn suggested_name(&self) -> String {
        let last = match self {
            Source::File(path) => path.file_name().unwrap_or_default().to_string_lossy(),
            Source::Url { url, .. } => url.path().rsplit('/').next().unwrap_or_default().into(),
            Source::Registry(reference) => reference.name().into(),
        };
        let stem = Path::new(&*last).file_stem().unwrap_or_default();
        match self {
            Source::Registry(_) => last.into_owned(),
            _ => stem.to_string_lossy().into_owned(),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Source, SourceError> {
        match text.split_once("://") {
            None => Ok(Source::File(text.into())),
            Some(("oci", rest)) => Ok(Source::Registry(rest.parse()?)),
            Some(("http" | "https", _)) => url_source(text),
            Some((scheme, _)) => Err(SourceError::Scheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Url { url, .. } => f.write_str(&shown_url(url.as_str())),
            Source::Registry(reference) => reference.fmt(f),
        }
    }
}

fn url_source(text: &str) -> Result<Source, SourceError> {
    let mut url = Url::parse(text).map_err(|error| SourceError::Url {
        text: shown_url(text),
        error,
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SourceError::Credentials);
    }

    let digest = url.fragment().map(digest_of_fragment).transpose()?;
    url.set_fragment(None);
    Ok(Source::Url { url, digest })
}

fn digest_of_fragment(fragment: &str) -> Result<ComponentDigest, SourceError> {
    fragment
        .replacen('=', ":", 1)
        .parse()
        .map_err(|error| SourceError::Fragment {
            fragment: fragment.to_owned(),
            error,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        text.parse::<Source>().unwrap().suggested_name()
    }

    #[test]
    fn sources_suggest_a_name() {
        for (text, expected) in [
            ("build/slack.wasm", "slack"),
            ("slack", "slack"),
            ("https://example.com/v1/slack.wasm?x=1", "slack"),
            ("oci://ghcr.io/acme/handlers/slack:1.2.0", "slack"),
            (
                "oci://127.0.0.1:5000/slack@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "slack",
            ),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
    }

    #[test]
    fn digests_come_from_the_fragment() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let source = format!("https://example.com/a.wasm#sha256={hex}");
        let Ok(Source::Url { url, digest }) = source.parse() else {
            panic!("{source} is a URL")
        };
        assert_eq!(url.as_str(), "https://example.com/a.wasm");
        assert_eq!(digest, Some(ComponentDigest::of(b"abc")));
    }

    #[test]
    fn wrong_sources_name_the_remedy() {
        for (text, words) in [
            ("ftp://example.com/a.wasm", "name a file, an https:// URL"),
            (
                "https://user:hunter2@example.com/a.wasm",
                "no user and no password",
            ),
            ("https://example.com/a.wasm#md5=1", "write `#sha256=`"),
            ("https://", "is not a URL"),
            ("oci://slack:1", "oci://REGISTRY/REPOSITORY:TAG"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
