//! What `init` may use, and its name.

use std::time::Duration;

/// The function of the interface `landfall:init/init`.
pub(crate) const FUNCTION: &str = "init";

/// What `init` may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InitLimits {
    /// Processor time.
    pub(crate) processor: Duration,
    /// Bytes of all linear memories, at the end of `init`.
    pub(crate) memory_bytes: usize,
}

// === impl InitLimits ===

impl InitLimits {
    pub(crate) const DEFAULT: InitLimits = InitLimits {
        processor: Duration::from_secs(10),
        memory_bytes: 256 << 20,
    };
}
