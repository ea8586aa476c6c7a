//! Change notifications of the file system. Some file systems (mounted buckets, network shares)
//! send none: there, polling finds changes.

use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Tells that something in a directory has changed, but not what.
pub(crate) struct Watch {
    dir: PathBuf,
    watcher: Option<RecommendedWatcher>,
    changes: mpsc::Receiver<()>,
    notify: mpsc::Sender<()>,
    inode: Option<u64>,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(dir: &Path) -> Watch {
        // Capacity 1: many changes need only one scan.
        let (notify, changes) = mpsc::channel(1);
        let mut watch = Watch {
            dir: dir.into(),
            watcher: None,
            changes,
            notify,
            inode: None,
        };
        watch.renew();
        watch
    }

    /// Starts a new watch if the directory was created, mounted or replaced.
    pub(crate) fn renew(&mut self) {
        use std::os::unix::fs::MetadataExt;
        let inode = std::fs::metadata(&self.dir).ok().map(|meta| meta.ino());
        if inode == self.inode {
            return;
        }
        self.inode = inode;
        self.watcher = inode.and_then(|_| {
            self.watcher()
                .map_err(|error| {
                    tracing::info!(
                        dir = %self.dir.display(),
                        %error,
                        "the file system sends no change notifications: changes are found by \
                         polling"
                    );
                })
                .ok()
        });
    }

    /// Waits for a change.
    pub(crate) async fn changed(&mut self) {
        // `self` owns a sender, so the channel stays open.
        self.changes.recv().await;
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let notify = self.notify.clone();
        let on_event = move |event: notify::Result<notify::Event>| {
            // Reading a file causes events too, which do not count. An overflow is an error and
            // causes a scan.
            if event.map_or(true, |event| !event.kind.is_access()) {
                notify.try_send(()).ok();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event)?;
        watcher.watch(&self.dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}
