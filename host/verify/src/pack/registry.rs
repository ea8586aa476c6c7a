//! The packs by name: the embedded ones, and those that the operator's files replace or add.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use serde::Deserialize;

use super::Pack;
use super::error::PackError;

/// The packs that are available to hooks.
#[derive(Debug, Clone, Default)]
pub struct Packs {
    /// The operator's files by name: the text, or why it cannot be read.
    own: BTreeMap<String, Result<String, PackError>>,
}

include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// The names of the embedded packs.
pub fn pack_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

// === impl Packs ===

impl Packs {
    /// The pack of hooks without a provider: the usual defaults and ownership check.
    pub(crate) fn generic() -> Pack {
        Packs::default()
            .find("generic")
            .expect("the generic pack is embedded")
    }

    /// Adds the operator's files, by name without `.toml`.
    pub fn with(own: BTreeMap<String, Result<String, PackError>>) -> Packs {
        Packs { own }
    }

    /// The operator's packs, without files that cannot be parsed.
    pub(crate) fn own(&self) -> impl Iterator<Item = Pack> {
        self.own.keys().filter_map(|name| self.find(name).ok())
    }

    /// A hash of the operator's files.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.own.hash(&mut hasher);
        hasher.finish()
    }

    /// The operator's files that cannot be parsed: path and error.
    pub fn broken(&self) -> Vec<(String, String)> {
        let errors = self.own.keys().filter_map(|name| {
            let error = self.find(name).err()?;
            Some((format!("providers/{name}.toml"), error.to_string()))
        });

        errors.collect()
    }

    /// Finds a pack by name or alias. The operator's pack replaces the embedded one. The error says
    /// what to write.
    pub fn find(&self, name: &str) -> Result<Pack, PackError> {
        let text = match self.own.get(name) {
            Some(own) => own.as_deref().map_err(PackError::clone)?,
            None => find_embedded(name).ok_or_else(|| unknown(name))?,
        };

        toml::from_str(text).map_err(|error| PackError::Malformed {
            name: name.to_owned(),
            reason: error.message().to_owned(),
        })
    }

    /// The name of the pack's file without `.toml`, also for an alias.
    pub fn file_name(&self, name: &str) -> Result<String, PackError> {
        if self.own.contains_key(name) || pack_names().any(|known| known == name) {
            return Ok(name.to_owned());
        }

        find_by_alias(name)
            .map(|(file, _)| file.to_owned())
            .ok_or_else(|| unknown(name))
    }
}

/// The text of the embedded pack with this name or alias.
fn find_embedded(name: &str) -> Option<&'static str> {
    let mut embedded = EMBEDDED.iter();
    match embedded.find(|(known, _)| *known == name) {
        Some((_, text)) => Some(text),
        None => find_by_alias(name).map(|(_, text)| text),
    }
}

/// The file name and text of the embedded pack with this alias.
fn find_by_alias(name: &str) -> Option<(&'static str, &'static str)> {
    ALIASES.get(name).copied()
}

/// The embedded packs by alias: file name and text.
static ALIASES: LazyLock<BTreeMap<String, (&'static str, &'static str)>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        aliases: Vec<String>,
    }

    let mut aliases = BTreeMap::new();
    for &(file, text) in EMBEDDED.iter() {
        let names: Result<Names, _> = toml::from_str(text);
        for alias in names.into_iter().flat_map(|names| names.aliases) {
            aliases.insert(alias, (file, text));
        }
    }

    aliases
});

fn unknown(name: &str) -> PackError {
    let known: Vec<&str> = pack_names()
        .chain(ALIASES.keys().map(String::as_str))
        .collect();
    let near = known
        .iter()
        .copied()
        .min_by_key(|known| strsim::damerau_levenshtein(known, name))
        .filter(|known| strsim::damerau_levenshtein(known, name) <= 2);

    // The edit distance from `google` to `google-pubsub` is large, so also look for names that
    // contain the text.
    let mut containing = known.into_iter().filter(|known| known.contains(name));
    let near = near.or_else(|| containing.next().filter(|_| name.len() > 2));
    PackError::Unknown {
        name: name.to_owned(),
        similar: near.map(str::to_owned),
    }
}
