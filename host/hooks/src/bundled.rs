//! The components that came with the binary.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::{FileContent, FileError, read_in};

/// A directory of components that do not change while the process runs.
#[derive(Debug)]
pub(crate) struct Bundled {
    dir: Option<PathBuf>,
    files: BTreeMap<String, Option<FileContent>>,
}

// === impl Bundled ===

impl Bundled {
    pub(crate) fn new(dir: Option<PathBuf>) -> Bundled {
        Bundled {
            dir,
            files: BTreeMap::new(),
        }
    }

    /// A component or a signature by the name of its file. The first call for a name blocks.
    pub(crate) fn get(&mut self, name: &str) -> Option<FileContent> {
        let dir = self.dir.as_ref()?;
        self.files
            .entry(name.into())
            .or_insert_with(|| match read_in(dir, name) {
                Err(FileError::NotFound) => None,
                content => Some(content),
            })
            .clone()
    }
}
