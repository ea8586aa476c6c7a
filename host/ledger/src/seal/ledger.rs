//! A ledger that encrypts what it stores: it seals the parts of each step, and opens what the ledger
//! below returns. Every other step passes through.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ring::hmac;
use tokio::sync::mpsc;

use super::event;
use super::keys::{LedgerKeys, MAGIC, NotOpened};
use super::values;
use crate::activity::{Activity, ActivityQuery};
use crate::audit::{AuditEntry, AuditFilter, NewAudit};
use crate::backlog::LedgerUse;
use crate::candidates::{Candidates, StoredCandidate};
use crate::commit_times::CommitObserver;
use crate::erase::{Erasure, Scrubbed};
use crate::error::LedgerError;
use crate::held::Stranded;
use crate::lead::Lead;
use crate::raw::{RawChange, RawCursor, RawKind, RawRecord};
use crate::recordings::{NewRecording, RecordingFilter, StoredRecording};
use crate::shown::{Content, Count, Filter, Listed, Parts, Purged, Shown, StoredRow, StoredValue};
use crate::steps::{
    Accepted, AlreadyEnded, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent,
    Received, ReplayOrder, Replayed, Results, Started, Step,
};
use crate::traits::{Deliveries, History, Kv, Ledger, Notes, RawRecords};
use landfall_model::{
    Admission, Corrupt, DedupKey, Effects, Event, EventId, HookRetentions, KvChange, KvExpected,
    KvValue, KvWrite, LedgerTime, Row, Stored,
};

/// In an identity, this precedes the digest of the body as sent, which ends it.
const SENT: &[u8] = b"\0sent\0";
const DIGEST_BYTES: usize = 32;

/// Seals and opens what a ledger stores.
pub(super) struct SealedLedger {
    pub(super) inner: Arc<dyn Ledger>,
    pub(super) keys: Arc<LedgerKeys>,
    /// For digests of bodies, which stay the same when the keys rotate.
    pub(super) digests: hmac::Key,
}

/// What a value that cannot be opened means for the step that needs it.
fn refused(error: NotOpened) -> LedgerError {
    LedgerError::Other(match error {
        NotOpened::NoKey(key) => format!(
            "a stored value is encrypted with the key {key}, which ledger.encryption_keys does not have: add it again"
        ),
        NotOpened::Damaged => "an encrypted value is damaged".to_owned(),
    })
}

// === impl SealedLedger ===

impl SealedLedger {
    /// What duplicates are compared by: nobody can compute it without the ledger's own key.
    pub(super) fn digest(&self, digest: &[u8]) -> [u8; DIGEST_BYTES] {
        let mac = hmac::sign(&self.digests, digest);
        mac.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    pub(super) fn seal_stored(&self, stored: &Stored) -> Stored {
        event::seal(&self.keys, stored, self.digest(stored.digest()))
    }

    /// The identity, without a plain digest of the body.
    fn dedup(&self, dedup: DedupKey) -> DedupKey {
        DedupKey {
            key: self.identity(dedup.key),
            ..dedup
        }
    }

    fn identity(&self, mut key: Vec<u8>) -> Vec<u8> {
        if key.len() == DIGEST_BYTES {
            return self.digest(&key).to_vec();
        }

        let end = key.len().saturating_sub(DIGEST_BYTES);
        if key[..end].ends_with(SENT) {
            let digest = self.digest(&key[end..]);
            key[end..].copy_from_slice(&digest);
        }
        key
    }

    fn new_event(&self, new: NewEvent) -> NewEvent {
        let stored = self.seal_stored(&new.stored);
        let id = stored.event().id;
        NewEvent {
            stored,
            dedup: new.dedup.map(|dedup| self.dedup(dedup)),
            admission: match new.admission {
                // The condition has a value of the event.
                Admission::Filtered(why) => {
                    Admission::Filtered(values::seal_reason(&self.keys, &id, &why))
                }
                admission => admission,
            },
            ..new
        }
    }

    fn attempt(&self, event: &EventId, number: u32, attempt: AttemptRecord) -> AttemptRecord {
        AttemptRecord {
            reason: values::seal_reason(&self.keys, event, &attempt.reason),
            record: values::seal_record(&self.keys, event, number, &attempt.record),
            ..attempt
        }
    }

    /// Seals what an attempt stores, but for the values that it expects.
    fn disposition(&self, (id, hook): (&EventId, &str), disposition: Disposition) -> Disposition {
        match disposition {
            Disposition::Done(results) => Disposition::Done(self.results((id, hook), results)),
            Disposition::Dead(why) => Disposition::Dead(values::seal_reason(&self.keys, id, &why)),
            Disposition::Split(why) => {
                Disposition::Split(values::seal_reason(&self.keys, id, &why))
            }
            Disposition::Retry(_) | Disposition::Defer(_) => disposition,
        }
    }

    fn results(&self, (id, hook): (&EventId, &str), results: Results) -> Results {
        let Results {
            effects,
            emitted,
            quota,
            reply,
        } = results;
        let rows = effects.rows.into_iter().map(|Row { table, text }| {
            let text = values::seal_row(&self.keys, (id, hook, &table), &text);
            Row { table, text }
        });
        let writes = effects.writes.into_iter().map(|write| KvWrite {
            change: match write.change {
                KvChange::Set(value, expires_in) => {
                    let value = values::seal_value(&self.keys, hook, &write.key, value);
                    KvChange::Set(value, expires_in)
                }
                change => change,
            },
            key: write.key,
        });
        Results {
            effects: Effects {
                rows: rows.collect(),
                writes: writes.collect(),
                expected: effects.expected,
                emissions: effects.emissions,
            },
            emitted: emitted.into_iter().map(|new| self.new_event(new)).collect(),
            quota,
            reply: reply.map(|reply| values::seal_reply(&self.keys, id, &reply)),
        }
    }

    /// Replaces each expected value by what the ledger has stored for it: the ledger compares the
    /// stored bytes, which are others each time a value is sealed.
    async fn expect_stored(
        &self,
        hook: &Arc<str>,
        disposition: Disposition,
    ) -> Result<Disposition, LedgerError> {
        let Disposition::Done(mut results) = disposition else {
            return Ok(disposition);
        };
        for KvExpected { key, value } in &mut results.effects.expected {
            if value.is_none() {
                continue;
            }
            let Some(stored) = self.inner.get(hook.clone(), key.clone()).await? else {
                continue;
            };
            let opened = values::open_value(&self.keys, hook, key, stored.clone());
            let opened = opened.map_err(refused)?;
            let is_same = value.as_ref().is_some_and(|one| one.bytes == opened.bytes);
            if is_same {
                *value = Some(stored);
            }
        }
        Ok(Disposition::Done(results))
    }

    fn opened(&self, event: Event) -> Result<Event, Corrupt> {
        let id = event.id;
        event::open(&self.keys, event).map_err(|error| {
            let error = refused(error);
            tracing::error!(event = %id, %error, "an encrypted event cannot be read");
            Corrupt
        })
    }

    /// The same for an event to run. Without its key it stays encrypted: another node may have the
    /// key, and it must not become a dead letter.
    fn claimed(&self, event: Event) -> Result<Event, Corrupt> {
        match event::missing_key(&self.keys, &event) {
            Some(_) => Ok(event),
            None => self.opened(event),
        }
    }

    fn accepted(&self, accepted: Accepted) -> Accepted {
        match accepted {
            Accepted::Duplicate {
                of,
                reply: Some(reply),
            } => Accepted::Duplicate {
                of,
                // Without it, the caller gets the accepted answer.
                reply: values::open_reply(&self.keys, &of, reply).ok(),
            },
            accepted => accepted,
        }
    }

    fn reason(&self, event: &EventId, reason: String) -> String {
        values::open_reason(&self.keys, event, reason)
            .unwrap_or_else(|_| "(encrypted, and cannot be read)".to_owned())
    }

    fn listed(&self, listed: Listed) -> Listed {
        let reason = match (listed.reason, listed.event.parse()) {
            (Some(reason), Ok(event)) => Some(self.reason(&event, reason)),
            (reason, _) => reason,
        };
        Listed { reason, ..listed }
    }
}

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
        let event = stored.event();
        let attempt = self.attempt(&event.id, 1, attempt);
        let disposition = self.disposition((&event.id, &event.hook), disposition);
        self.inner
            .record_later(self.seal_stored(&stored), attempt, disposition)
    }

    async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        let accepted = self.inner.accept(self.new_event(new), cancelled).await?;
        Ok(self.accepted(accepted))
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
        Ok(found.map(|accepted| self.accepted(accepted)))
    }

    async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        let id = received.new.stored.event().id;
        let received = Received {
            new: self.new_event(received.new),
            ..received
        };
        Ok(match self.inner.start(received).await? {
            Started::AlreadyEnded(AlreadyEnded::Dead(why)) => {
                Started::AlreadyEnded(AlreadyEnded::Dead(self.reason(&id, why)))
            }
            started => started,
        })
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
            claimed.event = event.map(|event| event.and_then(|event| self.claimed(event)));
            for member in &mut claimed.members {
                let event = member.take();
                *member = event.map(|event| event.and_then(|event| self.claimed(event)));
            }
        }
        Ok(found)
    }

    async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let attempt = self.attempt(&event.id, fence.attempt, attempt);
        let disposition = self.disposition((&event.id, &event.hook), disposition);
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
        let attempt = self.attempt(&id, 1, attempt);
        let disposition = self.disposition((&id, &hook), disposition);
        let disposition = self.expect_stored(&hook, disposition).await?;
        self.inner
            .record(self.seal_stored(&stored), attempt, disposition)
            .await
    }

    async fn store_recordings(&self, new: Vec<NewRecording>) -> Result<Vec<usize>, LedgerError> {
        let sealed = new.into_iter().map(|one| {
            let of = (&one.event, one.of.number());
            let recording = values::seal_recording(&self.keys, of, &one.recording);
            NewRecording { recording, ..one }
        });
        self.inner.store_recordings(sealed.collect()).await
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
        Ok(found.into_iter().map(|one| self.listed(one)).collect())
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
            content.event = event.and_then(|event| self.opened(event).ok());
        }
        Ok(found)
    }

    async fn recordings(
        &self,
        filter: RecordingFilter,
    ) -> Result<Vec<StoredRecording>, LedgerError> {
        let mut found = self.inner.recordings(filter).await?;
        for one in &mut found {
            let event = one.event.take();
            one.event = event.and_then(|event| self.opened(event).ok());
            let stored = std::mem::take(&mut one.recording);
            // Without its event, it can neither be opened nor be run.
            let opened = one
                .event
                .as_ref()
                .map(|event| values::open_recording(&self.keys, (&event.id, one.attempt), stored));
            one.recording = opened.and_then(Result::ok).unwrap_or_default();
        }
        Ok(found)
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
        let Some(mut shown) = self.inner.show(id).await? else {
            return Ok(None);
        };
        let event = shown.event.take();
        shown.event = event.map(|event| event.and_then(|event| self.opened(event)));
        let deliveries = shown.deliveries.into_iter();
        shown.deliveries = deliveries.map(|one| self.listed(one)).collect();
        for attempt in &mut shown.attempts {
            attempt.reason = self.reason(&id, std::mem::take(&mut attempt.reason));
            let record = std::mem::take(&mut attempt.record);
            attempt.record =
                values::open_record(&self.keys, &id, attempt.number, record).unwrap_or_default();
        }
        Ok(Some(shown))
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
            let Ok(event) = row.event_id.parse() else {
                continue;
            };
            let stored = std::mem::take(&mut row.row);
            match values::open_row(&self.keys, (&event, &hook, &table), stored) {
                Ok(opened) => row.row = opened,
                Err(_) => row.damaged = true,
            }
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
        let read = shown.max(MAGIC.len());
        let name: Arc<str> = hook.as_str().into();
        let mut found = self.inner.values(hook, prefix, after, limit, read).await?;
        for value in &mut found {
            if value.beginning.starts_with(MAGIC) {
                match self.get(name.clone(), value.key.clone()).await {
                    Ok(Some(whole)) => {
                        value.bytes = whole.bytes.len() as i64;
                        value.beginning = whole.bytes.to_vec();
                    }
                    // It has ended meanwhile.
                    Ok(None) => value.beginning.clear(),
                    // It does not open, or its checksum does not match.
                    Err(LedgerError::Other(_)) => {
                        value.damaged = true;
                        value.beginning.clear();
                    }
                    Err(error) => return Err(error),
                }
            }
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

#[async_trait]
impl Kv for SealedLedger {
    async fn get(&self, hook: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        let Some(stored) = self.inner.get(hook.clone(), key.clone()).await? else {
            return Ok(None);
        };
        let opened = values::open_value(&self.keys, &hook, &key, stored);
        opened.map(Some).map_err(refused)
    }

    async fn keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        self.inner.keys(hook, prefix, after, limit).await
    }
}

#[async_trait]
impl Notes for SealedLedger {
    async fn knows(&self, hook: Arc<str>, keys: Vec<Vec<u8>>) -> Result<bool, LedgerError> {
        let keys = keys.into_iter().map(|key| self.identity(key)).collect();
        self.inner.knows(hook, keys).await
    }

    async fn note(
        &self,
        part: &'static str,
        key: String,
        text: String,
        keep: Duration,
    ) -> Result<(), LedgerError> {
        self.inner.note(part, key, text, keep).await
    }
}

/// Documents of candidates and components have nothing of an event.
#[async_trait]
impl Candidates for SealedLedger {
    async fn candidates(&self) -> Result<Vec<StoredCandidate>, LedgerError> {
        self.inner.candidates().await
    }

    async fn put_candidate(
        &self,
        hook: String,
        version: i64,
        json: String,
    ) -> Result<bool, LedgerError> {
        self.inner.put_candidate(hook, version, json).await
    }

    async fn keep_component(&self, name: String, bytes: Bytes) -> Result<(), LedgerError> {
        self.inner.keep_component(name, bytes).await
    }

    async fn kept_component(&self, name: String) -> Result<Option<Vec<u8>>, LedgerError> {
        self.inner.kept_component(name).await
    }

    async fn forget_components(&self, used: Vec<String>) -> Result<usize, LedgerError> {
        self.inner.forget_components(used).await
    }
}

#[async_trait]
impl RawRecords for SealedLedger {
    async fn raw(
        &self,
        kind: RawKind,
        after: Option<RawCursor>,
        limit: usize,
    ) -> Result<Vec<RawRecord>, LedgerError> {
        self.inner.raw(kind, after, limit).await
    }

    async fn replace_raw(&self, changes: Vec<RawChange>) -> Result<usize, LedgerError> {
        self.inner.replace_raw(changes).await
    }
}
