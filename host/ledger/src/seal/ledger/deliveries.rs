//! The steps of a delivery: what they store is sealed, and the events and replies that they return
//! are opened.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::SealedLedger;
use crate::commit_times::CommitObserver;
use crate::error::LedgerError;
use crate::flow_counts::FlowCount;
use crate::held::Stranded;
use crate::lead::Lead;
use crate::recordings::NewRecording;
use crate::seal::values::OfDelivery;
use crate::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent, Received, Started,
};
use crate::traits::Deliveries;
use landfall_model::{DedupKey, Event, EventId, HookRetentions, LedgerTime, Stored};

#[async_trait]
impl Deliveries for SealedLedger {
    async fn close(&self) {
        self.inner.close().await;
    }

    fn now(&self) -> LedgerTime {
        self.inner.now()
    }

    fn can_accept(&self) -> bool {
        self.inner.can_accept()
    }

    fn refusal(&self) -> Option<LedgerError> {
        self.inner.refusal()
    }

    fn removed_by_size(&self) -> usize {
        self.inner.removed_by_size()
    }

    fn is_retention_stopped(&self) -> bool {
        self.inner.is_retention_stopped()
    }

    fn observe_commits(&self, observer: CommitObserver) {
        self.inner.observe_commits(observer);
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn hints(&self) -> Option<mpsc::Receiver<String>> {
        self.inner.hints()
    }

    fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Option<()> {
        let (event, of) = (stored.event(), OfDelivery::First);
        let attempt = self.seal_attempt((&event.id, of, 1), attempt);
        let disposition = self.seal_disposition((&event.id, &event.hook, of), disposition);
        self.inner
            .record_later(self.seal_stored(stored), attempt, disposition)
    }

    async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        let accepted = self
            .inner
            .accept(self.seal_new_event(new), cancelled)
            .await?;
        Ok(self.open_accepted(accepted).await)
    }

    async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError> {
        let (dedup, digest) = (self.dedup(dedup), self.digest(&digest));
        let found = self
            .inner
            .find_duplicate(hook, dedup, digest, duplicate)
            .await?;
        Ok(match found {
            Some(accepted) => Some(self.open_accepted(accepted).await),
            None => None,
        })
    }

    async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        let id = received.new.stored.event().id;
        let received = Received {
            new: self.seal_new_event(received.new),
            ..received
        };
        let started = self.inner.start(received).await?;
        self.open_started(id, started).await
    }

    async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError> {
        self.inner.hand_over(handed, kept, pause).await
    }

    async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError> {
        let mut found = self.inner.claim(hooks).await?;
        for claimed in found.iter_mut().flat_map(|(_, claimed, _)| claimed) {
            let event = claimed.event.take();
            claimed.event = event.map(|event| event.and_then(|event| self.open_claimed(event)));
            for member in &mut claimed.members {
                let event = member.take();
                *member = event.map(|event| event.and_then(|event| self.open_claimed(event)));
            }
        }
        Ok(found)
    }

    fn take_flow_counts(&self) -> Vec<FlowCount> {
        self.inner.take_flow_counts()
    }

    async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let of = OfDelivery::Number(fence.delivery);
        let attempt = self.seal_attempt((&event.id, of, fence.attempt), attempt);
        let disposition = self.seal_disposition((&event.id, &event.hook, of), disposition);
        let disposition = self.expect_stored(&event.hook, disposition).await?;
        self.inner.finish(fence, event, attempt, disposition).await
    }

    async fn dead_letter_unreadable(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        self.inner.dead_letter_unreadable(fence, why).await
    }

    async fn split(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        self.inner.split(fence, why).await
    }

    async fn free_stranded(&self, after: Option<(String, i64)>) -> Result<Stranded, LedgerError> {
        self.inner.free_stranded(after).await
    }

    async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError> {
        self.inner.release(fences, pause).await
    }

    async fn heartbeat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError> {
        self.inner.heartbeat(fences).await
    }

    async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let (id, hook) = (stored.event().id, stored.event().hook.clone());
        let of = OfDelivery::First;
        let attempt = self.seal_attempt((&id, of, 1), attempt);
        let disposition = self.seal_disposition((&id, &hook, of), disposition);
        let disposition = self.expect_stored(&hook, disposition).await?;
        self.inner
            .record(self.seal_stored(stored), attempt, disposition)
            .await
    }

    async fn store_recordings(&self, new: Vec<NewRecording>) -> Result<Vec<usize>, LedgerError> {
        let sealed = self.seal_recordings(new);
        self.inner.store_recordings(sealed).await
    }

    async fn prune(&self, hooks: HookRetentions) -> Result<usize, LedgerError> {
        self.inner.prune(hooks).await
    }

    async fn put_own(
        &self,
        lead: &'static str,
        owner: &'static str,
        key: String,
        value: Option<Bytes>,
    ) -> Result<bool, LedgerError> {
        self.inner.put_own(lead, owner, key, value).await
    }

    async fn lead(&self, what: &'static str, lasts: Duration) -> Result<Lead, LedgerError> {
        self.inner.lead(what, lasts).await
    }

    async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError> {
        self.inner.pause(hook, paused).await
    }

    async fn paused(&self) -> Result<Vec<String>, LedgerError> {
        self.inner.paused().await
    }

    async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError> {
        self.inner.hooks_with_work().await
    }
}
