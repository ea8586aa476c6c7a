//! A handler's folder: `NAME.toml`, `build/NAME.wasm`, `cases/`.

use std::path::{Path, PathBuf};

use landfall_config::is_tool_file;

use crate::error::OfflineError;

/// A handler's folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder.
    pub dir: PathBuf,
    /// The hook file.
    pub hook_file: PathBuf,
}

// === impl Folder ===

impl Folder {
    /// Finds the hook file of a folder, unless it is named.
    pub fn find(dir: &Path, hook_file: Option<PathBuf>) -> Result<Folder, OfflineError> {
        let hook_file = match hook_file {
            Some(path) => path,
            None => find_hook_file(dir)?,
        };
        Ok(Folder {
            dir: dir.to_owned(),
            hook_file,
        })
    }

    /// The folder of the cases.
    pub fn cases(&self) -> PathBuf {
        self.dir.join("cases")
    }

    /// Where compiled components are kept.
    pub fn cache(&self) -> PathBuf {
        self.dir.join(".landfall/compiled")
    }

    /// The component with this file name. It must have been built.
    pub fn component(&self, name: &str) -> Result<PathBuf, OfflineError> {
        let path = self.dir.join("build").join(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(OfflineError::Other(format!(
            "{} does not exist: build it with `landfall build {}`, or name another with --component",
            path.display(),
            self.dir.display()
        )))
    }
}

fn find_hook_file(dir: &Path) -> Result<PathBuf, OfflineError> {
    let entries = std::fs::read_dir(dir).map_err(|error| OfflineError::unreadable(dir, error))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_hook_file(path))
        .collect();
    found.sort();

    // Of several files, the one whose component was built.
    let is_built = |path: &&PathBuf| {
        let name = path.file_stem().unwrap_or_default();
        dir.join("build")
            .join(name)
            .with_extension("wasm")
            .is_file()
    };
    let built: Vec<&PathBuf> = found.iter().filter(is_built).collect();
    match (&found[..], &built[..]) {
        ([one], _) => Ok(one.clone()),
        (_, [one]) => Ok((*one).clone()),
        ([], _) => Err(OfflineError::Other(format!(
            "{} has no hook file: write NAME.toml there, or name one with --hook",
            dir.display()
        ))),
        (several, _) => {
            let names: Vec<String> = several
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Err(OfflineError::Other(format!(
                "{} may all be hook files: name one with --hook",
                names.join(", ")
            )))
        }
    }
}

fn is_hook_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name.ends_with(".toml") && !name.starts_with('.') && !is_tool_file(name)
    })
}
