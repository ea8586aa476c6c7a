//! What is written of decisions: an entry in the audit record, a log line, and a count.

use landfall_admin::CandidateRefused;
use landfall_candidate::{By, Decided};
use landfall_ledger::{LedgerError, NewAudit};
use landfall_model::clock::to_ms;
use serde_json::json;

use super::CandidateControl;

// === impl CandidateControl ===

impl CandidateControl {
    /// An entry in the audit record for a decision of a rule. Those of operators have one of their
    /// request.
    pub(super) async fn audit(
        &self,
        action: &'static str,
        hook: &str,
        digest: &str,
        by: By,
        reason: &str,
    ) -> Result<Option<i64>, CandidateRefused> {
        if by == By::Operator {
            return Ok(None);
        }
        let new = NewAudit {
            at_ms: to_ms(self.clock.now()),
            role: "rule",
            token: String::new(),
            address: None,
            action,
            hook: Some(hook.to_owned()),
            detail: json!({ "digest": digest, "reason": reason }).to_string(),
        };
        let entry = self.ledger().audit(new).await;
        entry.map(Some).map_err(ledger)
    }

    /// Adds the result of a decision to its entry.
    pub(super) async fn audited(
        &self,
        entry: Option<i64>,
        by: By,
        decided: Result<bool, LedgerError>,
    ) -> Result<bool, CandidateRefused> {
        if let Err(error) = &decided {
            tracing::warn!(by = by.word(), %error, "a decision on a candidate cannot be stored yet");
        }
        if let Some(entry) = entry {
            let result = match &decided {
                Ok(decided) => json!({ "decided": decided }),
                Err(error) => json!({ "status": 503, "error": error.to_string() }),
            };
            let added = self.ledger().audit_result(entry, result.to_string());
            if let Err(error) = added.await {
                tracing::warn!(%error, "the result of a decision is not in the audit record");
            }
        }
        decided.map_err(ledger)
    }

    /// Logs and counts a decision of this node.
    pub(super) fn announce(
        &self,
        hook: &str,
        decided: Decided,
        digest: &str,
        by: By,
        reason: &str,
    ) {
        let (decision, by) = (decided.word(), by.word());
        match decided {
            Decided::Started => tracing::info!(hook, digest, "the candidate is tried"),
            Decided::Promoted => {
                tracing::info!(
                    hook,
                    decision,
                    digest,
                    by,
                    reason,
                    "the candidate serves from now on"
                );
            }
            Decided::RolledBack => {
                tracing::warn!(
                    hook,
                    decision,
                    digest,
                    by,
                    reason,
                    "the candidate was rolled back"
                );
            }
        }
        if let Some(hook) = self.hooks.named(hook) {
            hook.metrics.count_candidate_decision(decision);
        }
    }
}

pub(super) fn ledger(error: LedgerError) -> CandidateRefused {
    CandidateRefused::Ledger(error)
}
