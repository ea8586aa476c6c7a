//! What `landfall dev` serves: the plugins and data directories of its node, in `.landfall/` of the handler's folder.

use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::place::place;
use crate::project::Project;

/// Folders of the handler that a hook file may refer to.
const LINKED: [&str; 2] = ["secrets", "providers"];

/// Added to the served hook file, so that the same sample runs each time it is sent.
const EVERY_REQUEST_RUNS: &str =
    "\n# Added by `landfall dev`: a request runs also if it came before.\n[dedup]\nid = \"none\"\n";

/// The `.landfall` of a handler's folder.
#[derive(Debug, Clone)]
pub struct ServedFolder {
    dir: PathBuf,
}

// === impl ServedFolder ===

impl ServedFolder {
    /// Creates the folder. Its plugins directory has links to the handler's secrets and provider packs.
    pub fn create(project: &Project) -> anyhow::Result<ServedFolder> {
        let served = ServedFolder {
            dir: project.dir.join(".landfall"),
        };
        for dir in [&served.dir, &served.plugins(), &served.data()] {
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("{} cannot be created", dir.display()))?;
        }
        for name in LINKED {
            let link = served.plugins().join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("../..").join(name), &link)
                    .with_context(|| format!("{} cannot be created", link.display()))?;
            }
        }
        Ok(served)
    }

    /// The plugins directory of the node.
    pub fn plugins(&self) -> PathBuf {
        self.dir.join("plugins")
    }

    /// The data directory of the node.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Serves the hook file of the handler.
    pub fn update_hook_file(&self, project: &Project) -> anyhow::Result<()> {
        let path = project.hook_file();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let target = self.plugins().join(format!("{}.toml", project.name));
        place(served_text(text).as_bytes(), &target)
    }

    /// Serves a component that was built.
    pub fn update_component(&self, project: &Project, component: &Path) -> anyhow::Result<()> {
        let bytes = std::fs::read(component)
            .with_context(|| format!("{} cannot be read", component.display()))?;
        let target = self.plugins().join(format!("{}.wasm", project.name));
        place(&bytes, &target)
    }
}

/// The lines of the author stay where they are, so that an error names the right one.
fn served_text(text: String) -> String {
    let has_dedup = text
        .parse::<toml::Table>()
        .map_or(true, |table| table.contains_key("dedup"));
    if has_dedup {
        text
    } else {
        text.trim_end().to_owned() + "\n" + EVERY_REQUEST_RUNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_dedup_rules_stay() {
        let served = served_text("path = \"/a\"\n\n[verify]\nprovider = \"github\"\n".into());
        let table: toml::Table = served.parse().unwrap();
        assert_eq!(table["dedup"]["id"].as_str(), Some("none"));
        for kept in ["[dedup]\nwindow = \"1d\"\n", "not = = toml"] {
            assert_eq!(served_text(kept.into()), kept);
        }
    }
}
