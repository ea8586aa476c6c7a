//! The packs by name: those in the binary, replaced and added to by files of the operator.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use serde::Deserialize;

use super::Pack;

/// Packs by name.
#[derive(Debug, Clone, Default)]
pub struct Packs {
    /// Their texts, or why they cannot be read.
    own: BTreeMap<String, Result<String, String>>,
}

include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// The packs in the binary.
pub fn pack_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

// === impl Packs ===

impl Packs {
    /// The pack under a bare `[verify] scheme = …`: no provider, the usual challenge.
    pub fn generic() -> Pack {
        Packs::default()
            .find("generic")
            .expect("the generic pack is embedded")
    }

    /// With files of the operator, by name without `.toml`.
    pub fn with(own: BTreeMap<String, Result<String, String>>) -> Packs {
        Packs { own }
    }

    /// The same for the same files.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.own.hash(&mut hasher);
        hasher.finish()
    }

    /// Files of the operator that are no packs: name and why.
    pub fn broken(&self) -> Vec<(String, String)> {
        let broken =
            |name: &String| Some((format!("providers/{name}.toml"), self.find(name).err()?));
        self.own.keys().filter_map(broken).collect()
    }

    /// The pack of that name: the operator's, else the binary's. The error says what to write.
    pub fn find(&self, name: &str) -> Result<Pack, String> {
        let embedded = || {
            EMBEDDED
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| *text)
        };

        let own = self
            .own
            .get(name)
            .map(|own| own.as_deref().map_err(Clone::clone))
            .transpose()?;

        let text = own
            .or_else(embedded)
            .or_else(|| Some(aliased(name)?.1))
            .ok_or_else(|| unknown(name))?;

        toml::from_str(text).map_err(|error| format!("providers/{name}.toml: {}", error.message()))
    }

    /// The name of the pack's file: the pack may be asked for by one of its other names.
    pub fn file_name(&self, name: &str) -> Result<String, String> {
        if self.own.contains_key(name) || pack_names().any(|known| known == name) {
            return Ok(name.to_owned());
        }

        aliased(name)
            .map(|(file, _)| file.to_owned())
            .ok_or_else(|| unknown(name))
    }
}

/// File name and text of the pack in the binary that has this other name.
fn aliased(name: &str) -> Option<(&'static str, &'static str)> {
    ALIASES.get(name).copied()
}

/// Packs in the binary by their other names.
static ALIASES: LazyLock<BTreeMap<String, (&'static str, &'static str)>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        aliases: Vec<String>,
    }

    let read = |&(file, text): &(&'static str, &'static str)| {
        let names: Names = toml::from_str(text).unwrap_or(Names {
            aliases: Vec::new(),
        });

        names
            .aliases
            .into_iter()
            .map(move |alias| (alias, (file, text)))
    };

    EMBEDDED.iter().flat_map(read).collect()
});

fn unknown(name: &str) -> String {
    let known = || pack_names().chain(ALIASES.keys().map(String::as_str));
    let near = known().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 2);

    // `google` is far from `google-pubsub` and still what it begins with.
    let near = near.or_else(|| known().find(|known| name.len() > 2 && known.contains(name)));
    match near {
        Some(near) => format!(
            "no provider pack `{}`: did you mean `{near}`?",
            name.escape_debug()
        ),
        None => format!(
            "no provider pack `{}`: `landfall providers` lists them; write your own as providers/{}.toml in the plugins \
             directory, or use scheme = \"signature\"",
            name.escape_debug(),
            name.escape_debug()
        ),
    }
}
