//! Encrypts what the ledger has stored without the first key of `ledger.encryption_keys`: once after
//! each start, and then at intervals.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_ledger::{Encryption, EncryptionProgress, Ledger};
use landfall_metrics::Gauges;
use landfall_model::lock;

/// The time between two passes.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// The first pass waits for a node to be busy with its start.
const FIRST: Duration = Duration::from_secs(5);
/// The pause after each page of 200 records.
const PAUSE: Duration = Duration::from_millis(20);
/// The time between two log lines of a pass.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// Of the nodes of a shared ledger, one encrypts. It asks again before each pass.
const RIGHT: &str = "_encryption";
const RIGHT_LASTS: Duration = Duration::from_secs(3600);

/// The passes of this node.
pub(crate) struct EncryptionJob {
    encryption: Encryption,
    ledger: Arc<dyn Ledger>,
    progress: Mutex<Seen>,
}

/// What is known from the pass that runs, and from the last one that ended.
#[derive(Default)]
struct Seen {
    running: Option<EncryptionProgress>,
    last: Option<EncryptionProgress>,
}

// === impl EncryptionJob ===

impl EncryptionJob {
    pub(crate) fn new(encryption: Encryption, ledger: Arc<dyn Ledger>) -> EncryptionJob {
        EncryptionJob {
            encryption,
            ledger,
            progress: Mutex::default(),
        }
    }

    /// Runs until the process ends.
    pub(crate) async fn run(self: Arc<Self>) {
        tokio::time::sleep(FIRST).await;
        loop {
            match self.ledger.lead(RIGHT, RIGHT_LASTS).await {
                Ok(right) if right.is_own() => self.pass().await,
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "the ledger cannot be encrypted"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn pass(&self) {
        let (began, next_line) = (Instant::now(), Mutex::new(Instant::now() + REPORT_EVERY));
        let report = |progress: &EncryptionProgress| {
            lock(&self.progress).running = Some(progress.clone());
            let mut next = lock(&next_line);
            if *next <= Instant::now() {
                *next = Instant::now() + REPORT_EVERY;
                let EncryptionProgress {
                    kind,
                    read,
                    encrypted,
                    ..
                } = progress;
                tracing::info!(kind, read, encrypted, "the ledger is being encrypted");
            }
        };
        let ended = self.encryption.pass(PAUSE, &report).await;

        let mut seen = lock(&self.progress);
        seen.running = None;
        match ended {
            Ok(progress) => {
                let (read, encrypted, left) = (progress.read, progress.encrypted, progress.left);
                let key = self.encryption.current();
                let seconds = began.elapsed().as_secs();
                if left > 0 {
                    tracing::warn!(%key, read, encrypted, left, seconds, "the ledger is encrypted, but for records that cannot be read");
                } else if encrypted > 0 {
                    tracing::info!(%key, read, encrypted, seconds, "the ledger is encrypted with the first key");
                }
                seen.last = Some(progress);
            }
            Err(error) => {
                tracing::error!(%error, "the encryption of the ledger stopped: the next pass goes on")
            }
        }
    }

    /// The gauges of a scrape.
    pub(crate) fn add_to(&self, gauges: &Gauges) {
        let seen = lock(&self.progress);
        if let Some(running) = &seen.running {
            gauges.set(
                "landfall_ledger_encryption_read",
                "Records that the running pass of the encryption has read.",
                running.read as f64,
            );
        }
        let Some(last) = &seen.last else {
            return;
        };

        let by_key = last.by_key.iter();
        gauges.set_all(
            "landfall_ledger_encrypted_records",
            "Records of the ledger that are encrypted with a key, at the end of the last pass.",
            ["key"],
            by_key.map(|(key, count)| ([key.clone()], *count as f64)),
        );
        gauges.set(
            "landfall_ledger_unencrypted_records",
            "Records that the last pass of the encryption could not read or replace.",
            last.left as f64,
        );
        gauges.set(
            "landfall_ledger_encryption_keys",
            "Keys that the ledger needs, at the end of the last pass of the encryption.",
            last.keys as f64,
        );
    }
}
