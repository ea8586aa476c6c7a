//! The changes of the folder, from the first build on.

use landfall_author::{Changed, Project, ServedFolder, Sources};
use tokio::sync::mpsc;

use super::builds::{Builds, Finished};
use crate::cli::output::say;

/// What has changed. It ends with the first error.
pub(super) type Changes = mpsc::Receiver<anyhow::Result<Changed>>;

/// Watches the sources. A task of its own waits for changes: it must not be interrupted between
/// noticing one and reporting it.
pub(super) fn watch(mut sources: Sources) -> Changes {
    let (report, changes) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let changed = sources.changed().await;
            let is_last = changed.is_err();
            if report.send(changed).await.is_err() || is_last {
                return;
            }
        }
    });
    changes
}

/// Builds, and begins again after a change of the sources. Returns the first build that ends.
pub(super) async fn first_build(
    builds: &mut Builds,
    changes: &mut Changes,
    served: &ServedFolder,
    project: &Project,
) -> Finished {
    builds.start();
    loop {
        tokio::select! {
            finished = builds.finished() => return finished,
            Some(Ok(changed)) = changes.recv() => {
                if changed.hook {
                    serve_hook_file(served, project);
                }
                builds.changed(&changed.code);
            }
        }
    }
}

/// An editor may be replacing the file: an error is no reason to end.
pub(super) fn serve_hook_file(served: &ServedFolder, project: &Project) {
    if let Err(error) = served.update_hook_file(project) {
        say!("! {error:#}");
    }
}
