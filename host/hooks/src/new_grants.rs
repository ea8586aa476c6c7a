//! Whether the manifest of a new component requests more than the old one did and the hook file
//! grants.

use super::error::HookError;
use super::hook::{Hook, Serving};
use landfall_config::Manifest;
use landfall_model::{Allow, HookSpec};

/// Refuses a new version of a component that requests new grants. Another component is not a new
/// version.
pub(crate) fn check(new: &Hook, old: &Hook) -> Result<(), HookError> {
    if new.spec.component != old.spec.component || digest(new) == digest(old) {
        return Ok(());
    }

    check_needed(&new.spec.component, &new.manifest, &new.spec, old)
}

/// Refuses a candidate that requests grants which the serving version does not request and the hook
/// file does not grant.
pub(crate) fn check_candidate(
    component: &str,
    manifest: &Manifest,
    spec: &HookSpec,
    serving: &Hook,
) -> Result<(), HookError> {
    check_needed(component, manifest, spec, serving)
}

fn check_needed(
    component: &str,
    manifest: &Manifest,
    spec: &HookSpec,
    old: &Hook,
) -> Result<(), HookError> {
    let before = lines(old.manifest.needed());
    let granted = lines(&spec.allow);
    let lacking: Vec<String> = lines(manifest.needed())
        .into_iter()
        .filter(|line| !before.contains(line) && !granted.contains(line))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(HookError::NewGrants {
        component: component.to_owned(),
        name: spec.name.clone(),
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
