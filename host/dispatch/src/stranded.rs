//! A repair: deliveries that wait for a group or a batch that does not exist, or was damaged, run
//! alone. There should be none. This makes a delay of what would otherwise be a loss.

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::Dispatcher;

const EVERY: Duration = Duration::from_secs(60);
/// Each step looks at up to 1000 deliveries. The next minute goes on where these end.
const STEPS_MAX: usize = 100;

/// The hook and the number of a delivery.
type Place = (String, i64);

impl Dispatcher {
    /// Looks at once, then every minute, and when a damaged group was found. Returns when the
    /// process stops.
    pub async fn run_repair(self: Arc<Self>) {
        let mut after = None;
        loop {
            after = self.free_stranded(after).await;
            self.work.wait_for_repair(EVERY).await;
        }
    }

    /// Where the next call goes on. `None`: at the first delivery.
    async fn free_stranded(&self, mut after: Option<Place>) -> Option<Place> {
        for _ in 0..STEPS_MAX {
            let step = match self.ledger().free_stranded(after.clone()).await {
                Ok(step) => step,
                Err(error) => {
                    tracing::warn!(%error, "the ledger cannot be asked for events that wait for nothing");
                    return after;
                }
            };
            self.work.count_flow();
            for (hook, count) in step.freed {
                tracing::warn!(
                    hook,
                    count,
                    "events waited for a group that does not exist: they run alone"
                );
                let hook: Arc<str> = hook.into();
                if let Some(metrics) = self.metrics.find(&hook) {
                    metrics.count_flows("stranded", count);
                }
                self.work.mark_due(&hook);
            }
            after = step.next;
            after.as_ref()?;
        }
        after
    }
}
