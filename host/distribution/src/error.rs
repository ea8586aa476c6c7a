//! Why a component cannot be fetched, installed or published.

use std::path::PathBuf;

use landfall_egress::OutgoingError;
use landfall_model::ComponentDigest;

/// Why a component cannot be fetched, installed or published. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DistributionError {
    /// A file of this machine.
    #[error("{} cannot be {act}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        act: &'static str,
        /// Why. Part of the text, so it is no source.
        error: std::io::Error,
    },
    /// A URL names a place, not a version.
    #[error(
        "{url} has no digest, so another component could be there tomorrow: add `#sha256=HEX` to the URL, or \
         `--digest sha256:HEX`, with the digest that the author publishes; `curl -fsSL {url} | sha256sum` computes the one of today"
    )]
    NoDigest {
        /// Without its query.
        url: String,
    },
    /// The bytes are not those that the operator named.
    #[error(
        "{from} has the digest {found}, and {expected} was asked for: nothing was changed; ask the author which of them is right"
    )]
    OtherDigest {
        /// Where the bytes came from.
        from: String,
        /// What the operator or the registry said.
        expected: String,
        /// Of the bytes.
        found: String,
    },
    /// The registry has another number of bytes than its manifest says.
    #[error(
        "{from} has {found} bytes, and its manifest says {expected}: nothing was changed; ask the author to push it again"
    )]
    OtherSize {
        /// What was asked for.
        from: String,
        /// What the manifest says, in bytes.
        expected: u64,
        /// Of the component, in bytes.
        found: u64,
    },
    /// The component is too large.
    #[error("{from} is larger than {} MiB, the limit of a component: leave out debug information, or split it", .bytes_max >> 20)]
    TooLarge {
        /// Where it is.
        from: String,
        /// The limit.
        bytes_max: usize,
    },
    /// There is nothing by this name.
    #[error("{from} does not exist, or may not be read: check the name{hint}")]
    NotFound {
        /// What was asked for.
        from: String,
        /// What else to check.
        hint: &'static str,
    },
    /// The registry wants to know who asks, or refuses this user.
    #[error(
        "{registry} refuses access to {repository}: log in with `docker login {registry}`, or set LANDFALL_REGISTRY_USER and \
         LANDFALL_REGISTRY_PASSWORD, and check the rights of that user"
    )]
    Denied {
        /// Host and port.
        registry: String,
        /// The repository.
        repository: String,
    },
    /// The user or the password is missing or cannot be found.
    #[error("the credentials for {registry} cannot be used: {why}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// Why, and what to do.
        why: String,
    },
    /// No answer.
    #[error("{from} cannot be reached: {error}")]
    Unreachable {
        /// What was asked for.
        from: String,
        /// Why. Part of the text, so it is no source.
        error: OutgoingError,
    },
    /// An answer that is not the expected one.
    #[error(
        "{from} answered {status}{detail}: try again later, or ask the operator of that server"
    )]
    Status {
        /// What was asked for.
        from: String,
        /// The status.
        status: u16,
        /// What the server said, after a colon.
        detail: String,
    },
    /// What the registry has there is not one component.
    #[error("{from} is not a component: {why}")]
    NotAComponent {
        /// What was asked for.
        from: String,
        /// What it is, and what to do.
        why: String,
    },
    /// The hook file cannot be changed without losing what the operator wrote.
    #[error("{file} cannot be changed: {why}")]
    HookFile {
        /// The name of the file.
        file: String,
        /// Why, and what to do.
        why: String,
    },
}

// === impl DistributionError ===

impl DistributionError {
    pub(crate) fn other_digest(
        from: &str,
        expected: ComponentDigest,
        found: ComponentDigest,
    ) -> DistributionError {
        DistributionError::OtherDigest {
            from: from.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
