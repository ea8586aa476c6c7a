//! Which hook answers a path. Rebuilt whole at every change and swapped; a request sees the old or the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use matchit::Router;

use super::hook::Hook;
use crate::model::HookName;

/// Paths and their hooks.
#[derive(Default)]
pub struct Table {
    router: Router<Arc<Hook>>,
    /// The directory has been read once: an unknown path is really unknown.
    pub complete: bool,
}

/// The hook for a path, and the values of its `{name}` segments.
pub struct Found {
    /// Who answers.
    pub hook: Arc<Hook>,
    /// Percent-encoded, as sent.
    pub params: Vec<(String, String)>,
}

// === impl Table ===

impl Table {
    /// Hooks in the order of their names; a path that is taken makes a problem of the later hook.
    pub fn build(hooks: &BTreeMap<HookName, Arc<Hook>>, complete: bool) -> (Table, BTreeMap<HookName, String>) {
        let mut table = Table { router: Router::new(), complete };
        let mut problems = BTreeMap::new();
        for (name, hook) in hooks {
            if let Err(error) = table.router.insert(&hook.spec.path, hook.clone()) {
                problems.insert(name.clone(), format!("path `{}` cannot be served: {error}", hook.spec.path));
            }
        }
        (table, problems)
    }

    /// Matches the path as it was sent, not decoded.
    pub fn find(&self, path: &str) -> Option<Found> {
        let found = self.router.at(path).ok()?;
        let params = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Found { hook: found.value.clone(), params })
    }
}
