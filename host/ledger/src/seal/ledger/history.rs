//! What an operator sees and does: what is shown is opened.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::SealedLedger;
use super::tables::READ_MIN;
use crate::activity::{Activity, ActivityQuery};
use crate::audit::{AuditEntry, AuditFilter, NewAudit};
use crate::backlog::LedgerUse;
use crate::erase::{Erasure, Scrubbed};
use crate::error::LedgerError;
use crate::recordings::{RecordingFilter, StoredRecording};
use crate::shown::{Content, Count, Filter, Listed, Parts, Purged, Shown, StoredRow, StoredValue};
use crate::steps::{ReplayOrder, Replayed, Step};
use crate::traits::History;
use crate::tries::{NewTry, TryPart, TryParts};
use landfall_model::EventId;

#[async_trait]
impl History for SealedLedger {
    async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError> {
        self.inner.replay(order).await
    }

    async fn operate(&self, step: Step, deliveries: Vec<i64>) -> Result<Vec<i64>, LedgerError> {
        self.inner.operate(step, deliveries).await
    }

    async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError> {
        self.inner.purge(hook, limit).await
    }

    async fn erase(
        &self,
        events: Vec<EventId>,
        at_ms: i64,
        dry_run: bool,
    ) -> Result<Vec<Erasure>, LedgerError> {
        self.inner.erase(events, at_ms, dry_run).await
    }

    async fn emitted_by(
        &self,
        events: Vec<EventId>,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.inner.emitted_by(events, limit).await
    }

    async fn scrub(&self) -> Result<Scrubbed, LedgerError> {
        self.inner.scrub().await
    }

    async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError> {
        self.inner.purgeable(hook).await
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError> {
        let found = self.inner.list(filter).await?;
        Ok(found.into_iter().map(|one| self.open_listed(one)).collect())
    }

    async fn floor_since(&self, since_ms: i64) -> Result<Option<i64>, LedgerError> {
        self.inner.floor_since(since_ms).await
    }

    async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError> {
        let mut found = self.inner.contents(deliveries, parts).await?;
        for content in found.values_mut() {
            let event = content.event.take();
            content.event = event.and_then(|event| self.open_event(event).ok());
        }
        Ok(found)
    }

    async fn recordings(
        &self,
        filter: RecordingFilter,
    ) -> Result<Vec<StoredRecording>, LedgerError> {
        let mut found = self.inner.recordings(filter).await?;
        for one in &mut found {
            self.open_recording(one);
        }
        Ok(found)
    }

    async fn put_try(&self, new: NewTry) -> Result<usize, LedgerError> {
        self.inner.put_try(self.seal_try(new)).await
    }

    async fn try_parts(&self, parts: TryParts) -> Result<Vec<TryPart>, LedgerError> {
        let owner = parts.owner();
        let found = self.inner.try_parts(parts).await?;
        found
            .into_iter()
            .map(|part| self.open_part(owner, part))
            .collect()
    }

    async fn remove_try(&self, hook: String, id: EventId) -> Result<(), LedgerError> {
        self.inner.remove_try(hook, id).await
    }

    async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.inner.find_ids(first, last, limit).await
    }

    async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError> {
        let found = self.inner.show(id).await?;
        Ok(found.map(|shown| self.open_shown(id, shown)))
    }

    async fn count(&self) -> Result<Vec<Count>, LedgerError> {
        self.inner.count().await
    }

    async fn usage(&self) -> Result<LedgerUse, LedgerError> {
        self.inner.usage().await
    }

    async fn rows(
        &self,
        hook: String,
        table: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, LedgerError> {
        let mut found = self
            .inner
            .rows(hook.clone(), table.clone(), after, limit)
            .await?;
        for row in &mut found {
            self.open_row((&hook, &table), row);
        }
        Ok(found)
    }

    async fn values(
        &self,
        hook: String,
        prefix: String,
        after: String,
        limit: usize,
        shown: usize,
    ) -> Result<Vec<StoredValue>, LedgerError> {
        let read = shown.max(READ_MIN);
        let name: Arc<str> = hook.as_str().into();
        let mut found = self.inner.values(hook, prefix, after, limit, read).await?;
        for value in &mut found {
            self.open_beginning(&name, value).await?;
            value.beginning.truncate(shown);
        }
        Ok(found)
    }

    async fn activity(&self, query: ActivityQuery) -> Result<Activity, LedgerError> {
        self.inner.activity(query).await
    }

    async fn audit(&self, new: NewAudit) -> Result<i64, LedgerError> {
        self.inner.audit(new).await
    }

    async fn audit_result(&self, id: i64, result: String) -> Result<(), LedgerError> {
        self.inner.audit_result(id, result).await
    }

    async fn audits(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        self.inner.audits(filter).await
    }
}
