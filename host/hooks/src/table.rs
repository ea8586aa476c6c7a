//! Which hook answers a path. Rebuilt whole at every change and swapped; a request sees the old or the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hook::Hook;
use super::known::{Known, is_closed, is_ready, is_usable};
use super::routes::{RouteError, Routes, unnamed as route};
use landfall_model::HookName;

/// Longer paths are not compared with those of hooks.
const NEAREST_PATH_BYTES_MAX: usize = 256;

/// Paths and their hooks.
#[derive(Default)]
pub struct Table {
    router: Routes<Arc<Hook>>,
    /// Who stands where.
    held: BTreeMap<HookName, Standing>,
    /// The directory has been read once: an unknown path is really unknown.
    pub complete: bool,
}

/// A hook in the table.
#[derive(Clone)]
pub struct Standing {
    /// As it was loaded.
    pub hook: Arc<Hook>,
    /// As it answers: with nothing to run while its component is not there.
    pub answers: Arc<Hook>,
}

/// What the table is made from.
pub struct Asked<'a> {
    /// Every hook.
    pub known: &'a BTreeMap<HookName, Known>,
    /// Components that hooks need and that are not there.
    pub missing: &'a BTreeSet<String>,
    /// The directory has been read once.
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
    /// serves there. Before the directory has been read nobody holds anything: what comes first must not matter.
    pub fn next(&self, asked: &Asked<'_>) -> (Table, BTreeMap<HookName, String>) {
        let mut staying = BTreeSet::new();
        loop {
            let (mut table, mut problems) = self.attempt(asked, &staying);
            let may_stay = |name: &&HookName| {
                !staying.contains(*name) && self.may_stay(asked, &asked.known[*name])
            };
            let stay: Vec<HookName> = problems.keys().filter(may_stay).cloned().collect();
            if stay.is_empty() {
                for name in &staying {
                    if let Err(why) = table.go_on(name, asked) {
                        problems.insert(name.clone(), why);
                    }
                }
                // Who cannot run answers 503 where it was, if nobody else is there: the sender comes again.
                for name in problems.keys().filter(|name| !staying.contains(*name)) {
                    if let Some(stands) = self.stands(&asked.known[name]) {
                        table.insert_dead(name, stands).ok();
                    }
                }
                return (table, problems);
            }
            staying.extend(stay);
        }
    }

    /// The hooks in it.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.held.keys().map(HookName::shared).collect()
    }

    /// Where this hook stands now.
    pub fn standing(&self, name: &HookName) -> Option<&Standing> {
        self.held.get(name)
    }

    fn attempt(
        &self,
        asked: &Asked<'_>,
        staying: &BTreeSet<HookName>,
    ) -> (Table, BTreeMap<HookName, String>) {
        let mut table = Table {
            complete: asked.complete,
            ..Table::default()
        };
        let mut problems = BTreeMap::new();
        let mut order: Vec<_> = asked.known.iter().collect();
        order.sort_by_key(|(name, known)| {
            (!staying.contains(*name), self.rank(asked, known), *name)
        });
        for (name, known) in order {
            let hook = self
                .stands(known)
                .filter(|_| staying.contains(name))
                .unwrap_or(&known.wants);
            if let Err(why) = table.insert(name, hook, asked) {
                problems.insert(name.clone(), why);
            }
        }
        (table, problems)
    }

    fn stands<'a>(&self, known: &'a Known) -> Option<&'a Arc<Hook>> {
        known.stands.as_ref().filter(|_| self.complete)
    }

    /// It serves, at another path than the one that it wants, and its files do not say that nobody may call.
    fn may_stay(&self, asked: &Asked<'_>, known: &Known) -> bool {
        if is_closed(&known.wants) {
            return false;
        }
        let moves = |stands: &&Arc<Hook>| route(&stands.spec.path) != route(&known.wants.spec.path);
        self.stands(known)
            .filter(moves)
            .is_some_and(|stands| asked.can_run(stands))
    }

    /// The lower, the sooner it gets its path: (cannot run, comes anew).
    fn rank(&self, asked: &Asked<'_>, known: &Known) -> (bool, bool) {
        let holds = self
            .stands(known)
            .is_some_and(|stands| route(&stands.spec.path) == route(&known.wants.spec.path));
        (!asked.can_run(&known.wants), !holds)
    }

    /// A hook that stays goes on if the path that it wants has become free meanwhile.
    fn go_on(&mut self, name: &HookName, asked: &Asked<'_>) -> Result<(), String> {
        let Some(old) = self.held.get(name).cloned() else {
            return Ok(());
        };
        self.insert(name, &asked.known[name].wants, asked)?;
        self.router.remove(&old.hook.spec.path);
        Ok(())
    }

    /// Matches the path as it was sent, not decoded.
    pub fn find(&self, path: &str) -> Option<Found> {
        let (hook, params) = self.router.find(path)?;
        Some(Found {
            hook: hook.clone(),
            params,
        })
    }

    /// The hook's path that is most like this one, for a hint to the operator. None where no path is like it.
    pub fn nearest_path(&self, path: &str) -> Option<String> {
        if path.len() > NEAREST_PATH_BYTES_MAX {
            return None;
        }
        let paths = self
            .held
            .values()
            .map(|held| held.answers.spec.path.as_str());
        let rated = paths.filter_map(|known| Some((unlikeness(path, known)?, known)));
        rated.min().map(|(_, known)| known.to_owned())
    }

    fn insert(
        &mut self,
        name: &HookName,
        hook: &Arc<Hook>,
        asked: &Asked<'_>,
    ) -> Result<(), String> {
        let answers = match asked.missing.contains(&hook.spec.component) && is_ready(hook) {
            true => Arc::new(hook.without_component()),
            false => hook.clone(),
        };
        self.place(name, hook, answers)
    }

    /// With nothing to run, whatever there is.
    fn insert_dead(&mut self, name: &HookName, hook: &Arc<Hook>) -> Result<(), String> {
        let answers = if is_ready(hook) {
            Arc::new(hook.without_component())
        } else {
            hook.clone()
        };
        self.place(name, hook, answers)
    }

    fn place(
        &mut self,
        name: &HookName,
        hook: &Arc<Hook>,
        answers: Arc<Hook>,
    ) -> Result<(), String> {
        let path = &hook.spec.path;
        match self.router.insert(path, answers.clone()) {
            Ok(()) => {
                self.held.insert(
                    name.clone(),
                    Standing {
                        hook: hook.clone(),
                        answers,
                    },
                );
                Ok(())
            }
            Err(RouteError::Taken(by)) => {
                let other = self.held.iter().find(|(_, held)| held.hook.spec.path == by);
                let other = other.map_or_else(
                    || format!("path `{by}`"),
                    |(name, _)| format!("hook `{name}`"),
                );
                Err(format!(
                    "path `{path}` is taken by {other}: give one of them another path"
                ))
            }
            Err(RouteError::Unusable(why)) => Err(why),
        }
    }
}

// === impl Asked ===

impl Asked<'_> {
    fn can_run(&self, hook: &Hook) -> bool {
        is_usable(hook) && !self.missing.contains(&hook.spec.component)
    }
}

/// How unlike a requested path is to a hook's path; none where they have nothing to do with each other. Case, a trailing slash and
/// a prefix that a proxy adds or removes do not count.
fn unlikeness(path: &str, known: &str) -> Option<usize> {
    let (path, known) = (plain(path), plain(known));
    let (given, wanted): (Vec<&str>, Vec<&str>) =
        (path.split('/').collect(), known.split('/').collect());
    if given.len() != wanted.len() {
        let (longer, shorter) = if path.len() > known.len() {
            (&path, &known)
        } else {
            (&known, &path)
        };
        return (shorter.len() > 1 && longer.ends_with(shorter.as_str()))
            .then(|| longer.len() - shorter.len());
    }

    let segments = given
        .iter()
        .zip(&wanted)
        .filter(|(_, wanted)| !wanted.starts_with('{'));
    let (mut distance, mut length) = (0, 0);
    for (given, wanted) in segments {
        distance += strsim::damerau_levenshtein(given, wanted);
        length += wanted.len();
    }
    (distance <= 1 + length / 4).then_some(distance)
}

fn plain(path: &str) -> String {
    path.trim_end_matches('/').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_mistakes_in_a_path_are_near() {
        for (path, known) in [
            ("/git-hub", "/github"),
            ("/github/", "/github"),
            ("/GitHub", "/github"),
            ("/hooks/github", "/github"),
            ("/shop/17/order", "/shop/{id}/orders"),
        ] {
            assert!(unlikeness(path, known).is_some(), "{path} {known}");
        }
        for (path, known) in [
            ("/", "/github"),
            ("/wp-login.php", "/github"),
            ("/a/b/c", "/github"),
            ("/x", "/{id}/y"),
        ] {
            assert_eq!(unlikeness(path, known), None, "{path} {known}");
        }
    }
}
