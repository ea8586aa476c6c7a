//! The token of a request, for answers that go on.

use crate::guard::Guard;

/// An extension of each guarded request.
#[derive(Clone)]
pub(crate) struct PresentedToken {
    guard: Guard,
    digest: [u8; 32],
}

// === impl PresentedToken ===

impl PresentedToken {
    /// `digest`: the SHA-256 of the token.
    pub(crate) fn new(guard: Guard, digest: [u8; 32]) -> PresentedToken {
        PresentedToken { guard, digest }
    }

    /// Whether the token is still one of this node.
    pub(crate) fn is_valid(&self) -> bool {
        self.guard.role_of_digest(&self.digest).is_some()
    }
}
