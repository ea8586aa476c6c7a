//! The changes of hooks that `landfall up` prints: one line for each hook whose status changed.

use std::collections::BTreeMap;

use crate::app::{HookState, HookStatus};

/// The last printed status of each hook.
#[derive(Default)]
pub(super) struct PrintedStatuses(BTreeMap<String, HookStatus>);

// === impl PrintedStatuses ===

impl PrintedStatuses {
    /// Starts with these hooks, which need no line.
    pub(super) fn new(statuses: Vec<HookStatus>) -> PrintedStatuses {
        PrintedStatuses(
            statuses
                .into_iter()
                .map(|status| (status.name.clone(), status))
                .collect(),
        )
    }

    /// Compares with the present statuses and returns a line for each change. A hook that is
    /// loading does not count yet.
    pub(super) fn update(&mut self, statuses: Vec<HookStatus>) -> Vec<String> {
        let mut lines = Vec::new();
        let gone: Vec<String> = self
            .0
            .keys()
            .filter(|name| statuses.iter().all(|status| status.name != **name))
            .cloned()
            .collect();
        for name in gone {
            self.0.remove(&name);
            lines.push(format!("- {name}: removed"));
        }

        for status in statuses.into_iter().filter(|status| !status.is_loading()) {
            lines.extend(line(self.0.get(&status.name), &status));
            self.0.insert(status.name.clone(), status);
        }

        lines
    }
}

fn line(before: Option<&HookStatus>, now: &HookStatus) -> Option<String> {
    let name = &now.name;
    if before.is_some_and(|before| {
        (before.state, &before.problem, &before.digest) == (now.state, &now.problem, &now.digest)
    }) {
        return None;
    }
    if let Some(problem) = &now.problem {
        return Some(format!("! {name} ({}): {problem}", now.state));
    }

    let has_served = before.is_some_and(|before| before.state == HookState::Serving);
    match now.state {
        HookState::Serving if has_served => Some(format!("+ {name}: serving a new version")),
        HookState::Serving => Some(format!(
            "+ {name}: serving at {}",
            now.path.as_deref().unwrap_or("-")
        )),
        state => Some(format!("! {name} ({state})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, state: HookState, digest: &str, problem: Option<&str>) -> HookStatus {
        HookStatus {
            name: name.into(),
            path: Some(format!("/{name}")),
            state,
            digest: Some(digest.into()),
            problem: problem.map(str::to_owned),
            ..HookStatus::default()
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let mut told = PrintedStatuses::new(vec![status("old", HookState::Serving, "1", None)]);
        let old = || status("old", HookState::Serving, "1", None);
        assert_eq!(told.update(vec![old()]), Vec::<String>::new());
        let loading = status(
            "new",
            HookState::Unavailable,
            "",
            Some("the hook is still loading"),
        );
        assert_eq!(told.update(vec![old(), loading]), Vec::<String>::new());
        let new = |digest| status("new", HookState::Serving, digest, None);
        assert_eq!(
            told.update(vec![old(), new("1")]),
            ["+ new: serving at /new"]
        );
        assert_eq!(
            told.update(vec![old(), new("2")]),
            ["+ new: serving a new version"]
        );
        let bad = || status("new", HookState::Stale, "2", Some("unknown key"));
        assert_eq!(
            told.update(vec![old(), bad()]),
            ["! new (stale): unknown key"]
        );
        assert_eq!(told.update(vec![bad()]), ["- old: removed"]);
        assert_eq!(told.update(vec![bad()]), Vec::<String>::new());
    }
}
