//! Whether a new version of a component asks, by its manifest, for more than the old one did and the hook file grants.

use super::hook::{Hook, Serving};
use landfall_config::asked_by;
use landfall_model::Allow;

/// What it asks for beside that, in words with the way out; none where it asks for nothing more, or is another component.
pub fn more(new: &Hook, old: &Hook) -> Option<String> {
    if new.spec.component != old.spec.component || digest(new) == digest(old) {
        return None;
    }
    let (asked, before, granted) = (asked(new), asked(old), &new.spec.allow);
    let lacking = lines(&asked)
        .into_iter()
        .filter(|line| !lines(&before).contains(line) && !lines(granted).contains(line));
    let lacking: Vec<String> = lacking.collect();
    if lacking.is_empty() {
        return None;
    }
    let (component, name, lacking) = (&new.spec.component, &new.spec.name, lacking.join(", "));
    Some(format!(
        "the new {component} asks for more than it was granted: {lacking}; write that under [allow] in {name}.toml, or keep the old one"
    ))
}

fn lines(allow: &Allow) -> Vec<String> {
    let http = allow.http.iter().map(|grant| format!("http \"{grant}\""));
    let table = allow.table.iter().map(|name| format!("table \"{name}\""));
    let emit = allow.emit.iter().map(|hook| format!("emit \"{hook}\""));
    http.chain(table)
        .chain(emit)
        .chain(allow.kv.then(|| "kv".to_owned()))
        .collect()
}

fn asked(hook: &Hook) -> Allow {
    let Serving::Ready(handler) = &hook.serving else {
        return Allow::default();
    };
    handler
        .component()
        .manifest
        .as_deref()
        .map(asked_by)
        .unwrap_or_default()
}

fn digest(hook: &Hook) -> Option<&str> {
    match &hook.serving {
        Serving::Ready(handler) => Some(&handler.component().digest),
        Serving::Unavailable(_) => None,
    }
}
