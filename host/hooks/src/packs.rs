//! `providers/NAME.toml` in the plugins directory: the operator's own provider packs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::file::{FileError, read_in};
use landfall_verify::{PackError, Packs};

const FILES_MAX: usize = 1024;

/// The packs of a `providers` directory, added to those in the binary. A missing directory has
/// none. A file that cannot be read becomes a pack whose error says so.
pub fn packs(dir: Option<&Path>) -> anyhow::Result<Packs> {
    let Some(dir) = dir else {
        return Ok(Packs::default());
    };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Packs::default()),
        entries => entries.with_context(|| format!("{} cannot be read", dir.display()))?,
    };

    let mut own = BTreeMap::new();
    for entry in entries.take(FILES_MAX) {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let Some(stem) = name.strip_suffix(".toml") else {
            continue;
        };
        let text = read_text(dir, name)
            .map_err(|error| PackError::Unreadable(format!("providers/{name} {error}")));
        own.insert(stem.to_owned(), text);
    }
    Ok(Packs::with(own))
}

fn read_text(dir: &Path, name: &str) -> Result<String, FileError> {
    read_in(dir, name)?.text().map(str::to_owned)
}
