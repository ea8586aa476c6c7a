//! All hooks of a node, and the node itself: one look at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use landfall_model::{HookActivity, NO_HOOK};

use super::alarm::{Alarm, Change};
use super::hook::{HookWatch, SavedHook};
use super::latch::{Latches, Notice};
use super::node;
use super::reading::{HookReading, HookRules, NodeReading};

/// A longer time between two looks is not silence: the node was suspended, or its clock was set.
const STEP_MAX: Duration = Duration::from_secs(600);
/// A hook that is missing for this long is forgotten. A file may be absent while it is replaced.
const MISSING_MAX: Duration = Duration::from_secs(600);
/// Its changes wait for this long for a receiver that does not exist.
const UNTOLD_MAX: Duration = Duration::from_secs(86_400);
/// State without a change of an alarm is saved this often.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// The alarms of a node. One state for each hook.
#[derive(Debug, Default)]
pub struct Watch {
    hooks: BTreeMap<String, Watched>,
    node: Latches,
    is_node_unsaved: bool,
    last_look: Option<SystemTime>,
}

#[derive(Debug, Default)]
struct Watched {
    state: HookWatch,
    missing: Duration,
    since_save: Duration,
    /// An alarm has opened or closed since the last save.
    is_unsaved: bool,
}

/// State that is to be saved under the name of a hook, or `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// The hook, or `-` for the node.
    pub hook: String,
    /// JSON. `None`: the hook is forgotten.
    pub state: Option<String>,
}

// === impl Watch ===

impl Watch {
    /// Takes over what was saved under the name of a hook, or `-`. State that this version cannot
    /// read is ignored: the hook is learned anew. Returns whether it was read.
    pub fn restore(&mut self, hook: &str, state: &str) -> bool {
        if hook == NO_HOOK {
            let read = serde_json::from_str(state);
            let is_read = read.is_ok();
            self.node = read.unwrap_or_default();
            return is_read;
        }
        match serde_json::from_str::<SavedHook>(state) {
            Ok(saved) if saved.is_valid() => {
                let watched = Watched {
                    state: HookWatch::restored(saved),
                    ..Watched::default()
                };
                self.hooks.insert(hook.to_owned(), watched);
                true
            }
            _ => false,
        }
    }

    /// What this node has counted for a hook so far is not new: another node has watched it.
    pub fn begin_at(&mut self, hook: &str, activity: HookActivity) {
        let watched = self.hooks.entry(hook.to_owned()).or_default();
        watched.state.begin_at(activity);
    }

    /// Compares the readings with the rules. The hooks are all that exist now. Returns the alarms
    /// that have opened or closed.
    pub fn look(
        &mut self,
        now: SystemTime,
        hooks: &[(String, HookRules, HookReading)],
        node: &NodeReading,
    ) -> Vec<Change> {
        let step = self.step(now);
        let mut changes = Vec::new();
        for (hook, rules, reading) in hooks {
            let watched = self.hooks.entry(hook.clone()).or_default();
            let of_hook = watched.state.look(hook, rules, reading, now, step);
            watched.missing = Duration::ZERO;
            watched.since_save += step;
            watched.is_unsaved |= !of_hook.is_empty();
            changes.extend(of_hook);
        }

        let present: BTreeSet<&str> = hooks.iter().map(|(hook, _, _)| hook.as_str()).collect();
        for (hook, watched) in &mut self.hooks {
            if !present.contains(hook.as_str()) {
                watched.missing += step;
                if watched.missing >= MISSING_MAX {
                    changes.extend(watched.state.end(hook, now));
                }
            }
        }

        let of_node = node::look(&mut self.node, node, now, step);
        self.is_node_unsaved |= of_node.is_some();
        changes.extend(of_node);
        changes
    }

    /// The open alarms, by hook.
    pub fn open(&self) -> Vec<Alarm> {
        let of_node = self.node.alarms(NO_HOOK);
        let of_hooks = self.hooks.iter();
        let of_hooks =
            of_hooks.flat_map(|(hook, watched)| watched.state.saved.latches.alarms(hook));
        of_node.into_iter().chain(of_hooks).collect()
    }

    /// When the alarm on silence of a hook opens if no event arrives. `None`: it is open, switched
    /// off, or the rhythm of the hook is not known yet.
    pub fn silent_from(&self, hook: &str, rules: &HookRules) -> Option<SystemTime> {
        self.hooks.get(hook)?.state.silent_from(rules)
    }

    /// The receiver that the file of this hook named at the last look (`HookRules::to`).
    pub fn last_to(&self, hook: &str) -> Option<&str> {
        self.hooks.get(hook)?.state.saved.to.as_deref()
    }

    /// The changes whose receivers do not know them yet, oldest first, with the hook.
    pub fn notices(&self) -> Vec<(String, Notice)> {
        let of_node = self.node.notices().iter();
        let of_node = of_node.map(|notice| (NO_HOOK.to_owned(), notice.clone()));
        let of_hooks = self.hooks.iter().flat_map(|(hook, watched)| {
            let notices = watched.state.saved.latches.notices().iter();
            notices.map(|notice| (hook.clone(), notice.clone()))
        });
        let mut all: Vec<_> = of_node.chain(of_hooks).collect();
        all.sort_by_key(|(_, notice)| notice.at_ms);
        all
    }

    /// The receiver knows this change, or there is none.
    pub fn passed_on(&mut self, hook: &str, notice: &Notice) {
        if hook == NO_HOOK {
            self.node.forget_notice(notice);
            self.is_node_unsaved = true;
        } else if let Some(watched) = self.hooks.get_mut(hook) {
            watched.state.saved.latches.forget_notice(notice);
            watched.is_unsaved = true;
        }
    }

    /// What is to be saved now: state in which an alarm has changed, state that was not saved for
    /// five minutes, with `all` every state. Hooks that were missing for ten minutes are forgotten
    /// once their changes are passed on, or after a day.
    pub fn unsaved(&mut self, all: bool) -> Vec<Unsaved> {
        let mut unsaved = Vec::new();
        if all || self.is_node_unsaved {
            self.is_node_unsaved = false;
            unsaved.push(Unsaved {
                hook: NO_HOOK.to_owned(),
                state: serde_json::to_string(&self.node).ok(),
            });
        }
        for (hook, watched) in &mut self.hooks {
            if watched.is_forgotten() {
                unsaved.push(Unsaved {
                    hook: hook.clone(),
                    state: None,
                });
            } else if all || watched.is_unsaved || watched.since_save >= SAVE_EVERY {
                watched.is_unsaved = false;
                watched.since_save = Duration::ZERO;
                unsaved.push(Unsaved {
                    hook: hook.clone(),
                    state: serde_json::to_string(&watched.state.saved).ok(),
                });
            }
        }
        self.hooks.retain(|_, watched| !watched.is_forgotten());
        unsaved
    }

    /// The state of this hook could not be saved: the next call of `unsaved` returns it again.
    pub fn mark_unsaved(&mut self, hook: &str) {
        if hook == NO_HOOK {
            self.is_node_unsaved = true;
        } else if let Some(watched) = self.hooks.get_mut(hook) {
            watched.is_unsaved = true;
        }
    }

    /// The watched time since the last look. At the first one, none.
    fn step(&mut self, now: SystemTime) -> Duration {
        let last = self.last_look.replace(now);
        let step = last.and_then(|last| now.duration_since(last).ok());
        step.filter(|step| *step <= STEP_MAX).unwrap_or_default()
    }
}

// === impl Watched ===

impl Watched {
    fn is_forgotten(&self) -> bool {
        let is_told = self.state.saved.latches.notices().is_empty();
        self.missing >= if is_told { MISSING_MAX } else { UNTOLD_MAX }
    }
}
