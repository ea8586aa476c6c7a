//! The build of a handler in Python, which can begin before the change that it is for.

use std::io;
use std::process::Command;

use crate::exec::{Ran, Show, Waiting};
use crate::project::{Language, Project};

/// A build that has done what does not depend on the handler's sources. Its tools end when it is
/// dropped.
#[derive(Debug)]
pub struct Ahead(Waiting);

/// The command that builds.
pub(crate) fn build(project: &Project) -> Command {
    let mut python = Command::new(project.dir.join(".venv/bin/python"));
    // `-P`: the author's modules do not replace those of Python.
    python
        .args(["-P", "-m", "landfall_sdk.build"])
        .current_dir(&project.dir);
    python
}

// === impl Ahead ===

impl Ahead {
    /// Begins the next build. `None`: the language has nothing to do before a change, or its tool
    /// does not start.
    pub fn begin(project: &Project) -> Option<Ahead> {
        if project.language != Language::Python {
            return None;
        }
        Waiting::start(build(project).arg("--ahead"))
            .ok()
            .map(Ahead)
    }

    /// Builds with the sources as they are now. `None`: it has ended already.
    pub(crate) fn go_on(self) -> io::Result<Option<Ran>> {
        self.0.go_on(Show::All)
    }
}
