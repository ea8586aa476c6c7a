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
    /// The operator's files by name: the text, or the read error.
    own: BTreeMap<String, Result<String, String>>,
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
    pub fn with(own: BTreeMap<String, Result<String, String>>) -> Packs {
        Packs { own }
    }

    /// A hash of the operator's files.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.own.hash(&mut hasher);
        hasher.finish()
    }

    /// The operator's files that cannot be parsed: path and error.
    pub fn broken(&self) -> Vec<(String, String)> {
        let broken = |name: &String| {
            Some((
                format!("providers/{name}.toml"),
                self.find(name).err()?.to_string(),
            ))
        };
        self.own.keys().filter_map(broken).collect()
    }

    /// Finds a pack by name or alias. The operator's pack replaces the embedded one. The error says
    /// what to write.
    pub fn find(&self, name: &str) -> Result<Pack, PackError> {
        let embedded = || {
            EMBEDDED
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| *text)
        };

        let own = self
            .own
            .get(name)
            .map(|own| {
                own.as_deref()
                    .map_err(|why| PackError::Unreadable(why.clone()))
            })
            .transpose()?;

        let text = own
            .or_else(embedded)
            .or_else(|| Some(find_by_alias(name)?.1))
            .ok_or_else(|| unknown(name))?;

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

fn unknown(name: &str) -> PackError {
    let known = || pack_names().chain(ALIASES.keys().map(String::as_str));
    let near = known().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 2);

    // The edit distance from `google` to `google-pubsub` is large, so also look for names that
    // contain the text.
    let near = near.or_else(|| known().find(|known| name.len() > 2 && known.contains(name)));
    PackError::Unknown {
        name: name.to_owned(),
        similar: near.map(str::to_owned),
    }
}
