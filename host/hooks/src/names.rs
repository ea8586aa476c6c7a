//! Which hooks a snapshot of the directory contains, and which files belong to each.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::file::FileContent;
use super::files::Files;
use super::scan::Snapshot;
use super::trust::signature_file;
use landfall_config::component_file;
use landfall_model::HookName;

/// The most edits between two names of which one is probably a typing mistake.
const SIMILAR_EDITS_MAX: usize = 2;

/// A snapshot, and the components of the present hooks.
pub(crate) struct Names<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// The components that each hook serves, or would serve if its path were free.
    pub(crate) serving: &'a BTreeMap<HookName, Vec<String>>,
}

/// The names of hooks, and the files that cannot be hooks with the reason.
pub(crate) type Wanted = (BTreeSet<HookName>, Vec<(String, String)>);

// === impl Names ===

impl Names<'_> {
    /// The names of all hooks: of hook files, and of components that no hook file names.
    pub(crate) fn wanted(&self) -> Wanted {
        let present: BTreeSet<&String> = self
            .snapshot
            .files
            .keys()
            .chain(&self.snapshot.unsettled)
            .collect();
        let (mut wanted, mut invalid_files) = (BTreeSet::new(), Vec::new());
        let mut named = BTreeSet::new();
        for file in present
            .iter()
            .filter(|file| file.ends_with(".toml") && file.as_str() != "landfall.toml")
        {
            match hook_name(file) {
                Ok(name) => {
                    named.insert(self.component(&name));
                    named.extend(self.candidate_component(&name));
                    // The old component still serves while the file names a new one that is not
                    // loaded yet.
                    named.extend(self.serving.get(&name).into_iter().flatten().cloned());
                    wanted.insert(name);
                }
                Err(why) => invalid_files.push((file.to_string(), why.to_string())),
            }
        }
        // A hook file that is being written may be about to name a component.
        let may_name = self
            .snapshot
            .unsettled
            .iter()
            .any(|file| file.ends_with(".toml"));
        for file in present
            .iter()
            .filter(|file| file.ends_with(".wasm") && !named.contains(**file))
        {
            match hook_name(file) {
                Ok(name) => {
                    wanted.extend((!may_name || self.serving.contains_key(&name)).then_some(name))
                }
                Err(why) => invalid_files.push((file.to_string(), why.to_string())),
            }
        }
        (wanted, invalid_files)
    }

    /// The component of a hook. While its file is being written or cannot be read, it is the one
    /// that serves.
    pub(crate) fn component(&self, name: &HookName) -> String {
        let file = hook_file(name);
        let content = self.snapshot.files.get(&file);
        if let Some(named) = content.and_then(|content| named_component(name, content)) {
            return named;
        }

        let serving = self.serving.get(name).and_then(|names| names.first());
        match serving {
            Some(serving) if self.snapshot.has(&file) => serving.clone(),
            _ => default_component(name),
        }
    }

    /// The files of a hook in the directory.
    pub(crate) fn files(&self, name: &HookName) -> Files {
        let component_name = self.component(name);
        let similar = if self.snapshot.has(&component_name) {
            None
        } else {
            self.similar(&component_name)
        };
        Files {
            similar,
            hook_file: self.snapshot.files.get(&hook_file(name)).cloned(),
            component: self.snapshot.files.get(&component_name).cloned(),
            signature: self
                .snapshot
                .files
                .get(&signature_file(&component_name))
                .cloned(),
            is_bundled: false,
            component_name,
            packs: 0,
            over: None,
        }
    }

    /// The component that `[candidate]` of a hook file names, if it can be read.
    pub(crate) fn candidate_component(&self, name: &HookName) -> Option<String> {
        let content = self.snapshot.files.get(&hook_file(name))?;
        let text = content.as_ref().ok()?.text().ok()?;
        // Most hook files have none, and need not be parsed again.
        if !text.contains("candidate") {
            return None;
        }
        let table: toml::Table = text.parse().ok()?;
        component_file(table.get("candidate")?.get("component")?.as_str()?)
    }

    /// Whether a hook has a file that is no TOML: what serves stays.
    pub(crate) fn is_unreadable(&self, name: &HookName) -> bool {
        let content = self.snapshot.files.get(&hook_file(name));
        content.is_some_and(|content| named_component(name, content).is_none())
    }

    /// The files of a hook's candidate, with the hook file of `hook`. `None`: they are changing.
    pub(crate) fn candidate_files(&self, hook: &Files, component: String) -> Option<Files> {
        let signature = signature_file(&component);
        let unsettled = &self.snapshot.unsettled;
        if unsettled.contains(&component) || unsettled.contains(&signature) {
            return None;
        }

        let files = &self.snapshot.files;
        let is_missing = !files.contains_key(&component);
        Some(Files {
            hook_file: hook.hook_file.clone(),
            component: files.get(&component).cloned(),
            signature: files.get(&signature).cloned(),
            is_bundled: false,
            similar: is_missing.then(|| self.similar(&component)).flatten(),
            packs: hook.packs,
            over: None,
            component_name: component,
        })
    }

    fn similar(&self, component: &str) -> Option<String> {
        let components = self
            .snapshot
            .files
            .keys()
            .filter(|name| name.ends_with(".wasm"));
        let (distance, name) = components
            .map(|name| (strsim::damerau_levenshtein(name, component), name))
            .min()?;
        (distance <= SIMILAR_EDITS_MAX).then(|| name.clone())
    }

    /// Whether one of the files is still being written.
    pub(crate) fn is_changing(&self, name: &HookName, files: &Files) -> bool {
        self.snapshot.unsettled.contains(&hook_file(name))
            || self.snapshot.unsettled.contains(&files.component_name)
            || self
                .snapshot
                .unsettled
                .contains(&signature_file(&files.component_name))
    }
}

fn hook_file(name: &HookName) -> String {
    format!("{name}.toml")
}

fn hook_name(file: &str) -> Result<HookName, <HookName as FromStr>::Err> {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).parse()
}

/// The component that a hook file names. `None` if the file cannot be read.
fn named_component(name: &HookName, content: &FileContent) -> Option<String> {
    let text = content.as_ref().ok()?.text().ok()?;
    let table: toml::Table = text.parse().ok()?;
    match table.get("component") {
        None => Some(default_component(name)),
        Some(value) => component_file(value.as_str()?),
    }
}

fn default_component(name: &HookName) -> String {
    format!("{name}.wasm")
}
