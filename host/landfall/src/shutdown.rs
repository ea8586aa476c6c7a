//! Signals: the first SIGTERM or SIGINT starts a drain, the second one ends the process. SIGHUP
//! reloads hooks and secrets.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells the parts of the process when to stop and when to reload.
#[derive(Clone)]
pub struct Shutdown {
    ask: watch::Sender<bool>,
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
        let by_signal = ask.clone();
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
                if *by_signal.borrow() {
                    tracing::warn!("asked twice: stopping at once");
                    std::process::exit(130);
                }

                tracing::info!("asked to stop: no new connections, what runs may end");
                by_signal.send_replace(true);
            }
        });
        Ok(Shutdown {
            ask,
            asked,
            reloads,
        })
    }

    /// Starts the drain, as the first signal does.
    pub fn ask(&self) {
        self.ask.send_replace(true);
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
