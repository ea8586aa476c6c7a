//! When to stop: SIGTERM or SIGINT once for a drain, twice for at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells every part of the process that it should stop.
#[derive(Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

// === impl Shutdown ===

impl Shutdown {
    /// Listens for signals from now on.
    pub fn on_signals() -> std::io::Result<Shutdown> {
        let (ask, asked) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            for times in 1.. {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if times > 1 {
                    tracing::warn!("asked twice: stopping at once");
                    std::process::exit(130);
                }
                tracing::info!("asked to stop: no new connections, what runs may end");
                ask.send_replace(true);
            }
        });
        Ok(Shutdown { asked })
    }

    /// Returns when the process should stop.
    pub async fn asked(mut self) {
        // The sender lives as long as the process.
        self.asked.wait_for(|asked| *asked).await.ok();
    }
}
