//! One run: page by page through the provider's list. What the ledger does not know is stored
//! through the same path as a webhook, with the same identity, so that a webhook that comes late is
//! a duplicate. A run that ends anywhere, also by `kill -9`, loses nothing: what it had stored is
//! known to the next one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::sync::Semaphore;

use super::api::{Api, Place};
use super::error::RunError;
use super::listing::{Content, Delivery, Found, Page, Window};
use super::progress::{Open, Progress, is_noted, note};
use super::report::{set_window, time};
use super::source;
use landfall_dispatch::{Dispatcher, Incoming};
use landfall_egress::OutgoingError;
use landfall_hooks::Hook;
use landfall_ledger::Ledger;
use landfall_model::clock::to_ms;
use landfall_model::{Clock, DedupKey, MissedDelivery, ReconcileSpec, SearchReport, Timing, lock};
use landfall_verify::{Unverified, known_keys, recovered};

/// Pages of one scheduled run. After as many, another run gets the place of a longer one.
const PAGES_MAX: u64 = 500;
/// Missed deliveries of one scheduled run, counted after each page.
const MISSED_MAX: u64 = 5000;
/// Pages of a window, over all of its runs. A longer list has no end.
const PAGES_OF_WINDOW_MAX: u64 = 20_000;
/// After so many contents in a row that cannot be read, a run ends.
const UNREAD_MAX: u64 = 10;
/// A note outlives the identity of its event by this.
const NOTE_EXTRA: Duration = Duration::from_secs(86_400);

/// What a run looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Everything since this time ago. `None`: what no scheduled run has seen yet.
    pub since: Option<Duration>,
    /// Only look: store nothing.
    pub dry_run: bool,
}

/// A run of one hook.
pub(crate) struct Run {
    pub(crate) hook: Arc<Hook>,
    pub(crate) spec: ReconcileSpec,
    pub(crate) api: Api,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) clock: Clock,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) report: Arc<Mutex<SearchReport>>,
    pub(crate) order: Order,
}

// === impl Order ===

impl Order {
    /// Whether the run moves the progress of the scheduled runs on.
    pub(crate) fn is_scheduled(self) -> bool {
        self.since.is_none() && !self.dry_run
    }
}

// === impl Run ===

impl Run {
    /// Runs to the end of the list, or to the limits of a run.
    pub(crate) async fn whole(self) -> Result<(), RunError> {
        let name = &self.hook.spec.name;
        let mut progress = Progress::read(self.ledger(), name).await?;
        let mut open = self.begin(&progress);
        set_window(&mut lock(&self.report), open.window());
        progress.started_ms = Some(to_ms(self.clock.now()));
        self.keep(&mut progress, &open).await?;

        let unread = match self.pages(&mut progress, &mut open).await {
            Ok(unread) => unread,
            Err(error) => {
                // The next run begins at the first page, so that what can never be read hides
                // nothing newer.
                if matches!(
                    error,
                    RunError::Unreadable(_) | RunError::Endless { .. } | RunError::Contents { .. }
                ) {
                    progress.open = None;
                    self.write(&progress).await?;
                }
                return Err(error);
            }
        };
        if open.cursor.is_none() {
            self.write(&progress.ended(&open)).await?;
        }
        match unread {
            Unread { count: 0, .. } => Ok(()),
            unread => Err(unread.into()),
        }
    }

    /// Reads the pages from `open` on, and brings what they have. Returns the deliveries whose
    /// content cannot be read. `open` has no cursor at the end of the list.
    async fn pages(&self, progress: &mut Progress, open: &mut Open) -> Result<Unread, RunError> {
        let window = open.window();
        let mut place = Place::of(self.places.clone()).await;
        let mut may_begin_again = open.cursor.is_some();
        let (mut asked, mut unread) = (BTreeSet::new(), Unread::default());
        loop {
            let page = match self.page(window, open, &mut place).await {
                // The API has forgotten the place in its list.
                Err(RunError::Refused {
                    status: 400 | 404 | 422,
                    ..
                }) if may_begin_again => {
                    may_begin_again = false;
                    open.cursor = None;
                    continue;
                }
                page => page?,
            };

            open.pages += 1;
            {
                let mut report = lock(&self.report);
                report.pages += 1;
                report.listed += page.listed as u64;
            }
            for found in page.found {
                let at_ms = found.at_ms;
                let Some(why) = self.bring(found, &mut place).await? else {
                    unread.in_row = 0;
                    continue;
                };
                open.unread_ms = Some(open.unread_ms.map_or(at_ms, |unread| unread.min(at_ms)));
                unread.add(why);
                if unread.in_row == UNREAD_MAX {
                    return Err(unread.into());
                }
            }

            asked.extend(open.cursor.take());
            open.cursor = page.next;
            let Some(cursor) = &open.cursor else {
                return Ok(unread);
            };
            if asked.contains(cursor) || open.pages >= PAGES_OF_WINDOW_MAX {
                let api = self.spec.api.to_string();
                let pages = PAGES_OF_WINDOW_MAX;
                return Err(RunError::Endless { api, pages });
            }
            self.keep(progress, open).await?;
            if open.pages.is_multiple_of(PAGES_MAX) {
                asked.clear();
                place.pass_on().await;
            }
            if self.is_at_limit() {
                return Ok(unread);
            }
            tokio::time::sleep(source::pace(&self.spec)).await;
        }
    }

    fn ledger(&self) -> &dyn Ledger {
        &**self.dispatcher.ledger()
    }

    fn begin(&self, progress: &Progress) -> Open {
        let now_ms = to_ms(self.clock.now());
        let settle_ms = source::settle(&self.spec).as_millis() as i64;
        match self.order.since {
            None => progress.next(&self.spec, now_ms, settle_ms),
            Some(since) => Open {
                since_ms: now_ms.saturating_sub(since.as_millis() as i64),
                until_ms: now_ms - settle_ms,
                ..Open::default()
            },
        }
    }

    async fn keep(&self, progress: &mut Progress, open: &Open) -> Result<(), RunError> {
        progress.open = Some(open.clone());
        progress.touched_ms = Some(to_ms(self.clock.now()));
        self.write(progress).await
    }

    /// Stores the progress, if the run is a scheduled one.
    async fn write(&self, progress: &Progress) -> Result<(), RunError> {
        if self.order.is_scheduled() {
            progress.write(self.ledger(), &self.hook.spec.name).await?;
        }
        Ok(())
    }

    /// Whether the run ends before its list does, because the next scheduled one goes on there.
    /// Says so in the report.
    fn is_at_limit(&self) -> bool {
        let mut report = lock(&self.report);
        let is_long = report.pages >= PAGES_MAX || report.missed >= MISSED_MAX;
        report.more = self.order.is_scheduled() && is_long;
        report.more
    }

    async fn page(&self, window: Window, open: &Open, place: &mut Place) -> Result<Page, RunError> {
        let get = source::list(&self.spec, window, open.cursor.as_deref());
        let answer = self
            .api
            .get(&get, place, &|until| self.waits(until))
            .await?;
        Ok(source::page(&self.spec, window, &answer)?)
    }

    fn waits(&self, until_ms: Option<i64>) {
        let until = until_ms.map(time);
        if let Some(until) = &until {
            let hook = &*self.hook.spec.name;
            tracing::info!(hook, %until, "the provider's API has a rate limit: the run waits");
        }
        lock(&self.report).waits_until = until;
    }

    /// Stores a delivery, unless it is known. Returns why its content cannot be read, if so.
    async fn bring(&self, found: Found, place: &mut Place) -> Result<Option<String>, RunError> {
        if self.is_known(&found).await? {
            self.count_known();
            return Ok(None);
        }

        let Found {
            id,
            at_ms,
            kind,
            headers,
            content,
        } = found;
        let missed = |result, event| MissedDelivery {
            id: id.clone(),
            kind: kind.clone(),
            at: time(at_ms),
            result,
            event,
        };
        if self.order.dry_run {
            lock(&self.report).add(missed(MissedDelivery::MISSED, None));
            return Ok(None);
        }

        let delivery = match self.delivery(headers, content, place).await? {
            Read::Whole(delivery) => delivery,
            Read::Never(why) => {
                self.skip(missed(MissedDelivery::SKIPPED, None), why)
                    .await?;
                return Ok(None);
            }
            Read::NotNow(why) => {
                self.leave(missed(MissedDelivery::FAILED, None), &why);
                return Ok(Some(why));
            }
        };
        if !self.hook.sizes.takes_body(delivery.body.len()) {
            let why = "its body is larger than `max_body` of the hook";
            self.skip(missed(MissedDelivery::SKIPPED, None), why)
                .await?;
            return Ok(None);
        }

        let request = self.request(delivery);
        // The content may have fields of the identity that the list has not.
        if self.knows(&request).await? {
            self.note(&id, "known").await?;
            self.count_known();
            return Ok(None);
        }
        match self.store(request, &id, at_ms).await? {
            Stored::Accepted(event) => {
                landfall_model::kill_point!("reconciled");
                self.note(&id, MissedDelivery::ACCEPTED).await?;
                self.hook.metrics.count_reconciled(MissedDelivery::ACCEPTED);
                let hook = &*self.hook.spec.name;
                tracing::info!(hook, delivery = %id, %event, "a missed delivery was stored");
                lock(&self.report).add(missed(MissedDelivery::ACCEPTED, Some(event)));
            }
            Stored::Known => {
                self.note(&id, "known").await?;
                self.count_known();
            }
            Stored::Never(why) => {
                self.skip(missed(MissedDelivery::SKIPPED, None), &why)
                    .await?
            }
        }
        Ok(None)
    }

    fn count_known(&self) {
        lock(&self.report).known += 1;
        self.hook.metrics.count_reconciled("known");
    }

    /// Whether the hook has received the delivery, or an earlier run has handled it.
    async fn is_known(&self, found: &Found) -> Result<bool, RunError> {
        if is_noted(self.ledger(), &self.hook.spec.name, &found.id).await? {
            return Ok(true);
        }

        let body = match &found.content {
            Content::Here(body) => body.clone(),
            Content::At(_) => Default::default(),
        };
        let headers = found.headers.clone();
        self.knows(&self.request(Delivery { headers, body })).await
    }

    async fn knows(&self, request: &Unverified) -> Result<bool, RunError> {
        let keys = known_keys(&self.hook.verifier, request);
        if keys.is_empty() {
            return Ok(false);
        }
        let hook = self.hook.spec.name.shared();
        Ok(self.ledger().knows(hook, keys).await?)
    }

    async fn delivery(
        &self,
        headers: HeaderMap,
        content: Content,
        place: &mut Place,
    ) -> Result<Read, RunError> {
        let get = match content {
            Content::Here(body) => return Ok(Read::Whole(Delivery { headers, body })),
            Content::At(get) => get,
        };

        tokio::time::sleep(source::pace(&self.spec)).await;
        let answer = self.api.get(&get, place, &|until| self.waits(until)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(RunError::Refused {
                status: 404 | 410, ..
            }) => return Ok(Read::Never(GONE)),
            Err(RunError::Call {
                error: OutgoingError::Limit(_),
                ..
            }) => return Ok(Read::Never("the answer with its content is too large")),
            // It may be this delivery alone.
            Err(
                error
                @ (RunError::Call { .. } | RunError::Faulty { .. } | RunError::Refused { .. }),
            ) => return Ok(Read::NotNow(error.to_string())),
            Err(error) => return Err(error),
        };
        Ok(match source::delivery(&answer) {
            Ok(Some(delivery)) => Read::Whole(delivery),
            Ok(None) => Read::Never(GONE),
            Err(why) => Read::NotNow(why.to_string()),
        })
    }

    /// The request that the webhook would have been.
    fn request(&self, delivery: Delivery) -> Unverified {
        Unverified {
            method: Method::POST,
            path: self.hook.spec.path.clone(),
            query: None,
            params: Vec::new(),
            headers: delivery.headers,
            body: delivery.body,
            decoded: None,
        }
    }

    async fn store(&self, request: Unverified, id: &str, at_ms: i64) -> Result<Stored, RunError> {
        let verified = recovered(&self.hook.verifier, request);
        let Some(key) = verified.delivery_key() else {
            let why = "it has not all fields of the identity in [dedup]";
            return Ok(Stored::Never(why.to_owned()));
        };

        let dedup = DedupKey {
            key: key.to_vec(),
            id_match: self.hook.verifier.id_match(),
            window: self.hook.spec.dedup.window,
        };
        let attributes = vec![
            ("reconciled".to_owned(), id.to_owned()),
            ("sent-at".to_owned(), time(at_ms)),
        ];
        let event = verified.into_event(&self.hook.spec.name, self.clock.now(), attributes);
        let event = match self.hook.redacted(event) {
            Ok(event) => event,
            Err(error) => return Ok(Stored::Never(error.to_string())),
        };
        let own = event.id;
        let incoming = Incoming {
            dedup: Some(dedup),
            order_key: event.attribute("order-key").map(str::to_owned),
            is_answered_later: true,
            answer_within: self.hook.queued_limit(),
            timing: Timing::default(),
            flow: self.hook.flow.clone(),
            event,
        };
        // Without a target the event is only queued: no caller waits for its reply.
        match self.dispatcher.accept(incoming, None).await {
            Ok(answer) if answer.event == own => Ok(Stored::Accepted(own.to_string())),
            Ok(_) => Ok(Stored::Known),
            Err(error) if error.is_too_large() => Ok(Stored::Never(error.to_string())),
            Err(error) => {
                self.hook.metrics.count_reconciled(MissedDelivery::FAILED);
                Err(RunError::Store(error))
            }
        }
    }

    /// Leaves a delivery to the next run.
    fn leave(&self, missed: MissedDelivery, why: &str) {
        let hook = &*self.hook.spec.name;
        tracing::warn!(
            hook,
            delivery = %missed.id,
            "the content of a missed delivery cannot be read yet: {why}"
        );
        self.hook.metrics.count_reconciled(MissedDelivery::FAILED);
        lock(&self.report).add(missed);
    }

    /// Leaves a delivery out for good.
    async fn skip(&self, missed: MissedDelivery, why: &str) -> Result<(), RunError> {
        let hook = &*self.hook.spec.name;
        tracing::warn!(
            hook,
            delivery = %missed.id,
            "a missed delivery cannot be brought: {why}"
        );
        self.note(&missed.id, MissedDelivery::SKIPPED).await?;
        self.hook.metrics.count_reconciled(MissedDelivery::SKIPPED);
        lock(&self.report).add(missed);
        Ok(())
    }

    async fn note(&self, id: &str, result: &str) -> Result<(), RunError> {
        let keep = self.hook.spec.dedup.window.max(self.spec.since) + NOTE_EXTRA;
        note(self.ledger(), &self.hook.spec.name, id, result, keep).await?;
        Ok(())
    }
}

const GONE: &str = "its content is gone";

/// What the API returned as the content of a delivery.
enum Read {
    Whole(Delivery),
    /// It can never be read, for this reason.
    Never(&'static str),
    /// A later run may read it. Something else than the API may have answered.
    NotNow(String),
}

/// Deliveries whose content could not be read.
#[derive(Default)]
struct Unread {
    count: u64,
    /// Of them, those since the last content that could be read.
    in_row: u64,
    /// Why the last one could not be read.
    last: String,
}

// === impl Unread ===

impl Unread {
    fn add(&mut self, why: String) {
        self.count += 1;
        self.in_row += 1;
        self.last = why;
    }
}

impl From<Unread> for RunError {
    fn from(unread: Unread) -> RunError {
        RunError::Contents {
            count: unread.count,
            last: unread.last,
        }
    }
}

/// What became of a delivery that was handed to the dispatcher.
enum Stored {
    /// A new event with this id.
    Accepted(String),
    /// The same delivery has come in the meantime.
    Known,
    /// It can never be stored, for this reason.
    Never(String),
}
