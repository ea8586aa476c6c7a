//! Which hook answers a path. Rebuilt whole at every change and swapped; a request sees the old or the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use matchit::{InsertError, Router};

use super::hook::Hook;
use super::known::{Known, is_usable};
use crate::model::HookName;

/// Paths and their hooks.
#[derive(Default)]
pub struct Table {
    router: Router<Arc<Hook>>,
    /// Who answers where.
    held: BTreeMap<HookName, Arc<Hook>>,
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
    /// The table after this one. Who serves a path keeps it from whoever comes later; who cannot run yields to who can.
    /// A hook whose path is taken is a problem, and goes on where it was if it can.
    pub fn next(&self, known: &BTreeMap<HookName, Known>, complete: bool) -> (Table, BTreeMap<HookName, String>) {
        let mut table = Table { complete, ..Table::default() };
        let mut problems = BTreeMap::new();
        let mut order: Vec<_> = known.iter().collect();
        order.sort_by_key(|(name, known)| (self.rank(name, known), *name));
        for (name, known) in order {
            if let Err(why) = table.insert(name, &known.serving) {
                problems.insert(name.clone(), why);
                if let Some(fallback) = &known.fallback {
                    table.insert(name, fallback).ok();
                }
            }
        }
        (table, problems)
    }

    /// Where this hook answers now.
    pub fn held(&self, name: &HookName) -> Option<&Arc<Hook>> {
        self.held.get(name)
    }

    /// Matches the path as it was sent, not decoded.
    pub fn find(&self, path: &str) -> Option<Found> {
        let found = self.router.at(path).ok()?;
        let params = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Found { hook: found.value.clone(), params })
    }

    /// The lower, the sooner it gets its path.
    fn rank(&self, name: &HookName, known: &Known) -> u8 {
        let holds = self.held(name).is_some_and(|held| held.spec.path == known.serving.spec.path);
        match (is_usable(&known.serving), holds, known.fallback.is_some()) {
            (true, true, _) => 0,
            (_, _, true) => 1,
            (true, false, false) => 2,
            (false, true, _) => 3,
            (false, false, _) => 4,
        }
    }

    fn insert(&mut self, name: &HookName, hook: &Arc<Hook>) -> Result<(), String> {
        let path = &hook.spec.path;
        match self.router.insert(path, hook.clone()) {
            Ok(()) => {
                self.held.insert(name.clone(), hook.clone());
                Ok(())
            }
            Err(InsertError::Conflict { with }) => {
                let other = self.held.iter().find(|(_, held)| held.spec.path == with);
                let other = other.map_or_else(|| format!("path `{with}`"), |(name, _)| format!("hook `{name}`"));
                Err(format!("path `{path}` is taken by {other}: give one of them another path"))
            }
            Err(error) => Err(format!(
                "path `{path}` cannot be served: {error}; a parameter is a whole segment such as `/shop/{{id}}`"
            )),
        }
    }
}
