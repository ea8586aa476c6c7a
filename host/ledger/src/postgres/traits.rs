//! The ledger traits for Postgres. Each method is one transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::query::{Cached, millis, plain, split, within};
use super::retentions::{Announcement, agreed, is_named};
use super::writer::Job;
use super::{
    PRUNE_STEP, Postgres, activity, arrivals, audit, claimed, counts, effects, held, missing,
    operator, privacy, raw, read, recordings, tries,
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
use crate::state_column::{PENDING, RUNNING};
use crate::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent, Received,
    ReplayOrder, Replayed, SHARED_LEASE, Started, Step, UNFINISHED_MAX,
};
use crate::traits::{Deliveries, History, Kv, Notes, RawRecords};
use crate::tries::{NewTry, TryPart, TryParts};
use landfall_model::stored_event::Stored;
use landfall_model::{DedupKey, Event, EventId, HookRetentions, KvValue, LedgerTime, lock};

#[async_trait]
impl Deliveries for Postgres {
    async fn close(&self) {
        self.writer.close().await;
        self.leave_agreement().await;
        self.pool.close();
    }

    fn now(&self) -> LedgerTime {
        self.clock.now()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn can_accept(&self) -> bool {
        self.health.is_good()
    }

    fn is_retention_stopped(&self) -> bool {
        self.agreement.is_stopped()
    }

    fn observe_commits(&self, observer: CommitObserver) {
        self.commit_times.observe(observer);
    }

    fn hints(&self) -> Option<mpsc::Receiver<String>> {
        lock(&self.hints).take()
    }

    async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        let owner = new.run_now.then_some(self.owner);
        self.record_reachability(self.writer.accept(Box::new(new), owner, cancelled).await)
    }

    async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        let result = self.ask(async |client| arrivals::start(client, &received, self.owner).await);
        self.record_reachability(result.await)
    }

    async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError> {
        let find = self.ask(async |client| {
            arrivals::find_duplicate(client, &hook, &dedup, &digest, duplicate).await
        });
        self.record_reachability(find.await)
    }

    async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError> {
        let (deliveries, attempts) = split(&handed);
        let sql = "SELECT hand_over($1, $2)";
        self.ask(async |client| {
            client
                .execute_cached(sql, &[&deliveries, &attempts])
                .await
                .map(drop)
        })
        .await?;

        let (deliveries, attempts) = split(&kept);
        let (sql, pause) = ("SELECT release_unpublished($1, $2, $3)", millis(pause));
        self.ask(async |client| {
            client
                .execute_cached(sql, &[&deliveries, &attempts, &pause])
                .await
                .map(drop)
        })
        .await
    }

    async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError> {
        let result = within(async {
            let client = self.client().await?;
            let claims = hooks
                .iter()
                .map(|(hook, max)| self.claim_apart(&client, hook, *max));
            claimed(futures_util::future::join_all(claims).await)
        });
        self.record_reachability(result.await)
    }

    fn take_flow_counts(&self) -> Vec<FlowCount> {
        self.flow_counts.take()
    }

    async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let result = match disposition {
            Disposition::Done(results) if !results.is_nothing() => {
                within(async {
                    let _permit = self
                        .finish_permits
                        .acquire()
                        .await
                        .map_err(|_| LedgerError::Stopped)?;
                    let mut client = self.client().await?;
                    let counts = &self.flow_counts;
                    effects::finish(&mut client, fence, &event, &attempt, &results, counts).await
                })
                .await
            }
            disposition => self.writer.finish(fence, attempt, disposition).await,
        };
        self.record_reachability(result)
    }

    async fn dead_letter_unreadable(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        let attempt = AttemptRecord {
            started_ms: 0,
            duration_us: 0,
            outcome: "unread",
            reason: why.clone(),
            status: None,
            record: "{}".into(),
        };
        self.record_reachability(
            self.writer
                .finish(fence, attempt, Disposition::Dead(why))
                .await,
        )
        .map(drop)
    }

    async fn split(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        let (number, why) = (fence.attempt as i32, plain(&why));
        let split = self.ask(async |client| {
            let sql = "SELECT split_lease($1, $2, $3)";
            client
                .query_one_cached(sql, &[&fence.delivery, &number, &why])
                .await
                .map(drop)
        });
        self.record_reachability(split.await)
    }

    async fn free_stranded(&self, after: Option<(String, i64)>) -> Result<Stranded, LedgerError> {
        let after = after.unwrap_or_default();
        let mut notes = FlowNotes::default();
        let step = self
            .ask(async |client| held::free_stranded(client, &after, &mut notes).await)
            .await;
        self.flow_counts.add(notes);
        step
    }

    async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError> {
        let (deliveries, attempts) = split(&fences);
        let sql = format!(
            "UPDATE deliveries d SET state = {PENDING}, attempt = d.attempt - 1, due = now_ms() + $3, owner = NULL,
                 lease_until = NULL
             FROM unnest($1::bigint[], $2::int[]) AS held (id, attempt)
             WHERE d.id = held.id AND d.state = {RUNNING} AND d.attempt = held.attempt"
        );
        let pause = millis(pause);
        self.ask(async |client| {
            client
                .execute_cached(&sql, &[&deliveries, &attempts, &pause])
                .await
                .map(drop)
        })
        .await
    }

    async fn heartbeat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError> {
        let (deliveries, attempts) = split(&fences);
        // One statement extends all leases and returns the time. A delivery that another
        // transaction has locked is ending: waiting for it could deadlock with a transaction that
        // ends several. SQLite: `leases::extend`, then `leases::recover`.
        let extend = format!(
            "WITH held AS MATERIALIZED (
                 SELECT d.id FROM deliveries d JOIN unnest($1::bigint[], $2::int[]) AS lease (id, attempt)
                     ON d.id = lease.id AND d.attempt = lease.attempt
                 WHERE d.state = {RUNNING} FOR UPDATE OF d SKIP LOCKED),
             extended AS (
                 UPDATE deliveries d SET lease_until = now_ms() + $3 FROM held WHERE d.id = held.id)
             SELECT now_ms()"
        );
        let lease = millis(SHARED_LEASE);
        let held = self.ask(async |client| {
            client
                .query_one_cached(&extend, &[&deliveries, &attempts, &lease])
                .await
        });
        self.clock
            .set(LedgerTime(self.record_reachability(held.await)?.get(0)));
        if self.is_quiet() {
            return Ok(0);
        }

        let sql = "SELECT freed FROM recover($1, $2)";
        let most = UNFINISHED_MAX as i32;
        let freed = self.ask(async |client| {
            client
                .query_one_cached(sql, &[&self.owner, &most])
                .await?
                .try_get::<_, i32>(0)
        });
        let freed = freed.await?;
        if self.roll_ups.take_due() {
            tokio::spawn(counts::roll_up(self.pool.clone(), self.roll_ups.clone()));
        }
        Ok(freed as usize)
    }

    async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        let result = within(async {
            let _permit = self
                .finish_permits
                .acquire()
                .await
                .map_err(|_| LedgerError::Stopped)?;
            let mut client = self.client().await?;
            let counts = &self.flow_counts;
            effects::record(&mut client, &stored, &attempt, &disposition, counts).await
        });
        self.record_reachability(result.await)
    }

    fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Option<()> {
        self.writer
            .try_queue(Job::record(Box::new(stored), attempt, disposition))
    }

    async fn store_recordings(&self, new: Vec<NewRecording>) -> Result<Vec<usize>, LedgerError> {
        self.ask(async |client| recordings::store(client, &new).await)
            .await
    }

    async fn prune(&self, hooks: HookRetentions) -> Result<usize, LedgerError> {
        let announced = self.agree(Announcement::of(&self.retention, &hooks));
        let announced = announced.await?;
        let mut removed = 0;
        loop {
            let step = self.ask(async |client| privacy::prune_expired(client, PRUNE_STEP).await);
            let step = step.await?;
            let limit = i64::from(PRUNE_STEP);
            let expire = self.ask(async |client| recordings::expire(client, limit).await);
            let expired = expire.await? as usize;
            removed += step as usize + expired;
            if step < PRUNE_STEP && expired < PRUNE_STEP as usize {
                break;
            }
        }

        let Some(announced) = announced else {
            return Ok(removed);
        };
        let mut stored = self.ask(privacy::stored_hooks).await?;
        let mut missing = stored.clone();
        missing.retain(|hook| !is_named(&announced, hook));
        let gone = self
            .ask(async |client| missing::gone(client, missing, hooks.missing_for).await)
            .await?;
        stored.retain(|hook| is_named(&announced, hook) || gone.contains(hook));
        for hook in stored {
            let Some(kept) = agreed(&announced, &hook) else {
                continue;
            };
            loop {
                let step = self
                    .ask(async |client| privacy::prune_hook(client, &hook, kept, PRUNE_STEP).await);
                let step = step.await?;
                removed += step as usize;
                if step < PRUNE_STEP {
                    break;
                }
            }
        }
        Ok(removed)
    }

    async fn put_own(
        &self,
        lead: &'static str,
        owner: &'static str,
        key: String,
        value: Option<Bytes>,
    ) -> Result<bool, LedgerError> {
        let value = value.as_deref();
        self.ask(async |client| {
            let terms = &self.known_terms;
            terms.put_own(client, lead, (owner, &key), value).await
        })
        .await
    }

    async fn lead(&self, what: &'static str, lasts: Duration) -> Result<Lead, LedgerError> {
        self.ask(async |client| {
            let terms = &self.known_terms;
            terms.lead(client, self.owner, what, lasts).await
        })
        .await
    }

    async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError> {
        let sql = if paused {
            "INSERT INTO paused (hook) VALUES ($1) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM paused WHERE hook = $1"
        };
        self.ask(async |client| client.execute_cached(sql, &[&hook]).await.map(drop))
            .await
    }

    async fn paused(&self) -> Result<Vec<String>, LedgerError> {
        let rows = self
            .ask(async |client| client.query_cached("SELECT hook FROM paused", &[]).await)
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError> {
        self.ask(async |client| read::hooks_with_work(client).await)
            .await
    }
}

#[async_trait]
impl History for Postgres {
    async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError> {
        self.ask(async |client| operator::replay(client, &order).await)
            .await
    }

    async fn operate(&self, step: Step, deliveries: Vec<i64>) -> Result<Vec<i64>, LedgerError> {
        self.ask(async |client| operator::operate(client, &step, &deliveries).await)
            .await
    }

    async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError> {
        self.ask(async |client| operator::purge(client, &hook, limit as i32).await)
            .await
    }

    async fn erase(
        &self,
        events: Vec<EventId>,
        at_ms: i64,
        dry_run: bool,
    ) -> Result<Vec<Erasure>, LedgerError> {
        let mut results = Vec::with_capacity(events.len());
        for event in &events {
            let erased =
                self.ask(async |client| privacy::erase(client, event, at_ms, dry_run).await);
            results.push(erased.await?);
        }
        Ok(results)
    }

    async fn emitted_by(
        &self,
        events: Vec<EventId>,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.ask(async |client| privacy::emitted_by(client, &events, limit).await)
            .await
    }

    async fn scrub(&self) -> Result<Scrubbed, LedgerError> {
        Ok(Scrubbed::Elsewhere)
    }

    async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError> {
        self.ask(async |client| operator::purgeable(client, &hook).await)
            .await
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError> {
        let now = self.now();
        self.ask(async |client| read::list(client, &filter, now).await)
            .await
    }

    async fn floor_since(&self, since_ms: i64) -> Result<Option<i64>, LedgerError> {
        self.ask(async |client| read::floor_since(client, since_ms).await)
            .await
    }

    async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError> {
        self.ask(async |client| read::contents(client, &deliveries, parts).await)
            .await
    }

    async fn recordings(
        &self,
        filter: RecordingFilter,
    ) -> Result<Vec<StoredRecording>, LedgerError> {
        self.ask(async |client| recordings::list(client, &filter).await)
            .await
    }

    async fn put_try(&self, new: NewTry) -> Result<usize, LedgerError> {
        let keep = new.keep_within(&self.retention);
        let put = self.ask(async |client| tries::put(client, &new, keep).await);
        self.record_reachability(put.await)
    }

    async fn try_parts(&self, parts: TryParts) -> Result<Vec<TryPart>, LedgerError> {
        self.ask(async |client| tries::list(client, &parts).await)
            .await
    }

    async fn remove_try(&self, hook: String, id: EventId) -> Result<(), LedgerError> {
        self.ask(async |client| tries::remove(client, &hook, Some(&id)).await)
            .await
    }

    async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.ask(async |client| read::find_ids(client, &first, &last, limit).await)
            .await
    }

    async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError> {
        let now = self.now();
        self.ask(async |client| read::show(client, &id, now).await)
            .await
    }

    async fn count(&self) -> Result<Vec<Count>, LedgerError> {
        self.ask(async |client| counts::count(client).await).await
    }

    async fn usage(&self) -> Result<LedgerUse, LedgerError> {
        let now = self.now();
        self.ask(async |client| {
            Ok(LedgerUse {
                bytes: read::bytes(client).await?,
                free_bytes: None,
                hooks: read::backlogs(client, now).await?,
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
        self.ask(async |client| read::rows(client, &hook, &table, after, limit).await)
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
        self.ask(async |client| read::kv_page(client, &hook, &prefix, &after, (limit, shown)).await)
            .await
    }

    async fn activity(&self, query: ActivityQuery) -> Result<Activity, LedgerError> {
        let now = self.now();
        self.ask(async |client| activity::activity(client, &query, now).await)
            .await
    }

    async fn audit(&self, new: NewAudit) -> Result<i64, LedgerError> {
        self.ask(async |client| audit::add(client, &new).await)
            .await
    }

    async fn audit_result(&self, id: i64, result: String) -> Result<(), LedgerError> {
        self.ask(async |client| audit::end(client, id, &result).await)
            .await
    }

    async fn audits(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        self.ask(async |client| audit::list(client, &filter).await)
            .await
    }
}

#[async_trait]
impl Kv for Postgres {
    async fn get(&self, hook: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        self.ask(async |client| read::kv_get(client, &hook, &key).await)
            .await
    }

    async fn keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        self.ask(async |client| read::kv_keys(client, &hook, &prefix, &after, limit).await)
            .await
    }
}

#[async_trait]
impl Notes for Postgres {
    async fn knows(&self, hook: Arc<str>, keys: Vec<Vec<u8>>) -> Result<bool, LedgerError> {
        self.ask(async |client| read::knows(client, &hook, &keys).await)
            .await
    }

    async fn note(
        &self,
        part: &'static str,
        key: String,
        text: String,
        keep: Duration,
    ) -> Result<(), LedgerError> {
        // Expired values are only looked for where `used` has a row.
        let sql = "WITH counted AS (
                       INSERT INTO used (hook, kv_bytes) VALUES ($1, octet_length($2::bytea) + octet_length($3::bytea) - coalesce(
                           (SELECT octet_length(key) + octet_length(value) FROM kv WHERE hook = $1 AND key = $2), 0))
                       ON CONFLICT (hook) DO UPDATE SET kv_bytes = used.kv_bytes + excluded.kv_bytes)
                   INSERT INTO kv (hook, key, is_text, value, until) VALUES ($1, $2, true, $3, now_ms() + $4)
                   ON CONFLICT (hook, key) DO UPDATE SET value = excluded.value, until = excluded.until";
        let (key, text, keep) = (key.into_bytes(), text.into_bytes(), millis(keep));
        let stored = self.ask(async |client| {
            client
                .execute_cached(sql, &[&part, &key, &text, &keep])
                .await
                .map(drop)
        });
        self.record_reachability(stored.await)
    }
}

#[async_trait]
impl RawRecords for Postgres {
    async fn raw(
        &self,
        kind: RawKind,
        after: Option<RawCursor>,
        limit: usize,
    ) -> Result<Vec<RawRecord>, LedgerError> {
        let after = after.unwrap_or_default();
        self.ask(async |client| raw::list(client, kind, &after, limit).await)
            .await
    }

    async fn replace_raw(&self, changes: Vec<RawChange>) -> Result<usize, LedgerError> {
        within(async {
            let mut client = self.client().await?;
            Ok(raw::replace(&mut client, &changes).await?)
        })
        .await
    }
}
