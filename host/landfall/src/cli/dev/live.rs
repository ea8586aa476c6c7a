//! Waits until the node runs the version that was built last, and says what is in the way.

use std::time::{Duration, Instant};

use landfall_author::{Built, Project};

use crate::app::{HookState, HookStatus, Hooks};
use crate::cli::output::{say, untrusted};

/// Pause between two looks at the status of the hook.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// After this time the author is told that the compilation of a new version goes on. It ends by the
/// compiler's own limits.
const SAY_COMPILING_AFTER: Duration = Duration::from_secs(20);

/// A version that was built and is not served yet.
pub(super) struct PendingVersion {
    hook: String,
    /// The file name of the component.
    component: String,
    digest: String,
    /// When the change was made.
    changed_at: Instant,
    built_at: Instant,
    in_the_way: Option<String>,
    has_said_compiling: bool,
}

/// How far a hook is on its way to a new version.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Live,
    /// The author can remove what is in the way.
    Blocked(String),
    Loading,
}

// === impl PendingVersion ===

impl PendingVersion {
    /// The version of this build. `changed_at` is the time of the change that started it.
    pub(super) fn new(project: &Project, built: &Built, changed_at: Instant) -> PendingVersion {
        PendingVersion {
            hook: project.hook.clone(),
            component: format!("{}.wasm", project.name),
            digest: built.inspected.digest.clone(),
            changed_at,
            built_at: Instant::now(),
            in_the_way: None,
            has_said_compiling: false,
        }
    }

    /// Waits until the hook runs the version. It says once what is in the way, and waits on: a
    /// change of the hook file may remove that. Returns the time of the change, unless something
    /// was in the way. It can be cancelled and called again.
    async fn live(&mut self, hooks: &Hooks) -> Option<Instant> {
        while !self.is_live(&hooks.statuses()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Some(self.changed_at).filter(|_| self.in_the_way.is_none())
    }

    fn is_live(&mut self, statuses: &[HookStatus]) -> bool {
        let status = statuses.iter().find(|status| status.name == self.hook);
        let progress = status.map(|status| progress(status, &self.component, &self.digest));
        match progress.unwrap_or(Progress::Loading) {
            Progress::Live => return true,
            Progress::Blocked(why) if self.in_the_way.as_ref() != Some(&why) => {
                untrusted("", &format!("! the new version does not serve: {why}"));
                self.in_the_way = Some(why);
            }
            Progress::Loading
                if !self.has_said_compiling && self.built_at.elapsed() > SAY_COMPILING_AFTER =>
            {
                say!("the node is still compiling {}", self.hook);
                self.has_said_compiling = true;
            }
            Progress::Blocked(_) | Progress::Loading => {}
        }
        false
    }
}

/// Waits until the hook runs the version: the time of the change, unless something was in the way.
/// Without a version it never returns. It can be cancelled and called again.
pub(super) async fn live(version: &mut Option<PendingVersion>, hooks: &Hooks) -> Option<Instant> {
    match version {
        Some(version) => version.live(hooks).await,
        None => std::future::pending().await,
    }
}

/// `component` is what a build writes, and `digest` that of the new version.
fn progress(status: &HookStatus, component: &str, digest: &str) -> Progress {
    if status.is_loading() {
        return Progress::Loading;
    }
    let is_new = status.digest.as_deref() == Some(digest);
    if is_new && status.state == HookState::Serving {
        return Progress::Live;
    }

    let name = &status.name;
    let other = status.component.as_ref();
    if let Some(other) = other.filter(|other| **other != component) {
        let change = if component == format!("{name}.wasm") {
            "remove the line `component`".to_owned()
        } else {
            format!("write component = \"{component}\"")
        };
        return Progress::Blocked(format!(
            "{name}.toml is for {other}, and a build writes {component}: {change}"
        ));
    }
    let is_tried = is_new || status.tried.as_deref() == Some(digest);
    match &status.problem {
        Some(problem) if is_tried => Progress::Blocked(problem.clone()),
        _ => Progress::Loading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_are_said() {
        let status = |state, component: &str, digest: &str, problem: Option<&str>| HookStatus {
            name: "a".into(),
            state,
            component: Some(component.into()),
            digest: Some(digest.into()),
            tried: Some("new".into()),
            problem: problem.map(str::to_owned),
            ..HookStatus::default()
        };
        let closed = Some("closed: the hook has no [verify] table");
        for (status, expected) in [
            (
                status(HookState::Serving, "a.wasm", "new", None),
                Ok(Progress::Live),
            ),
            (
                status(HookState::Serving, "a.wasm", "old", None),
                Ok(Progress::Loading),
            ),
            (
                status(HookState::Closed, "a.wasm", "new", closed),
                Err("no [verify] table"),
            ),
            (
                status(HookState::Stale, "a.wasm", "old", Some("refused")),
                Err("refused"),
            ),
            (
                status(HookState::Unavailable, "b.wasm", "old", None),
                Err("a.toml is for b.wasm, and a build writes a.wasm: remove the line `component`"),
            ),
        ] {
            match (progress(&status, "a.wasm", "new"), expected) {
                (Progress::Blocked(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (found, expected) => assert_eq!(Ok(found), expected),
            }
        }

        let named = status(HookState::Unavailable, "a.wasm", "old", None);
        let expected =
            "a.toml is for a.wasm, and a build writes b.wasm: write component = \"b.wasm\"";
        assert_eq!(
            progress(&named, "b.wasm", "new"),
            Progress::Blocked(expected.into())
        );
    }
}
