//! Which hook answers a path. The table is rebuilt at every change and swapped: a request sees the
//! old or the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hook::Hook;
use super::managed::ManagedHook;
use super::nearest::nearest;
use super::routes::{RouteError, Routes, unnamed as route};
use landfall_model::{HookName, RedactSpec};

/// Paths and their hooks.
#[derive(Default)]
pub struct Table {
    routes: Routes<Arc<Hook>>,
    entries: BTreeMap<HookName, RouteEntry>,
    /// Whether the directory has been read. Before that, an unknown path may belong to a hook.
    pub complete: bool,
}

/// A hook in the table.
#[derive(Clone)]
pub(crate) struct RouteEntry {
    /// The hook as it was loaded.
    pub(crate) hook: Arc<Hook>,
    /// The hook as it answers: without a handler while its component is missing.
    pub(crate) answers: Arc<Hook>,
}

/// What the next table is made from.
pub(crate) struct Requested<'a> {
    pub(crate) hooks: &'a BTreeMap<HookName, ManagedHook>,
    /// The components that hooks need and that are missing.
    pub(crate) missing: &'a BTreeSet<String>,
    /// Whether the directory has been read.
    pub(crate) complete: bool,
}

/// The hook for a path, and the values of the path's parameters.
pub struct RouteMatch {
    /// The hook that answers.
    pub hook: Arc<Hook>,
    /// Names and values. Values are percent-encoded, as sent.
    pub params: Vec<(String, String)>,
}

/// Why a hook cannot have its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("path `{path}` is taken by {by}: give one of them another path")]
    Taken { path: String, by: String },
    #[error("{0}")]
    Unusable(String),
}

/// The hooks that did not get the path that they want.
pub(crate) type Conflicts = BTreeMap<HookName, PathError>;

// === impl Table ===

impl Table {
    /// The names of the hooks in the table.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.entries.keys().map(HookName::shared).collect()
    }

    /// What `[redact]` of each hook removes.
    pub(crate) fn redact_rules(&self) -> impl Iterator<Item = (Arc<str>, &RedactSpec)> {
        let entries = self.entries.iter();
        entries.map(|(name, entry)| (name.shared(), &entry.hook.spec.redact))
    }

    /// What `[redact]` of this hook removes, if the hook is in the table.
    pub(crate) fn rules_of(&self, name: &str) -> Option<&RedactSpec> {
        let entry = self.entries.get(&name.parse::<HookName>().ok()?)?;
        Some(&entry.hook.spec.redact)
    }

    /// The hook for a path. The path is matched as it was sent, not decoded.
    pub fn find(&self, path: &str) -> Option<RouteMatch> {
        let (hook, params) = self.routes.find(path)?;
        Some(RouteMatch {
            hook: hook.clone(),
            params,
        })
    }

    /// The hook's path that is most like this one, for a hint to the operator.
    pub fn nearest_path(&self, path: &str) -> Option<String> {
        let entries = self.entries.values();
        let paths = entries.map(|entry| entry.answers.spec.path.as_str());
        nearest(path, paths).map(str::to_owned)
    }

    pub(crate) fn entry(&self, name: &HookName) -> Option<&RouteEntry> {
        self.entries.get(name)
    }

    /// The table after this one.
    ///
    /// A hook keeps the path that it serves. A hook that cannot run yields its path to one that
    /// can. Hooks that move to other paths may swap them. A hook whose new path is taken has a
    /// conflict and stays at the path that it serves. Before the directory has been read, no hook
    /// has a claim, so that the order of loading does not matter.
    pub(crate) fn next(&self, requested: &Requested<'_>) -> (Table, Conflicts) {
        let mut staying = BTreeSet::new();
        loop {
            let (mut table, mut conflicts) = self.assign(requested, &staying);
            let stay: Vec<HookName> = conflicts
                .keys()
                .filter(|name| !staying.contains(*name))
                .filter(|name| self.may_stay(requested, &requested.hooks[*name]))
                .cloned()
                .collect();
            if !stay.is_empty() {
                staying.extend(stay);
                continue;
            }

            for name in &staying {
                if let Err(error) = table.move_on(name, requested) {
                    conflicts.insert(name.clone(), error);
                }
            }
            // A hook that cannot run answers 503 at its old path, if that is free: the sender
            // retries.
            for name in conflicts.keys().filter(|name| !staying.contains(*name)) {
                if let Some(served) = self.served(&requested.hooks[name]) {
                    table.insert_unavailable(name, served).ok();
                }
            }
            return (table, conflicts);
        }
    }

    /// Gives each hook its path, in the order of their claims. The hooks in `staying` ask for the
    /// path that they serve.
    fn assign(
        &self,
        requested: &Requested<'_>,
        staying: &BTreeSet<HookName>,
    ) -> (Table, Conflicts) {
        let mut order: Vec<_> = requested.hooks.iter().collect();
        order.sort_by_key(|(name, managed)| {
            let is_moving = !staying.contains(*name);
            (is_moving, self.rank(requested, managed), *name)
        });

        let mut table = Table {
            complete: requested.complete,
            ..Table::default()
        };
        let mut conflicts = BTreeMap::new();
        for (name, managed) in order {
            let hook = self
                .served(managed)
                .filter(|_| staying.contains(name))
                .unwrap_or(&managed.wanted);
            if let Err(error) = table.insert(name, hook, requested) {
                conflicts.insert(name.clone(), error);
            }
        }
        (table, conflicts)
    }

    fn served<'a>(&self, managed: &'a ManagedHook) -> Option<&'a Arc<Hook>> {
        managed.served.as_ref().filter(|_| self.complete)
    }

    /// Whether a hook serves another path than it wants, can run, and is not closed by its new
    /// file.
    fn may_stay(&self, requested: &Requested<'_>, managed: &ManagedHook) -> bool {
        let Some(served) = self.served(managed) else {
            return false;
        };
        let is_moving = route(&served.spec.path) != route(&managed.wanted.spec.path);
        is_moving && !managed.wanted.is_closed() && requested.can_run(served)
    }

    /// The claim of a hook to its path: (cannot run, does not serve there yet). The lowest goes
    /// first.
    fn rank(&self, requested: &Requested<'_>, managed: &ManagedHook) -> (bool, bool) {
        let serves_there = self
            .served(managed)
            .is_some_and(|served| route(&served.spec.path) == route(&managed.wanted.spec.path));
        (!requested.can_run(&managed.wanted), !serves_there)
    }

    /// Moves a hook that stayed at its old path, if the path that it wants has become free.
    fn move_on(&mut self, name: &HookName, requested: &Requested<'_>) -> Result<(), PathError> {
        let Some(old) = self.entries.get(name).cloned() else {
            return Ok(());
        };
        self.insert(name, &requested.hooks[name].wanted, requested)?;
        self.routes.remove(&old.hook.spec.path);
        Ok(())
    }

    fn insert(
        &mut self,
        name: &HookName,
        hook: &Arc<Hook>,
        requested: &Requested<'_>,
    ) -> Result<(), PathError> {
        if requested.missing.contains(&hook.spec.component) {
            return self.insert_unavailable(name, hook);
        }
        self.insert_entry(name, hook, hook.clone())
    }

    fn insert_unavailable(&mut self, name: &HookName, hook: &Arc<Hook>) -> Result<(), PathError> {
        let answers = if hook.is_ready() {
            Arc::new(hook.without_component())
        } else {
            hook.clone()
        };
        self.insert_entry(name, hook, answers)
    }

    fn insert_entry(
        &mut self,
        name: &HookName,
        hook: &Arc<Hook>,
        answers: Arc<Hook>,
    ) -> Result<(), PathError> {
        let path = &hook.spec.path;
        match self.routes.insert(path, answers.clone()) {
            Ok(()) => {
                let hook = hook.clone();
                self.entries
                    .insert(name.clone(), RouteEntry { hook, answers });
                Ok(())
            }
            Err(RouteError::Taken(by)) => Err(PathError::Taken {
                path: path.clone(),
                by: self.describe_owner(&by),
            }),
            Err(RouteError::Unusable(why)) => Err(PathError::Unusable(why)),
        }
    }

    fn describe_owner(&self, path: &str) -> String {
        let owner = self
            .entries
            .iter()
            .find(|(_, entry)| entry.hook.spec.path == path);
        match owner {
            Some((name, _)) => format!("hook `{name}`"),
            None => format!("path `{path}`"),
        }
    }
}

// === impl Requested ===

impl Requested<'_> {
    fn can_run(&self, hook: &Hook) -> bool {
        hook.is_usable() && !self.missing.contains(&hook.spec.component)
    }
}
