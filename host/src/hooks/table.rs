//! Which hook answers a path. Rebuilt whole at every change and swapped; a request sees the old or the new one.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The table after this one. Who serves a path keeps it from whoever comes later, and who cannot run yields to who can;
    /// hooks that go on to other paths may swap them. A hook whose path is taken is a problem, and stays where it was if it
    /// was somewhere. Before the directory has been read nobody holds anything: what comes first must not matter.
    pub fn next(&self, known: &BTreeMap<HookName, Known>, complete: bool) -> (Table, BTreeMap<HookName, String>) {
        let mut problems = BTreeMap::new();
        let mut staying = BTreeSet::new();
        loop {
            let (table, more) = self.attempt(known, &staying, complete);
            let stay = more.keys().filter(|name| self.stands(&known[*name]).is_some() && !staying.contains(*name));
            let stay: Vec<HookName> = stay.cloned().collect();
            problems.extend(more);
            if stay.is_empty() {
                return (table, problems);
            }
            staying.extend(stay);
        }
    }

    fn attempt(
        &self,
        known: &BTreeMap<HookName, Known>,
        staying: &BTreeSet<HookName>,
        complete: bool,
    ) -> (Table, BTreeMap<HookName, String>) {
        let mut table = Table { complete, ..Table::default() };
        let mut problems = BTreeMap::new();
        let mut order: Vec<_> = known.iter().collect();
        order.sort_by_key(|(name, known)| (!staying.contains(*name), self.rank(known), *name));
        for (name, known) in order {
            let hook = self.stands(known).filter(|_| staying.contains(name)).unwrap_or(&known.wants);
            if let Err(why) = table.insert(name, hook) {
                problems.insert(name.clone(), why);
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

    fn stands<'a>(&self, known: &'a Known) -> Option<&'a Arc<Hook>> {
        known.stands.as_ref().filter(|_| self.complete)
    }

    /// The lower, the sooner it gets its path: (cannot run, comes anew).
    fn rank(&self, known: &Known) -> (bool, bool) {
        let holds = self.stands(known).is_some_and(|stands| stands.spec.path == known.wants.spec.path);
        (!is_usable(&known.wants), !holds)
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
