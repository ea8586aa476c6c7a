//! A loaded component: what its bytes say, and its machine code.

use std::sync::Arc;

use super::cache::code::Cached;
use super::inspect::Inspected;

/// A component that is checked and compiled. Clones share the machine code.
#[derive(Clone)]
pub struct Component {
    pub(super) inspected: Inspected,
    pub(super) loaded: Arc<Cached>,
}

// === impl Component ===

impl Component {
    /// What the bytes say.
    pub fn inspected(&self) -> &Inspected {
        &self.inspected
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("file", &self.inspected.file)
            .field("digest", &self.inspected.digest)
            .finish()
    }
}
