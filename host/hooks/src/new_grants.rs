//! Whether the manifest of a new component requests more than the old one did and the hook file
//! grants.

use super::error::HookError;
use super::hook::{Hook, Serving};
use landfall_model::Allow;

/// Refuses a new version of a component that requests new grants. Another component is not a new
/// version.
pub(crate) fn check(new: &Hook, old: &Hook) -> Result<(), HookError> {
    if new.spec.component != old.spec.component || digest(new) == digest(old) {
        return Ok(());
    }

    let before = lines(old.manifest.needed());
    let granted = lines(&new.spec.allow);
    let lacking: Vec<String> = lines(new.manifest.needed())
        .into_iter()
        .filter(|line| !before.contains(line) && !granted.contains(line))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(HookError::NewGrants {
        component: new.spec.component.clone(),
        name: new.spec.name.clone(),
        grants: lacking.join(", "),
    })
}

fn lines(allow: &Allow) -> Vec<String> {
    let http = allow.http.iter().map(|grant| format!("http \"{grant}\""));
    http.chain(allow.capabilities.lines()).collect()
}

fn digest(hook: &Hook) -> Option<&str> {
    match &hook.serving {
        Serving::Ready(handler) => Some(&handler.component().digest),
        Serving::Unavailable(_) => None,
    }
}
