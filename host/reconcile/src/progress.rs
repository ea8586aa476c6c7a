//! How far the scheduled runs of a hook have come, and which deliveries need no further look. Kept
//! in the ledger, so that a restarted node goes on, and other nodes see it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::listing::Window;
use landfall_ledger::{Ledger, LedgerError};
use landfall_model::{HookName, ReconcileSpec};

/// The name of this part of the node in the ledger.
const PART: &str = "_reconcile";
/// A hook that is asked about no more is forgotten after this time.
const KEEP: Duration = Duration::from_secs(90 * 86_400);
/// Each window begins this long before the end of the last one, because a delivery can enter the
/// list late.
const OVERLAP_MS: i64 = 3_600_000;

/// The state of a hook's scheduled runs. Times are in ms since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// When the last run began.
    pub(crate) started_ms: Option<i64>,
    /// When its last page was stored.
    pub(crate) touched_ms: Option<i64>,
    /// Everything before this time has been seen.
    pub(crate) done_ms: Option<i64>,
    /// The run that has not come to its end.
    pub(crate) open: Option<Open>,
}

/// A run that goes on after its last page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    /// What to ask for next. `None`: the first page.
    pub(crate) cursor: Option<String>,
    /// The pages of the window that were read.
    #[serde(default)]
    pub(crate) pages: u64,
    /// When the oldest delivery was sent whose content could not be read.
    #[serde(default)]
    pub(crate) unread_ms: Option<i64>,
}

// === impl Progress ===

impl Progress {
    /// The stored progress. Progress that cannot be read is none: a run finds again what is known.
    pub(crate) async fn read(
        ledger: &dyn Ledger,
        hook: &HookName,
    ) -> Result<Progress, LedgerError> {
        let stored = ledger.get(Arc::from(PART), hook.to_string()).await?;
        let progress = stored.and_then(|value| serde_json::from_slice(&value.bytes).ok());
        Ok(progress.unwrap_or_default())
    }

    /// Stores the progress.
    pub(crate) async fn write(
        &self,
        ledger: &dyn Ledger,
        hook: &HookName,
    ) -> Result<(), LedgerError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        ledger.note(PART, hook.to_string(), text, KEEP).await
    }

    /// The window of the next run, and where in it the run begins.
    pub(crate) fn next(&self, spec: &ReconcileSpec, now_ms: i64, settle_ms: i64) -> Open {
        let first_ms = now_ms - spec.since.as_millis() as i64;
        match &self.open {
            // What has grown too old is left out, and with it a cursor that the API has forgotten.
            Some(open) if (first_ms..=now_ms).contains(&open.until_ms) => open.clone(),
            _ => {
                // Of a clock that was ahead.
                let done_ms = self.done_ms.filter(|done_ms| *done_ms <= now_ms);
                Open {
                    since_ms: done_ms.unwrap_or(first_ms).max(first_ms),
                    until_ms: now_ms - settle_ms,
                    ..Open::default()
                }
            }
        }
    }

    /// The progress after the end of a window. The next one begins with what could not be read.
    pub(crate) fn ended(&self, open: &Open) -> Progress {
        let done_ms = open.until_ms - OVERLAP_MS;
        Progress {
            done_ms: Some(done_ms.min(open.unread_ms.unwrap_or(done_ms))),
            open: None,
            ..self.clone()
        }
    }
}

// === impl Open ===

impl Open {
    /// The window without the place in it.
    pub(crate) fn window(&self) -> Window {
        Window {
            since_ms: self.since_ms,
            until_ms: self.until_ms,
        }
    }
}

/// Whether a run has looked at this delivery to its end.
pub(crate) async fn is_noted(
    ledger: &dyn Ledger,
    hook: &HookName,
    id: &str,
) -> Result<bool, LedgerError> {
    let found = ledger.get(Arc::from(PART), noted(hook, id)).await?;
    Ok(found.is_some())
}

/// Notes that no later run needs to look at this delivery.
pub(crate) async fn note(
    ledger: &dyn Ledger,
    hook: &HookName,
    id: &str,
    result: &str,
    keep: Duration,
) -> Result<(), LedgerError> {
    let key = noted(hook, id);
    ledger.note(PART, key, result.to_owned(), keep).await
}

/// No name of a hook contains a slash.
fn noted(hook: &HookName, id: &str) -> String {
    format!("{hook}/{id}")
}

#[cfg(test)]
mod tests {
    use landfall_model::{FindMissed, ReconcileSource, SecretRef};

    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const DAY: i64 = 86_400_000;

    fn spec() -> ReconcileSpec {
        ReconcileSpec {
            source: ReconcileSource::Stripe {
                account: None,
                types: Vec::new(),
            },
            api: "https://api.stripe.com/".parse().unwrap(),
            credential: SecretRef::Env("KEY".into()),
            every: Duration::from_secs(900),
            since: Duration::from_secs(3 * 86_400),
            find: FindMissed::Failed,
        }
    }

    #[test]
    fn windows_follow_each_other() {
        let first = Progress::default().next(&spec(), NOW, 1000);
        assert_eq!(
            (first.since_ms, first.until_ms),
            (NOW - 3 * DAY, NOW - 1000)
        );

        let ended = Progress::default().ended(&first);
        let second = ended.next(&spec(), NOW + 900_000, 1000);
        assert_eq!(second.since_ms, NOW - 1000 - OVERLAP_MS);
        let late = ended.next(&spec(), NOW + 10 * DAY, 1000);
        assert_eq!(late.since_ms, NOW + 7 * DAY, "no further than `since`");
    }

    #[test]
    fn unread_deliveries_stay_in_the_window() {
        let mut open = Progress::default().next(&spec(), NOW, 0);
        open.unread_ms = Some(NOW - DAY);
        let second = Progress::default()
            .ended(&open)
            .next(&spec(), NOW + 900_000, 0);
        assert_eq!(second.since_ms, NOW - DAY);
        assert_eq!(second.unread_ms, None);
        open.unread_ms = Some(NOW);
        assert_eq!(
            Progress::default().ended(&open).done_ms,
            Some(NOW - OVERLAP_MS)
        );
    }

    #[test]
    fn clocks_that_were_ahead_hide_nothing() {
        let ahead = NOW + 365 * DAY;
        let first = Progress::default().next(&spec(), ahead, 0);
        let ended = Progress::default().ended(&first);
        let corrected = ended.next(&spec(), NOW, 0);
        assert_eq!(
            (corrected.since_ms, corrected.until_ms),
            (NOW - 3 * DAY, NOW)
        );

        let open = Progress {
            open: Some(first),
            ..Progress::default()
        };
        assert_eq!(open.next(&spec(), NOW, 0).until_ms, NOW);
    }

    #[test]
    fn open_runs_go_on() {
        let open = Open {
            since_ms: NOW - DAY,
            until_ms: NOW,
            cursor: Some("v1_7".into()),
            pages: 7,
            unread_ms: None,
        };
        let progress = Progress {
            open: Some(open.clone()),
            ..Progress::default()
        };
        assert_eq!(progress.next(&spec(), NOW + DAY, 0), open);
        assert_eq!(progress.next(&spec(), NOW + 5 * DAY, 0).cursor, None);

        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }
}
