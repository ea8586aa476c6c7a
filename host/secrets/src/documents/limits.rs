//! Sizes, numbers and ages of key documents.

use std::time::Duration;

pub(super) const BYTES_MAX: usize = 256 << 10;
/// Documents of one origin. Senders can name documents, and must not evict those of other origins.
pub(super) const PER_ORIGIN_MAX: usize = 32;
/// Documents of all origins.
pub(super) const TOTAL_MAX: usize = 256;
/// An older document is fetched again.
pub(super) const AGE_MAX: Duration = Duration::from_secs(3600);
/// An older document is not used, even if it cannot be fetched again: a key may have been revoked
/// since.
pub(super) const KEEP_MAX: Duration = Duration::from_secs(24 * 3600);
