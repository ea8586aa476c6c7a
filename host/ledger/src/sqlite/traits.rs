//! The ledger traits for SQLite. Each method is one transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;

use super::work::{Sync, WriteOptions};
use super::{
    OPERATOR_STEP, Sqlite, accept, activity, arrivals, audit, clock, erase, events, files, finish,
    held_repair, kv, leases, missing, operator, place, raw, read, recordings, retention, rows,
    schema, tries,
};
use crate::activity::{Activity, ActivityQuery};
use crate::audit::{AuditEntry, AuditFilter, NewAudit};
use crate::backlog::LedgerUse;
use crate::commit_times::CommitObserver;
use crate::erase::{Erasure, Scrubbed};
use crate::error::LedgerError;
use crate::flow_counts::{FlowCount, FlowNotes};
use crate::held::Stranded;
use crate::lead::Lead;
use crate::raw::{RawChange, RawCursor, RawKind, RawRecord};
use crate::recordings::{NewRecording, RecordingFilter, StoredRecording};
use crate::shown::{Content, Count, Filter, Listed, Parts, Purged, Shown, StoredRow, StoredValue};
use crate::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent, Received,
    ReplayOrder, Replayed, Started, Step,
};
use crate::traits::{Deliveries, History, Kv, Notes, RawRecords};
use crate::tries::{NewTry, TryPart, TryParts};
use landfall_model::stored_event::Stored;
use landfall_model::{
    DedupKey, Event, EventId, HookRetention, HookRetentions, KvChange, KvValue, KvWrite, LedgerTime,
};

#[async_trait]
impl Deliveries for Sqlite {
    async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }

    fn now(&self) -> LedgerTime {
        self.clock.now()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn can_accept(&self) -> bool {
        self.refusal().is_none()
    }

    fn refusal(&self) -> Option<LedgerError> {
        self.refuses().or_else(|| self.bound.stuck())
    }

    async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        if let Some(why) = self.refuses_event() {
            return Err(why);
        }
        let (owner, clock) = (self.owner, self.clock);
        let bound = self.bound.clone();
        let act = move |tx: &Connection| {
            let mut notes = FlowNotes::default();
            let now = clock.now();
            let accepted = accept::accept(tx, &new, &owner, now, Some(&bound), &mut notes)?;
            Ok((accepted, notes))
        };
        let (accepted, notes) = self
            .writer
            .write(WriteOptions::insert(Sync::Durable).unless(cancelled), act)
            .await?;
        self.flow_counts.add(notes);
        accepted.ok_or_else(|| self.bound.last_refusal())
    }

    async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        if let Some(why) = self.refuses() {
            return Err(why);
        }
        let (owner, clock) = (self.owner, self.clock);
        let bound = self.bound.clone();
        let act =
            move |tx: &Connection| arrivals::start(tx, &received, &owner, clock.now(), &bound);
        let started = self
            .writer
            .write(WriteOptions::insert(Sync::Relaxed), act)
            .await?;
        started.ok_or_else(|| self.bound.last_refusal())
    }

    async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError> {
        let clock = self.clock;
        let find = move |tx: &Connection| {
            accept::find_duplicate(tx, &hook, &dedup, &digest, &duplicate, clock.now())
        };
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), find)
            .await
    }

    async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError> {
        let due = self.now().plus(pause);
        let write = move |tx: &Connection| {
            arrivals::hand_over(tx, &handed)?;
            arrivals::release_unpublished(tx, &kept, due)
        };
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), write)
            .await
    }

    async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError> {
        if self.writer.refuses().is_some() {
            let later = Some(self.now().plus(Duration::from_secs(1)));
            return Ok(hooks
                .into_iter()
                .map(|(hook, _)| (hook, Vec::new(), later))
                .collect());
        }
        let (owner, clock) = (self.owner, self.clock);
        let act = move |connection: &Connection| {
            let now = clock.now();
            let mut notes = FlowNotes::default();
            let mut claims = Vec::with_capacity(hooks.len());
            for (hook, max) in &hooks {
                let (claimed, next) =
                    leases::claim_apart(connection, hook, *max, &owner, now, &mut notes)?;
                claims.push((hook.clone(), claimed, next));
            }
            Ok((claims, notes))
        };
        let (claims, notes) = self
            .writer
            .write(WriteOptions::reclaim(Sync::Relaxed), act)
            .await?;
        self.flow_counts.add(notes);
        Ok(claims)
    }

    fn take_flow_counts(&self) -> Vec<FlowCount> {
        self.flow_counts.take()
    }

    fn observe_commits(&self, observer: CommitObserver) {
        self.commit_times.observe(observer);
    }

    fn removed_by_size(&self) -> usize {
        self.bound.total_removed()
    }

    async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let (clock, bound) = (self.clock, self.bound.clone());
        let act = move |connection: &Connection| {
            finish::finish(
                connection,
                fence,
                rows::of(&event),
                &attempt,
                &disposition,
                clock.now(),
                &bound,
            )
        };
        let (committed, notes) = self
            .writer
            .write(WriteOptions::reclaim(Sync::Relaxed), act)
            .await?;
        self.flow_counts.add(notes);
        Ok(committed)
    }

    async fn dead_letter_unreadable(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        let clock = self.clock;
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), move |tx| {
                finish::dead_letter_unreadable(tx, fence, &why, clock.now())
            })
            .await
    }

    async fn split(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        let clock = self.clock;
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), move |tx| {
                finish::split(tx, fence, &why, clock.now())
            })
            .await
    }

    async fn free_stranded(&self, after: Option<(String, i64)>) -> Result<Stranded, LedgerError> {
        let (clock, after) = (self.clock, after.unwrap_or_default());
        let act = move |tx: &Connection| {
            let mut notes = FlowNotes::default();
            let step = held_repair::free_stranded(tx, &after, clock.now(), &mut notes)?;
            Ok((step, notes))
        };
        let (step, notes) = self
            .writer
            .write(WriteOptions::reclaim(Sync::Relaxed), act)
            .await?;
        self.flow_counts.add(notes);
        Ok(step)
    }

    async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError> {
        let clock = self.clock;
        self.writer
            .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                leases::release(tx, &fences, clock.now().plus(pause))
            })
            .await
    }

    async fn heartbeat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError> {
        let (owner, clock) = (self.owner, self.clock);
        let act = move |connection: &Connection| {
            let now = clock.now();
            leases::extend(connection, &fences, now)?;
            clock::write_down(connection, now)?;
            Ok(leases::recover(connection, &owner, now)?.0)
        };
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), act)
            .await
    }

    async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let (clock, bound) = (self.clock, self.bound.clone());
        let act = move |tx: &Connection| {
            finish::record(tx, &stored, &attempt, &disposition, clock.now(), &bound)
        };
        let (committed, notes) = self
            .writer
            .write(WriteOptions::insert(Sync::Durable), act)
            .await?;
        self.flow_counts.add(notes);
        Ok(committed)
    }

    fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Option<()> {
        let (clock, bound) = (self.clock, self.bound.clone());
        self.writer.try_queue(move |tx| {
            finish::record(tx, &stored, &attempt, &disposition, clock.now(), &bound).map(drop)
        })
    }

    async fn store_recordings(&self, new: Vec<NewRecording>) -> Result<Vec<usize>, LedgerError> {
        let clock = self.clock;
        self.writer
            .write(WriteOptions::insert(Sync::Relaxed), move |tx| {
                recordings::store(tx, &new, clock.now())
            })
            .await
    }

    async fn prune(&self, hooks: HookRetentions) -> Result<usize, LedgerError> {
        let (retention, clock) = (self.retention, self.clock);
        let (mut kept, hooks) = (hooks.clone(), Arc::new(hooks));
        let look = move |tx: &Connection| missing::look(tx, &hooks, clock.now());
        let gone = self
            .writer
            .write(WriteOptions::reclaim(Sync::Relaxed), look)
            .await?;
        for hook in gone {
            kept.named.insert(hook.into(), HookRetention::default());
        }

        let (hooks, mut removed) = (Arc::new(kept), 0);
        loop {
            let hooks = hooks.clone();
            let act = move |tx: &Connection| retention::step(tx, &retention, &hooks, clock.now());
            let count = self
                .writer
                .write(WriteOptions::reclaim(Sync::Relaxed), act)
                .await?;
            removed += count;
            if !retention::is_whole_step(count) {
                return Ok(removed);
            }
        }
    }

    async fn put_own(
        &self,
        _: &'static str,
        owner: &'static str,
        key: String,
        value: Option<Bytes>,
    ) -> Result<bool, LedgerError> {
        let clock = self.clock;
        let change = value.map_or(KvChange::Delete, |value| {
            KvChange::Set(KvValue::of(value), None)
        });
        let writes = [KvWrite { key, change }];
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), move |tx| {
                kv::write(tx, (owner, None), &writes, clock.now()).map(|()| true)
            })
            .await
    }

    async fn lead(&self, _: &'static str, _: Duration) -> Result<Lead, LedgerError> {
        Ok(Lead::Held)
    }

    async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError> {
        self.writer
            .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                schema::pause(tx, &hook, paused)
            })
            .await
    }

    async fn paused(&self) -> Result<Vec<String>, LedgerError> {
        self.ask(schema::paused).await
    }

    async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError> {
        self.ask(leases::hooks_with_work).await
    }
}

#[async_trait]
impl History for Sqlite {
    async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError> {
        let clock = self.clock;
        if order.dry_run {
            let now = clock.now();
            return self
                .ask(move |connection| operator::replay_all(connection, &order, now))
                .await;
        }

        let mut results = Vec::with_capacity(order.events.len());
        let mut delay = order.delay;
        for events in order.events.chunks(OPERATOR_STEP) {
            let step = ReplayOrder {
                events: events.to_vec(),
                delay,
                ..order
            };
            let act = move |tx: &Connection| operator::replay_all(tx, &step, clock.now());
            let done = self
                .writer
                .write(WriteOptions::insert(Sync::Durable), act)
                .await?;
            let queued = done
                .iter()
                .filter(|result| matches!(result, Replayed::Queued(_)));
            delay += order.apart * queued.count() as u32;
            results.extend(done);
        }
        Ok(results)
    }

    async fn operate(&self, step: Step, ids: Vec<i64>) -> Result<Vec<i64>, LedgerError> {
        let clock = self.clock;
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(OPERATOR_STEP) {
            let (step, ids) = (step.clone(), ids.to_vec());
            let act = move |tx: &Connection| operator::operate(tx, &step, &ids, clock.now());
            done.extend(
                self.writer
                    .write(WriteOptions::reclaim(Sync::Durable), act)
                    .await?,
            );
        }
        Ok(done)
    }

    async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError> {
        let mut sum = Purged::default();
        for _ in 0..limit.div_ceil(OPERATOR_STEP) {
            let hook = hook.clone();
            let act = move |tx: &Connection| operator::purge(tx, &hook, OPERATOR_STEP as i64);
            let step = self
                .writer
                .write(WriteOptions::reclaim(Sync::Durable), act)
                .await?;
            if step == Purged::default() {
                break;
            }
            sum.deliveries += step.deliveries;
            sum.identities += step.identities;
            sum.rows += step.rows;
            sum.values += step.values;
        }
        Ok(sum)
    }

    async fn erase(
        &self,
        events: Vec<EventId>,
        at_ms: i64,
        dry_run: bool,
    ) -> Result<Vec<Erasure>, LedgerError> {
        let erase_all = move |connection: &Connection, events: &[EventId]| {
            let all = events.iter();
            all.map(|event| erase::erase(connection, event, at_ms, dry_run))
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        if dry_run {
            return self
                .ask(move |connection| erase_all(connection, &events))
                .await;
        }

        let mut results = Vec::with_capacity(events.len());
        for events in events.chunks(OPERATOR_STEP) {
            let events = events.to_vec();
            let step = self
                .writer
                .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                    erase_all(tx, &events)
                })
                .await?;
            landfall_model::kill_point!("erasing");
            results.extend(step);
        }
        Ok(results)
    }

    async fn emitted_by(
        &self,
        events: Vec<EventId>,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.ask(move |connection| erase::emitted_by(connection, &events, limit))
            .await
    }

    async fn scrub(&self) -> Result<Scrubbed, LedgerError> {
        self.writer.scrub().await
    }

    async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError> {
        self.ask(move |connection| operator::purgeable(connection, &hook))
            .await
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| read::list(connection, &filter, now))
            .await
    }

    async fn floor_since(&self, since_ms: i64) -> Result<Option<i64>, LedgerError> {
        self.ask(move |connection| read::floor_since(connection, since_ms))
            .await
    }

    async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError> {
        self.ask(move |connection| read::contents(connection, &deliveries, parts))
            .await
    }

    async fn recordings(
        &self,
        filter: RecordingFilter,
    ) -> Result<Vec<StoredRecording>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| recordings::list(connection, &filter, now))
            .await
    }

    async fn put_try(&self, new: NewTry) -> Result<usize, LedgerError> {
        let (clock, keep) = (self.clock, new.keep_within(&self.retention));
        self.writer
            .write(WriteOptions::insert(Sync::Durable), move |tx| {
                tries::put(tx, &new, keep, clock.now())
            })
            .await
    }

    async fn try_parts(&self, parts: TryParts) -> Result<Vec<TryPart>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| tries::list(connection, &parts, now))
            .await
    }

    async fn remove_try(&self, hook: String, id: EventId) -> Result<(), LedgerError> {
        self.writer
            .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                tries::remove(tx, &hook, Some(&id))
            })
            .await
    }

    async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.ask(move |connection| read::find_ids(connection, &first, &last, limit))
            .await
    }

    async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| read::show(connection, &id, now))
            .await
    }

    async fn count(&self) -> Result<Vec<Count>, LedgerError> {
        self.ask(read::count).await
    }

    async fn usage(&self) -> Result<LedgerUse, LedgerError> {
        let (dir, now) = (self.dir.clone(), self.now());
        self.ask(move |connection| {
            Ok(LedgerUse {
                bytes: files::bytes(&dir.join("ledger.db")),
                free_bytes: place::free_bytes(&dir).ok(),
                hooks: read::backlogs(connection, now)?,
            })
        })
        .await
    }

    async fn rows(
        &self,
        hook: String,
        table: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, LedgerError> {
        self.ask(move |connection| rows::list(connection, &hook, &table, after, limit))
            .await
    }

    async fn values(
        &self,
        hook: String,
        prefix: String,
        after: String,
        limit: usize,
        shown: usize,
    ) -> Result<Vec<StoredValue>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| {
            kv::page(connection, &hook, &prefix, &after, (limit, shown), now)
        })
        .await
    }

    async fn activity(&self, query: ActivityQuery) -> Result<Activity, LedgerError> {
        let now = self.now();
        self.ask(move |connection| activity::activity(connection, &query, now))
            .await
    }

    async fn audit(&self, new: NewAudit) -> Result<i64, LedgerError> {
        self.writer
            .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                audit::add(tx, &new)
            })
            .await
    }

    async fn audit_result(&self, id: i64, result: String) -> Result<(), LedgerError> {
        self.writer
            .write(WriteOptions::reclaim(Sync::Relaxed), move |tx| {
                audit::end(tx, id, &result)
            })
            .await
    }

    async fn audits(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        self.ask(move |connection| audit::list(connection, &filter))
            .await
    }
}

#[async_trait]
impl Kv for Sqlite {
    async fn get(&self, hook: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| kv::get(connection, &hook, &key, now))
            .await
    }

    async fn keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| kv::keys(connection, &hook, &prefix, &after, limit, now))
            .await
    }
}

#[async_trait]
impl Notes for Sqlite {
    async fn knows(&self, hook: Arc<str>, keys: Vec<Vec<u8>>) -> Result<bool, LedgerError> {
        let now = self.now();
        self.ask(move |connection| events::knows(connection, &hook, &keys, now))
            .await
    }

    async fn note(
        &self,
        part: &'static str,
        key: String,
        text: String,
        keep: Duration,
    ) -> Result<(), LedgerError> {
        let clock = self.clock;
        let value = KvValue {
            is_text: true,
            bytes: text.into(),
        };
        let writes = [KvWrite {
            key,
            change: KvChange::Set(value, Some(keep)),
        }];
        self.writer
            .write(WriteOptions::insert(Sync::Durable), move |tx| {
                kv::write(tx, (part, None), &writes, clock.now())
            })
            .await
    }
}

#[async_trait]
impl RawRecords for Sqlite {
    async fn raw(
        &self,
        kind: RawKind,
        after: Option<RawCursor>,
        limit: usize,
    ) -> Result<Vec<RawRecord>, LedgerError> {
        let after = after.unwrap_or_default();
        self.ask(move |connection| raw::list(connection, kind, &after, limit))
            .await
    }

    async fn replace_raw(&self, changes: Vec<RawChange>) -> Result<usize, LedgerError> {
        let mut replaced = 0;
        for changes in changes.chunks(OPERATOR_STEP) {
            let changes = changes.to_vec();
            replaced += self
                .writer
                .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                    raw::replace(tx, &changes)
                })
                .await?;
            landfall_model::kill_point!("encrypting");
        }
        Ok(replaced)
    }
}
