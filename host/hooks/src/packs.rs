//! `providers/NAME.toml` in the plugins directory: packs of the operator, over and beside those in the binary.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::scan::read_small;
use landfall_verify::Packs;

/// The most files.
const FILES_MAX: usize = 1024;

/// The packs of a `providers` folder; none where there is no such folder. A file that cannot be read is a pack that says so.
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
        own.insert(
            stem.to_owned(),
            read_small(dir, name).map_err(|why| format!("providers/{name} {why}")),
        );
    }
    Ok(Packs::with(own))
}
