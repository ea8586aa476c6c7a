//! A component that was read whole, and the limits of reading one.

use std::time::Duration;

use bytes::Bytes;

use super::error::DistributionError;
use super::signature::FoundSignature;
use landfall_egress::OutgoingError;
use landfall_engine::COMPONENT_BYTES_MAX;
use landfall_model::ComponentDigest;

/// The limit of one download.
pub(crate) const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// A component that was read whole.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The component.
    pub bytes: Bytes,
    /// Of the bytes.
    pub digest: ComponentDigest,
    /// Its minisign signature, if its source has one.
    pub signature: FoundSignature,
    /// Where it came from; a tag is replaced by the digest that it had.
    pub from: String,
}

/// The error of a download of a component.
pub(crate) fn failed(from: &str, error: OutgoingError) -> DistributionError {
    let from = from.to_owned();
    match error {
        OutgoingError::Limit(_) => DistributionError::TooLarge {
            from,
            bytes_max: COMPONENT_BYTES_MAX,
        },
        error => DistributionError::Unreachable { from, error },
    }
}
