//! Hears of changes where the system tells of them. Where it does not (mounted buckets, some networks), polling finds them.

use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Tells that something changed; not what.
pub struct Watch {
    dir: PathBuf,
    watcher: Option<RecommendedWatcher>,
    heard: mpsc::Receiver<()>,
    tell: mpsc::Sender<()>,
    inode: Option<u64>,
}

// === impl Watch ===

impl Watch {
    pub fn new(dir: &Path) -> Watch {
        // One place: many changes are one reason to look.
        let (tell, heard) = mpsc::channel(1);
        let mut watch = Watch {
            dir: dir.into(),
            watcher: None,
            heard,
            tell,
            inode: None,
        };
        watch.renew();
        watch
    }

    /// Watches anew where the directory is another one than before: created, mounted, replaced.
    pub fn renew(&mut self) {
        use std::os::unix::fs::MetadataExt;
        let inode = std::fs::metadata(&self.dir).ok().map(|meta| meta.ino());
        if inode == self.inode {
            return;
        }
        self.inode = inode;
        self.watcher = inode.and_then(|_| {
            self.watcher()
                .map_err(|error| {
                    tracing::info!(dir = %self.dir.display(), %error, "no change notices here: polling only");
                })
                .ok()
        });
    }

    /// Returns when something was heard.
    pub async fn heard(&mut self) {
        // The sender lives in `self`, so the channel stays open.
        self.heard.recv().await;
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let tell = self.tell.clone();
        let on_event = move |event: notify::Result<notify::Event>| {
            // Reading the files makes events too; an overflow comes as an error and is a reason to look.
            if event.map_or(true, |event| !event.kind.is_access()) {
                tell.try_send(()).ok();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event)?;
        watcher.watch(&self.dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}
