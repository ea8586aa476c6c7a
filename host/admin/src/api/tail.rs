//! New deliveries and their ends as server-sent events. One task polls the ledger for all
//! listeners, and only while there is one: so changes by other nodes are seen too.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use utoipa::{IntoParams, ToSchema};

use super::delivery::Delivery;
use super::error::{ApiError, ApiQuery, Refusal, bad_request, error_response, failed};
use super::params::state;
use super::tail_gaps::Gaps;
use crate::events::Events;
use crate::presented_token::PresentedToken;
use landfall_ledger::{Filter, LedgerError, Listed};
use landfall_model::{DeliveryState, lock};

/// The most listeners. Fewer than the connections of the admin listener.
const LISTENERS_MAX: usize = 16;
/// Changes that a slow listener may be behind. Then it misses the oldest.
const BEHIND_MAX: usize = 8192;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a listener without changes looks whether its token is still valid.
const CHECK_TOKEN_EVERY: Duration = Duration::from_secs(1);
/// A client that has gone is noticed when two comments could not be sent.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The most open deliveries that are followed until they end, and that one look asks for.
const OPEN_MAX: usize = 2_000;
const PAGE: usize = 500;
/// The most new deliveries of one look. The next look continues.
const NEW_MAX: usize = 1_000;

/// The newest deliveries of a shared database that are read before the first look: a number that is
/// missing among them may be that of a transaction that has not ended. A transaction that began
/// before all of them, and goes on, is missed: docs/API.md says so.
const LOOK_BACK: usize = 1_000;

/// The listeners, and the task that looks for them.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Inner>);

struct Inner {
    events: Events,
    /// `None` while nothing looks.
    sender: Mutex<Option<broadcast::Sender<Arc<TailChange>>>>,
    listeners: Arc<Semaphore>,
}

/// Selects changes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailQuery {
    /// Deliveries of this hook.
    hook: Option<String>,
    /// Changes to this state: `pending`, `running`, `done`, `dead`, `resolved` or `discarded`.
    state: Option<String>,
}

/// The data of a server-sent event: one change of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TailChange {
    /// `accepted`, `retry`, `deferred`, `done`, `dead`, `discarded` or `resolved`.
    change: &'static str,
    /// The delivery after the change.
    delivery: Delivery,
}

/// The data of the first event, `open`.
#[derive(Debug, Serialize)]
struct Opened {
    /// The newest delivery. Later ones are reported.
    delivery: i64,
}

/// The data of the event `missed`.
#[derive(Debug, Serialize)]
struct Missed {
    /// How many changes were not sent, because the listener was too slow.
    changes: u64,
}

/// What is known of the deliveries that have not ended.
struct Watch {
    /// The newest delivery that was reported.
    last: i64,
    /// Smaller numbers that were not there yet. Empty in a ledger of one node, which commits
    /// numbers in their order.
    gaps: Gaps,
    is_shared: bool,
    open: BTreeMap<i64, Seen>,
}

/// What the last look saw of an open delivery.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: DeliveryState,
    attempt: u32,
    deferrals: u32,
}

/// One listener.
struct Listener {
    first: Option<Opened>,
    receiver: broadcast::Receiver<Arc<TailChange>>,
    hook: Option<String>,
    state: Option<DeliveryState>,
    token: PresentedToken,
    _permit: OwnedSemaphorePermit,
}

/// New deliveries and changes of open ones, as server-sent events.
///
/// The stream lasts until the client closes the connection, or its token is not valid any more.
/// The event's name is the change, its id the number of the delivery. `open` is the first event,
/// `missed` says that the client was too slow. At most 16 clients can listen.
#[utoipa::path(
    get,
    path = "/api/v1/tail",
    operation_id = "tail",
    tag = "events",
    params(TailQuery),
    responses(
        (
            status = 200,
            description = "Server-sent events whose data is a TailChange",
            body = TailChange,
            content_type = "text/event-stream",
        ),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
        (status = 429, description = "16 clients listen already", body = ApiError),
    )
)]
pub(crate) async fn tail(
    State(tail): State<Tail>,
    Extension(token): Extension<PresentedToken>,
    ApiQuery(query): ApiQuery<TailQuery>,
) -> Response {
    let listener = match tail.listen(query, token).await {
        Ok(listener) => listener,
        Err(refusal) => return *refusal,
    };

    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(events).keep_alive(keep_alive).into_response()
}

// === impl Tail ===

impl Tail {
    pub(crate) fn new(events: Events) -> Tail {
        Tail(Arc::new(Inner {
            events,
            sender: Mutex::new(None),
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
        }))
    }

    async fn listen(&self, query: TailQuery, token: PresentedToken) -> Result<Listener, Refusal> {
        let state = state(query.state.as_deref()).map_err(bad_request)?;
        if let Some(hook) = &query.hook {
            self.0.events.require_known(hook).await?;
        }
        let permit = self.0.listeners.clone().try_acquire_owned();
        let permit = permit.map_err(|_| {
            Box::new(error_response(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{LISTENERS_MAX} clients listen already"),
                Some("close another one, or poll GET /api/v1/events".into()),
            ))
        })?;

        // What is stored from here on is reported.
        let newest = self.newest().await.map_err(failed)?;
        let (receiver, is_first) = self.subscribe(&newest);
        let newest = if is_first {
            newest
        } else {
            // The task may have reported newer deliveries before this listener.
            self.newest().await.map_err(failed)?
        };
        Ok(Listener {
            first: Some(Opened {
                delivery: newest.first().copied().unwrap_or(0),
            }),
            receiver,
            hook: query.hook,
            state,
            token,
            _permit: permit,
        })
    }

    /// The numbers of the newest deliveries, in descending order.
    async fn newest(&self) -> Result<Vec<i64>, LedgerError> {
        let events = &self.0.events;
        let filter = Filter {
            limit: if events.is_shared() { LOOK_BACK } else { 1 },
            ..Filter::default()
        };
        let listed = events.ledger.list(filter).await?;
        Ok(listed.into_iter().map(|one| one.delivery).collect())
    }

    /// The changes from now on, and whether this is the first listener, for which a task starts.
    fn subscribe(&self, newest: &[i64]) -> (broadcast::Receiver<Arc<TailChange>>, bool) {
        let mut sender = lock(&self.0.sender);
        if let Some(sender) = &*sender {
            return (sender.subscribe(), false);
        }

        let (new, receiver) = broadcast::channel(BEHIND_MAX);
        *sender = Some(new.clone());
        let watch = Watch::after(newest, self.0.events.is_shared());
        tokio::spawn(self.clone().look_for_ever(new, watch));
        (receiver, true)
    }

    /// Until the last listener is gone.
    async fn look_for_ever(self, sender: broadcast::Sender<Arc<TailChange>>, mut watch: Watch) {
        if let Err(error) = watch.find_open(&self.0.events).await {
            tracing::debug!(%error, "the tail does not know the open deliveries");
        }

        loop {
            let mut changes = Vec::new();
            if let Err(error) = watch.look(&self.0.events, &mut changes).await {
                tracing::debug!(%error, "the tail cannot read the ledger");
            }
            for change in changes {
                sender.send(Arc::new(change)).ok();
            }
            if self.stop_if_unused(&sender) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn stop_if_unused(&self, sender: &broadcast::Sender<Arc<TailChange>>) -> bool {
        let mut shared = lock(&self.0.sender);
        let is_unused = sender.receiver_count() == 0;
        if is_unused {
            *shared = None;
        }
        is_unused
    }
}

// === impl Listener ===

impl Listener {
    /// The next event. `None`: there will be none, or the token is not valid any more.
    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Event::default().event("open").json_data(first).ok();
        }

        loop {
            let received = tokio::time::timeout(CHECK_TOKEN_EVERY, self.receiver.recv()).await;
            if !self.token.is_valid() {
                return None;
            }

            let Ok(received) = received else { continue };
            match received {
                Ok(change) if self.wants(&change) => {
                    let event = Event::default()
                        .event(change.change)
                        .id(change.delivery.delivery.to_string());
                    return event.json_data(&*change).ok();
                }
                Ok(_) => {}
                Err(RecvError::Lagged(changes)) => {
                    let missed = Missed { changes };
                    return Event::default().event("missed").json_data(missed).ok();
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, change: &TailChange) -> bool {
        let delivery = &change.delivery;
        self.hook.as_ref().is_none_or(|hook| delivery.hook == *hook)
            && self.state.is_none_or(|state| delivery.state == state)
    }
}

// === impl Watch ===

impl Watch {
    /// Reports what comes after the newest deliveries, whose numbers are in descending order, and
    /// what is missing among them.
    fn after(newest: &[i64], is_shared: bool) -> Watch {
        let mut watch = Watch {
            last: newest.first().copied().unwrap_or(0),
            gaps: Gaps::default(),
            is_shared,
            open: BTreeMap::new(),
        };
        if let Some(lowest) = newest.last()
            && newest.len() < LOOK_BACK
        {
            // There are no others.
            watch.add_gaps(0, *lowest);
        }
        for pair in newest.windows(2).rev() {
            watch.add_gaps(pair[1], pair[0]);
        }
        watch
    }

    fn add_gaps(&mut self, last: i64, next: i64) {
        if !self.is_shared {
            return;
        }

        let given_up = self.gaps.add_between(last, next, Instant::now());
        if given_up > 0 {
            tracing::debug!(
                given_up,
                "the tail looks for no more numbers of deliveries that are missing"
            );
        }
    }

    /// The deliveries that are open when the first listener comes.
    async fn find_open(&mut self, events: &Events) -> Result<(), LedgerError> {
        let filter = Filter {
            states: vec![
                DeliveryState::Waiting,
                DeliveryState::Pending,
                DeliveryState::Running,
            ],
            before: Some(self.last.saturating_add(1)),
            limit: NEW_MAX,
            ..Filter::default()
        };
        for one in events.ledger.list(filter).await? {
            self.change(&one);
        }
        Ok(())
    }

    /// Adds the changes since the last look, also if it fails in the middle.
    async fn look(
        &mut self,
        events: &Events,
        changes: &mut Vec<TailChange>,
    ) -> Result<(), LedgerError> {
        let known: Vec<i64> = self.open.keys().copied().collect();
        let began = Instant::now();
        for page in self.gaps.numbers().chunks(PAGE) {
            for one in list(events, page).await? {
                self.gaps.remove(one.delivery);
                self.report(one, changes);
            }
        }
        self.gaps.expire(began);

        let new = Filter {
            after: Some(self.last),
            limit: NEW_MAX,
            ..Filter::default()
        };
        for one in events.ledger.list(new).await? {
            self.add_gaps(self.last, one.delivery);
            self.last = one.delivery;
            self.report(one, changes);
        }

        for page in known.chunks(PAGE) {
            let found = list(events, page).await?;
            // A purge removed it, or it was handed to a broker.
            for number in page {
                if !found.iter().any(|one| one.delivery == *number) {
                    self.open.remove(number);
                }
            }
            for one in found {
                if let Some(change) = self.change(&one) {
                    changes.push(TailChange::new(change, one));
                }
            }
        }
        Ok(())
    }

    /// Adds the changes of a delivery that was not reported before.
    fn report(&mut self, one: Listed, changes: &mut Vec<TailChange>) {
        changes.push(TailChange::new("accepted", one.clone()));
        if let Some(change) = self.change(&one) {
            changes.push(TailChange::new(change, one));
        }
    }

    /// The change since the last look, if it is one that is reported.
    fn change(&mut self, one: &Listed) -> Option<&'static str> {
        let seen = Seen {
            state: one.state,
            attempt: one.attempt,
            deferrals: one.deferrals,
        };
        let is_open = matches!(
            one.state,
            DeliveryState::Waiting | DeliveryState::Pending | DeliveryState::Running
        );
        let has_place = self.open.len() < OPEN_MAX || self.open.contains_key(&one.delivery);
        let before = if is_open && has_place {
            self.open.insert(one.delivery, seen.clone())
        } else {
            self.open.remove(&one.delivery)
        };

        let deferred_before = before.as_ref().map_or(0, |before| before.deferrals);
        match one.state {
            DeliveryState::Pending if one.attempt == 0 || before.as_ref() == Some(&seen) => None,
            DeliveryState::Pending if one.deferrals > deferred_before => Some("deferred"),
            DeliveryState::Pending => Some("retry"),
            DeliveryState::Waiting | DeliveryState::Running => None,
            DeliveryState::Done => Some("done"),
            DeliveryState::Dead => Some("dead"),
            DeliveryState::Resolved => Some("resolved"),
            DeliveryState::Discarded => Some("discarded"),
            DeliveryState::Filtered => Some("filtered"),
            DeliveryState::Superseded => Some("superseded"),
        }
    }
}

/// The deliveries with these numbers, in order.
async fn list(events: &Events, numbers: &[i64]) -> Result<Vec<Listed>, LedgerError> {
    let filter = Filter {
        deliveries: numbers.to_vec(),
        limit: numbers.len(),
        ..Filter::default()
    };
    let mut found = events.ledger.list(filter).await?;
    found.reverse();
    Ok(found)
}

// === impl TailChange ===

impl TailChange {
    fn new(change: &'static str, listed: Listed) -> TailChange {
        TailChange {
            change,
            delivery: listed.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(state: DeliveryState, attempt: u32, deferrals: u32) -> Listed {
        Listed {
            delivery: 7,
            event: String::new(),
            hook: "orders".into(),
            received_at: String::new(),
            state,
            attempt,
            deferrals,
            due_in_ms: None,
            reason: None,
            replayed: false,
            replay_of: None,
            resolved_by: None,
            discarded: None,
            waits_for: None,
            superseded_by: None,
            batch: None,
            batch_size: None,
            body_bytes: 0,
            duplicates: 0,
            conflicts: 0,
            erased_at: None,
        }
    }

    #[test]
    fn each_change_is_reported_once() {
        let mut watch = Watch::after(&[], false);
        for (state, attempt, deferrals, change) in [
            (DeliveryState::Pending, 0, 0, None),
            (DeliveryState::Running, 1, 0, None),
            (DeliveryState::Pending, 1, 0, Some("retry")),
            (DeliveryState::Pending, 1, 0, None),
            (DeliveryState::Pending, 2, 1, Some("deferred")),
            (DeliveryState::Running, 3, 1, None),
            (DeliveryState::Done, 3, 1, Some("done")),
        ] {
            assert_eq!(
                watch.change(&listed(state, attempt, deferrals)),
                change,
                "{state:?} {attempt}"
            );
        }
        assert!(watch.open.is_empty());
    }

    #[test]
    fn missing_numbers_of_one_node_are_old() {
        let newest = [9, 8, 5, 4];
        let shared = Watch::after(&newest, true);
        assert_eq!(shared.gaps.numbers(), [1, 2, 3, 6, 7]);
        let many: Vec<i64> = (2..LOOK_BACK as i64 + 2).rev().collect();
        let shared = Watch::after(&many, true);
        assert!(shared.gaps.numbers().is_empty(), "older ones were not read");
        let of_one_node = Watch::after(&newest, false);
        assert!(of_one_node.gaps.numbers().is_empty());
        assert_eq!(of_one_node.last, 9);
    }
}
