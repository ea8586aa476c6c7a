//! `REGISTRY/REPOSITORY:TAG` and `REGISTRY/REPOSITORY@sha256:HEX`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use landfall_model::ComponentDigest;

/// The name of an artifact in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    version: Version,
}

/// Which artifact of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// May name another artifact tomorrow.
    Tag(String),
    /// The SHA-256 of the manifest.
    Digest(ComponentDigest),
}

/// A text that names no artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`oci://{text}` {why}: write oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:HEX, such as \
     oci://ghcr.io/acme/slack:1.2.0"
)]
pub struct ReferenceError {
    text: String,
    why: &'static str,
}

const TAG_BYTES_MAX: usize = 128;
const REPOSITORY_BYTES_MAX: usize = 255;
/// Where the API of Docker Hub is.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

// === impl Reference ===

impl Reference {
    /// Host and port, as typed.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The last part of the repository's path.
    pub(crate) fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// The same repository at a digest.
    pub fn at(&self, digest: ComponentDigest) -> Reference {
        Reference {
            version: Version::Digest(digest),
            ..self.clone()
        }
    }

    /// The beginning of the URLs of the API. Only a registry on this machine is called without TLS.
    pub(crate) fn base_url(&self) -> String {
        let host = match DOCKER_HUB {
            (name, host) if name == self.registry => host,
            _ => &self.registry,
        };
        let scheme = if is_loopback(host) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}", self.repository)
    }
}

/// Whether `HOST` or `HOST:PORT` is this machine.
pub(crate) fn is_loopback(host_and_port: &str) -> bool {
    let host = host_and_port
        .rsplit_once(':')
        .map_or(host_and_port, |(host, _)| host);
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let error = |why| ReferenceError {
            text: text.to_owned(),
            why,
        };
        let (registry, rest) = text
            .split_once('/')
            .ok_or_else(|| error("names no registry"))?;
        if !is_host(registry) {
            return Err(error("begins with no host name"));
        }

        let (repository, version) = if let Some((repository, digest)) = rest.split_once('@') {
            let digest = digest
                .parse()
                .map_err(|_| error("has a digest of another form"))?;
            // A digest says more than a tag before it.
            let repository = repository
                .split_once(':')
                .map_or(repository, |(name, _)| name);
            (repository, Version::Digest(digest))
        } else if let Some((repository, tag)) = rest.rsplit_once(':') {
            if !is_tag(tag) {
                return Err(error("has a tag that registries do not accept"));
            }
            (repository, Version::Tag(tag.to_owned()))
        } else {
            return Err(error("names no tag and no digest"));
        };

        if !is_repository(repository) {
            return Err(error(
                "has a repository that registries do not accept (a-z, 0-9, `.`, `_`, `-`, `/`)",
            ));
        }
        Ok(Reference {
            registry: registry.to_ascii_lowercase(),
            repository: repository.to_owned(),
            version,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Tag(tag) => f.write_str(tag),
            Version::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A name with a dot or a port, or `localhost`.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let is_clear = text.contains(['.', ':']) || text == "localhost";
    is_name && is_clear && port.parse::<u16>().is_ok()
}

fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = [part.bytes().next(), part.bytes().last()];
        ends.iter().all(|end| end.is_some_and(is_plain))
            && part
                .bytes()
                .all(|byte| is_plain(byte) || b"._-".contains(&byte))
            && !part.contains("..")
    };
    text.len() <= REPOSITORY_BYTES_MAX && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=TAG_BYTES_MAX).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn references_are_read_as_printed() {
        for (text, base) in [
            (
                "ghcr.io/acme/a_b/slack:1.2.0",
                "https://ghcr.io/v2/acme/a_b/slack",
            ),
            (
                "127.0.0.1:5000/slack:latest",
                "http://127.0.0.1:5000/v2/slack",
            ),
            ("localhost/slack:1", "http://localhost/v2/slack"),
            (
                "docker.io/acme/slack:1",
                "https://registry-1.docker.io/v2/acme/slack",
            ),
            (
                &format!("r.example:443/slack@{DIGEST}"),
                "https://r.example:443/v2/slack",
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), format!("oci://{text}"));
            assert_eq!(reference.base_url(), base);
        }
        let both: Reference = format!("r.example/slack:1@{DIGEST}").parse().unwrap();
        assert_eq!(both.to_string(), format!("oci://r.example/slack@{DIGEST}"));
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, why) in [
            ("slack:1", "names no registry"),
            ("acme/slack:1", "begins with no host name"),
            ("ghcr.io/acme/slack", "names no tag and no digest"),
            ("ghcr.io/acme/slack:", "has a tag"),
            ("ghcr.io/acme/slack:a/b", "has a tag"),
            ("ghcr.io/Acme/slack:1", "has a repository"),
            ("ghcr.io/../slack:1", "has a repository"),
            ("ghcr.io//slack:1", "has a repository"),
            ("ghcr.io/slack@sha256:1", "has a digest"),
            ("user@ghcr.io/slack:1", "begins with no host name"),
            ("ghcr.io:x/slack:1", "begins with no host name"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("oci://REGISTRY/"),
                "{text}: {error}"
            );
        }
    }
}
