//! The builds of the folder. A new one stops the one that runs, which is out of date.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use landfall_author::{Built, NextBuild, Project, Start, Stop, build_until};
use tokio::task::JoinHandle;

use super::row::{Next, Row, file_clock};
use crate::cli::output::untrusted;

/// Builds one folder.
pub(super) struct Builds {
    project: Project,
    install: bool,
    running: Option<Running>,
    /// The next build, as far as it needs no change.
    next: NextBuild,
    /// Whether a build has come to its end.
    has_ended: bool,
    row: Row,
    is_closed: bool,
}

/// A build that runs. Dropping it kills its tools.
struct Running {
    began: Instant,
    tools: Stop,
    build: JoinHandle<anyhow::Result<Built>>,
}

/// A build that has ended.
pub(super) struct Finished {
    /// When it was started.
    pub began: Instant,
    /// The component, or why there is none.
    pub built: anyhow::Result<Built>,
}

// === impl Builds ===

impl Builds {
    /// `install` runs the commands that install what is missing.
    pub(super) fn new(project: Project, install: bool) -> Builds {
        Builds {
            project,
            install,
            running: None,
            next: NextBuild::default(),
            has_ended: false,
            row: Row::default(),
            is_closed: false,
        }
    }

    /// Begins the next build, if none runs, so that a change has less to wait for.
    pub(super) fn begin_next(&mut self) {
        if !self.is_closed && self.running.is_none() {
            self.next.begin(&self.project);
        }
    }

    /// These files of the component have changed: builds it again, unless the builds themselves
    /// change them.
    pub(super) fn changed(&mut self, files: &[PathBuf]) {
        let Some(file) = files.first().filter(|_| !self.is_closed) else {
            return;
        };

        let file = file.strip_prefix(&self.project.dir).unwrap_or(file);
        let file = file.display();
        let next = self.row.changed(files);
        match next {
            Next::Build => {}
            Next::BuildAgain => {
                untrusted("", &format!("{file} has changed: the build starts again"));
            }
            Next::BuildOnceMore => {
                let said = format!(
                    "{file} changes while it is built: this build goes on, and one more follows"
                );
                untrusted("", &said);
            }
            Next::Nothing => {
                let said = format!(
                    "! {file} has changed during a build, as the sources did in each build before: this change is not built. \
                     If the builds write into the sources, let them write into build/; otherwise save the file again"
                );
                untrusted("", &said);
            }
        }
        if matches!(next, Next::Build | Next::BuildAgain) {
            self.start();
        }
    }

    /// Starts a build in the background.
    pub(super) fn start(&mut self) {
        if self.is_closed {
            return;
        }

        let (project, install, tools) = (self.project.clone(), self.install, Stop::default());
        let (stop, start) = (tools.clone(), self.how_to_start());
        self.running = Some(Running {
            began: Instant::now(),
            tools,
            build: tokio::task::spawn_blocking(move || {
                build_until(&project, install, start, &stop)
            }),
        });
    }

    /// Only the first build begins the next one beside it. A later build would be slower for it,
    /// and the next one begins when its version is live.
    fn how_to_start(&self) -> Start {
        match self.next.take() {
            Some(ahead) => Start::GoOn(ahead),
            None if self.has_ended => Start::Alone,
            None => Start::WithNext(self.next.clone()),
        }
    }

    /// Waits for the end of the build that runs; without one it never returns. If it is cancelled,
    /// the build goes on.
    pub(super) async fn finished(&mut self) -> Finished {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };

        let ended = (&mut running.build).await;
        let began = running.began;
        self.running = None;
        self.has_ended = true;
        if self.row.ended(file_clock()) {
            self.start();
        }
        Finished {
            began,
            built: ended.context("the build panicked").flatten(),
        }
    }

    /// Stops the build that runs. No other one starts.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.running = None;
        drop(self.next.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tools.stop();
    }
}
