//! Signals: the first SIGTERM or SIGINT starts a drain, the second one ends the process. SIGHUP
//! reloads hooks and secrets.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells the parts of the process when to stop and when to reload.
#[derive(Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
    reloads: watch::Receiver<()>,
}

// === impl Shutdown ===

impl Shutdown {
    /// Starts to listen for signals.
    pub fn on_signals() -> std::io::Result<Shutdown> {
        let (ask, asked) = watch::channel(false);
        let (reload, reloads) = watch::channel(());
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {
                        tracing::info!("hooks and secrets are read again; the node's own settings need a restart");
                        reload.send_replace(());
                        continue;
                    }
                }
                if *ask.borrow() {
                    tracing::warn!("asked twice: stopping at once");
                    std::process::exit(130);
                }

                tracing::info!("asked to stop: no new connections, what runs may end");
                ask.send_replace(true);
            }
        });
        Ok(Shutdown { asked, reloads })
    }

    /// Changes with each SIGHUP.
    pub fn reloads(&self) -> watch::Receiver<()> {
        self.reloads.clone()
    }

    /// Returns when the process should stop.
    pub async fn asked(mut self) {
        // The sender exists until the process ends.
        self.asked.wait_for(|asked| *asked).await.ok();
    }
}
