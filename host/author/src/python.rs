//! The build of a handler in Python, which can begin before the change that it is for.

use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::exec::{Ran, Show, Waiting};
use crate::project::{Language, Project};
use landfall_model::lock;

/// A build that has done what does not depend on the handler's sources. Its tools end when it is
/// dropped.
#[derive(Debug)]
pub struct Ahead(Waiting);

/// The build that follows, if it has begun. All clones are the same place, which has at most one.
#[derive(Debug, Clone, Default)]
pub struct NextBuild(Arc<Mutex<Option<Ahead>>>);

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
    fn begin(project: &Project) -> Option<Ahead> {
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

    fn has_ended(&mut self) -> bool {
        self.0.has_ended()
    }
}

// === impl NextBuild ===

impl NextBuild {
    /// Begins it, unless one that has begun waits for its sources or prepares to.
    pub fn begin(&self, project: &Project) {
        let mut next = lock(&self.0);
        if next.as_mut().is_none_or(Ahead::has_ended) {
            *next = Ahead::begin(project);
        }
    }

    /// Takes it out. `None`: none has begun.
    pub fn take(&self) -> Option<Ahead> {
        lock(&self.0).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(script: &str) -> NextBuild {
        let tool = Waiting::start(Command::new("sh").args(["-c", script])).unwrap();
        NextBuild(Arc::new(Mutex::new(Some(Ahead(tool)))))
    }

    #[test]
    fn one_build_is_begun() {
        // It has no Python: a build that is begun there is `None`.
        let dir = tempfile::tempdir().unwrap();
        let project = Project {
            dir: dir.path().into(),
            language: Language::Python,
            name: "a".into(),
            hook: "a".into(),
        };

        let waits = begun("read line");
        waits.clone().begin(&project);
        assert!(waits.take().is_some() && waits.take().is_none());

        let ended = begun("exit 1");
        while !lock(&ended.0).as_mut().unwrap().has_ended() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        ended.begin(&project);
        assert!(ended.take().is_none());
    }
}
