//! What a request authenticates for.

use std::net::IpAddr;

use landfall_hooks::{Hook, KeyCache};
use landfall_verify::Verifier;

/// What a request authenticates for: a hook, or the path of the queue.
#[derive(Clone, Copy)]
pub(crate) struct AuthTarget<'a> {
    /// The name in records and counters.
    pub(crate) name: &'a str,
    /// The rules.
    pub(crate) verifier: &'a Verifier,
    /// The keys of the last request.
    pub(crate) keys: &'a KeyCache,
    /// The client.
    pub(crate) client: Option<IpAddr>,
}

// === impl AuthTarget ===

impl<'a> AuthTarget<'a> {
    pub(crate) fn of(hook: &'a Hook, client: Option<IpAddr>) -> AuthTarget<'a> {
        AuthTarget {
            name: &hook.spec.name,
            verifier: &hook.verifier,
            keys: &hook.keys,
            client,
        }
    }
}
