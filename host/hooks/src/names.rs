//! Which hooks the files of one look ask for, and which files belong to each.

use std::collections::{BTreeMap, BTreeSet};

use super::load::Files;
use super::scan::{Content, Look};
use landfall_config::component_file;
use landfall_model::HookName;

/// Letters that two names may differ by, to be taken for the same one mistyped.
const SIMILAR_EDITS_MAX: usize = 2;

/// One look, and the components of the hooks that serve.
pub struct Names<'a> {
    /// What was found.
    pub look: &'a Look,
    /// What each hook serves now, and would serve if its path were free.
    pub serving: &'a BTreeMap<HookName, Vec<String>>,
}

/// Hooks, and files that cannot be hooks with the reason.
pub type Wanted = (BTreeSet<HookName>, Vec<(String, String)>);

// === impl Names ===

impl Names<'_> {
    /// Names of all hooks: of hook files, and of components that no hook file speaks for.
    pub fn wanted(&self) -> Wanted {
        let present: BTreeSet<&String> =
            self.look.files.keys().chain(&self.look.unsettled).collect();
        let (mut wanted, mut strays) = (BTreeSet::new(), Vec::new());
        let mut spoken_for = BTreeSet::new();
        for file in present
            .iter()
            .filter(|file| file.ends_with(".toml") && file.as_str() != "landfall.toml")
        {
            match hook_name(file) {
                Ok(name) => {
                    spoken_for.insert(self.component(&name));
                    // Also what serves although the file now names another.
                    spoken_for.extend(self.serving.get(&name).into_iter().flatten().cloned());
                    wanted.insert(name);
                }
                Err(why) => strays.push((file.to_string(), why)),
            }
        }
        // A hook file that is being written for the first time may be about to speak for a component.
        let may_speak = self
            .look
            .unsettled
            .iter()
            .any(|file| file.ends_with(".toml"));
        for file in present
            .iter()
            .filter(|file| file.ends_with(".wasm") && !spoken_for.contains(**file))
        {
            match hook_name(file) {
                Ok(name) => {
                    wanted.extend((!may_speak || self.serving.contains_key(&name)).then_some(name))
                }
                Err(why) => strays.push((file.to_string(), why)),
            }
        }
        (wanted, strays)
    }

    /// The component of a hook. While its file is being written, or cannot be read, it is the one that serves.
    pub fn component(&self, name: &HookName) -> String {
        let file = hook_file(name);
        let named = self
            .look
            .files
            .get(&file)
            .and_then(|content| named_component(name, content));
        let has_file = self.look.files.contains_key(&file) || self.look.unsettled.contains(&file);
        let serving = || {
            self.serving
                .get(name)
                .filter(|_| has_file)
                .and_then(|names| names.first().cloned())
        };
        named
            .or_else(serving)
            .unwrap_or_else(|| default_component(name))
    }

    /// The files of a hook in the directory.
    pub fn files(&self, name: &HookName) -> Files {
        let component_name = self.component(name);
        let similar = if self.look.has(&component_name) {
            None
        } else {
            self.similar(&component_name)
        };
        Files {
            similar,
            hook_file: self.look.files.get(&hook_file(name)).cloned(),
            component: self.look.files.get(&component_name).cloned(),
            component_name,
            packs: 0,
        }
    }

    fn similar(&self, component: &str) -> Option<String> {
        let components = self
            .look
            .files
            .keys()
            .filter(|name| name.ends_with(".wasm"));
        let distances = components.map(|name| (strsim::damerau_levenshtein(name, component), name));
        let (_, name) = distances
            .min()
            .filter(|(distance, _)| *distance <= SIMILAR_EDITS_MAX)?;
        Some(name.clone())
    }

    /// One of its files is still being written.
    pub fn is_changing(&self, name: &HookName, files: &Files) -> bool {
        self.look.unsettled.contains(&hook_file(name))
            || self.look.unsettled.contains(&files.component_name)
    }
}

fn hook_file(name: &HookName) -> String {
    format!("{name}.toml")
}

fn hook_name(file: &str) -> Result<HookName, String> {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).parse()
}

/// The component in a hook file's text: none where the text does not tell.
fn named_component(name: &HookName, content: &Result<Content, String>) -> Option<String> {
    let text = std::str::from_utf8(&content.as_ref().ok()?.bytes).ok()?;
    let table: toml::Table = text.parse().ok()?;
    match table.get("component") {
        None => Some(default_component(name)),
        Some(value) => component_file(value.as_str()?),
    }
}

fn default_component(name: &HookName) -> String {
    format!("{name}.wasm")
}
