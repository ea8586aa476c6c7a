//! Operator commands on deliveries: replay, discard, retry now, and purge of a hook that no longer exists. A request handles one bounded
//! page. If the response has `next`, the client repeats the request with `after` = `next` and the same `before`.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::events::{Events, answer, refused, state, time};
use super::search::newest;
use landfall_ledger::{
    Filter, LedgerError, Listed, Pick, Purged, ReplayOrder, Replayed as Fate, Step,
};
use landfall_model::{DeliveryState, EventId};

/// The most events or deliveries of one request.
const PAGE_MAX: usize = 500;
/// Replays that start per second, unless the request says otherwise.
const RATE_DEFAULT: f64 = 100.0;
/// The most deliveries that a dry run lists.
const SHOWN_MAX: usize = 20;
const REASON_CHARACTERS_MAX: usize = 500;

/// The body of a request: which events or deliveries, and the parameters of the command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// Event ids. Either these or `hook`.
    #[serde(default)]
    events: Vec<String>,
    /// All deliveries of this hook that match the filters below, oldest first.
    hook: Option<String>,
    /// In this state.
    state: Option<String>,
    /// Received at this time or later.
    since: Option<String>,
    /// Received before this time.
    until: Option<String>,
    /// With a delivery number greater than this: the cursor of the last response.
    after: Option<i64>,
    /// With a delivery number smaller than this. Default: the deliveries that exist at the first request.
    before: Option<i64>,
    /// The most deliveries that this request handles.
    limit: Option<usize>,
    /// Change nothing; report what would change.
    #[serde(default)]
    dry_run: bool,
    /// Replay only: include resolved and discarded deliveries.
    again: Option<bool>,
    /// Replay only: how many become due per second.
    per_second: Option<f64>,
    /// Replay only: delay of the first one, in milliseconds.
    delay_ms: Option<u64>,
    /// Discard only: the reason, which is stored.
    reason: Option<String>,
}

/// The deliveries that a request selects, and how to go on.
#[derive(Default)]
struct Selected {
    deliveries: Vec<Listed>,
    /// Ids of events that the ledger does not have.
    unknown: Vec<String>,
    /// Number of events without a delivery in a state that the command accepts.
    skipped: usize,
    next: Option<i64>,
    before: Option<i64>,
}

type Refusal = Box<Response>;
type Asked = Result<Json<Order>, JsonRejection>;

// === impl Order ===

impl Order {
    /// Rejects keys that belong to another command.
    fn read(asked: Asked, step: &str) -> Result<Order, Refusal> {
        let Json(order) = asked.map_err(|why| bad(&why.body_text()))?;
        let is_replay = step == "replay";
        let foreign = [
            ("again", order.again.is_some() && !is_replay),
            ("per_second", order.per_second.is_some() && !is_replay),
            ("delay_ms", order.delay_ms.is_some() && !is_replay),
            ("reason", order.reason.is_some() && step != "discard"),
            ("state", order.state.is_some() && step == "retry-now"),
        ];
        if let Some((key, _)) = foreign.iter().find(|(_, is_there)| *is_there) {
            return Err(bad(&format!("{step} takes no `{key}`")));
        }
        if order.events.is_empty() == order.hook.is_none() {
            return Err(bad(
                "give either `events` or `hook`, not both and not neither",
            ));
        }
        if order.events.len() > PAGE_MAX {
            return Err(bad(&format!("{PAGE_MAX} events at most in one request")));
        }
        Ok(order)
    }

    /// A page of the hook's deliveries in these states.
    async fn page(
        &self,
        events: &Events,
        states: Vec<DeliveryState>,
        pick: Pick,
    ) -> Result<Selected, Refusal> {
        let before = match self.before {
            Some(before) => before,
            // Deliveries that this command creates are not selected by its later pages.
            None => newest(events).await.map_err(failed)? + 1,
        };
        let limit = self.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let filter = Filter {
            hook: self.hook.clone(),
            states,
            pick,
            after: Some(self.after.unwrap_or(0)),
            before: Some(before),
            since_ms: time(self.since.as_deref()).map_err(|why| bad(&why))?,
            until_ms: time(self.until.as_deref()).map_err(|why| bad(&why))?,
            limit,
            ..Filter::default()
        };
        let deliveries = listed(events, filter).await?;
        let next = deliveries
            .last()
            .filter(|_| deliveries.len() == limit)
            .map(|last| last.delivery);
        Ok(Selected {
            deliveries,
            next,
            before: Some(before),
            ..Selected::default()
        })
    }

    /// The deliveries in these states: those of the given events, or one page of the hook's.
    async fn select(
        &self,
        events: &Events,
        states: Vec<DeliveryState>,
    ) -> Result<Selected, Refusal> {
        if self.events.is_empty() {
            return self.page(events, states, Pick::All).await;
        }

        let mut selected = Selected::default();
        let (ids, unknown) = self.ids(events).await?;
        selected.unknown = unknown;
        for id in ids {
            let all = Filter {
                event: Some(id),
                limit: PAGE_MAX,
                ..Filter::default()
            };
            let all = listed(events, all).await?;
            if all.is_empty() {
                selected.unknown.push(id.to_string());
                continue;
            }
            let fitting: Vec<Listed> = all
                .into_iter()
                .filter(|one| states.contains(&one.state))
                .collect();
            selected.skipped += usize::from(fitting.is_empty());
            selected.deliveries.extend(fitting);
        }
        Ok(selected)
    }

    /// The given events without repetitions, and the ids that match no event.
    async fn ids(&self, events: &Events) -> Result<(Vec<EventId>, Vec<String>), Refusal> {
        let (mut seen, mut ids, mut unknown) = (HashSet::new(), Vec::new(), Vec::new());
        for typed in &self.events {
            match events.event(typed).await? {
                Some(id) if seen.insert(id) => ids.push(id),
                Some(_) => {}
                None => unknown.push(typed.clone()),
            }
        }
        Ok((ids, unknown))
    }

    fn state(&self, default: DeliveryState) -> Result<DeliveryState, Refusal> {
        Ok(state(self.state.as_deref())
            .map_err(|why| bad(&why))?
            .unwrap_or(default))
    }
}

fn bad(why: &str) -> Refusal {
    Box::new(refused(StatusCode::BAD_REQUEST, why))
}

async fn listed(events: &Events, filter: Filter) -> Result<Vec<Listed>, Refusal> {
    events.ledger.list(filter).await.map_err(failed)
}

fn failed(error: LedgerError) -> Refusal {
    Box::new(answer::<()>(Err(error)))
}

fn answered<T: Serialize>(done: Result<T, Refusal>) -> Response {
    done.map_or_else(|refusal| *refusal, |done| answer(Ok(done)))
}

fn wake<'a>(events: &Events, hooks: impl Iterator<Item = &'a str>) {
    if let Some((dispatcher, _)) = &events.running {
        hooks.for_each(|hook| dispatcher.mark_due(&hook.into()));
    }
}

/// The response to a replay.
#[derive(Debug, Default, Serialize)]
struct Replayed {
    /// Number of events that run again, or would in a dry run.
    events: usize,
    dry_run: bool,
    /// They wait or run already.
    waiting: usize,
    /// Number of events that another command has replayed since this request selected them.
    repeated: usize,
    /// Number of events that are messages which no node could decode: no hook runs them.
    undecodable: usize,
    /// Number of the events that run again whose hook does not exist on this node: they wait for it.
    orphaned: usize,
    /// Number of events that were skipped because an operator had discarded them and `again` was not set.
    discarded: usize,
    unknown: Vec<String>,
    /// The first of them, where this is a dry run.
    shown: Vec<Listed>,
    next: Option<i64>,
    before: Option<i64>,
}

pub(super) async fn replay(State(events): State<Events>, order: Asked) -> Response {
    answered(replay_page(&events, order).await)
}

async fn replay_page(events: &Events, order: Asked) -> Result<Replayed, Refusal> {
    let order = Order::read(order, "replay")?;
    let per_second = order.per_second.unwrap_or(RATE_DEFAULT);
    if !(0.001..=100_000.0).contains(&per_second) {
        return Err(bad("per_second is out of range: 0.001 to 100000"));
    }

    let again = order.again.unwrap_or(false);
    let (chosen, selected) = if order.events.is_empty() {
        let asked = order.state(DeliveryState::Dead)?;
        // An event that a later delivery has handled, or will, is not run again.
        let (states, pick) = match (asked, again) {
            (DeliveryState::Dead, true) => {
                let failed = vec![
                    DeliveryState::Dead,
                    DeliveryState::Resolved,
                    DeliveryState::Discarded,
                ];
                (failed, Pick::LatestFailed)
            }
            (state, true) => (vec![state], Pick::All),
            (state, false) => (vec![state], Pick::Latest),
        };
        let selected = order.page(events, states, pick).await?;
        (chosen(&selected.deliveries, again), selected)
    } else {
        let (ids, unknown) = order.ids(events).await?;
        let selected = Selected {
            unknown,
            ..Selected::default()
        };
        (ids.into_iter().map(|id| (id, None)).collect(), selected)
    };
    let Selected {
        mut deliveries,
        unknown,
        next,
        before,
        ..
    } = selected;
    landfall_model::kill_point!("selected");
    let dry_run = order.dry_run;
    let replays = ReplayOrder {
        events: chosen.clone(),
        delay: Duration::from_millis(order.delay_ms.unwrap_or(0)),
        apart: Duration::from_secs_f64(1.0 / per_second),
        again,
        dry_run,
    };
    let fates = events.ledger.replay(replays).await.map_err(failed)?;
    landfall_model::kill_point!("replayed");
    deliveries.truncate(if dry_run { SHOWN_MAX } else { 0 });
    let mut replayed = Replayed {
        dry_run,
        shown: deliveries,
        unknown,
        next,
        before,
        ..Replayed::default()
    };
    for ((id, _), fate) in chosen.iter().zip(&fates) {
        match fate {
            Fate::Queued(hook) => {
                replayed.events += 1;
                replayed.orphaned += usize::from(events.is_orphan(hook));
                if !dry_run {
                    wake(events, std::iter::once(hook.as_str()));
                }
            }
            Fate::Waiting => replayed.waiting += 1,
            Fate::Repeated => replayed.repeated += 1,
            Fate::Discarded => replayed.discarded += 1,
            Fate::Undecodable => replayed.undecodable += 1,
            Fate::Unknown => replayed.unknown.push(id.to_string()),
        }
    }
    if dry_run {
        return Ok(replayed);
    }

    tracing::info!(
        events = replayed.events,
        hook = order.hook,
        state = order.state,
        "an operator replays events"
    );
    Ok(replayed)
}

/// The events of these deliveries, each with the delivery to repeat. With `again`, events may have later ones.
fn chosen(deliveries: &[Listed], again: bool) -> Vec<(EventId, Option<i64>)> {
    let mut seen = HashSet::new();
    deliveries
        .iter()
        .filter_map(|one| Some((one.event.parse().ok()?, (!again).then_some(one.delivery))))
        .filter(|(event, _)| seen.insert(*event))
        .collect()
}

/// The response to a discard or a retry now.
#[derive(Debug, Default, Serialize)]
struct Stepped {
    /// Number of deliveries that were changed, or would be in a dry run.
    deliveries: usize,
    dry_run: bool,
    /// Number of deliveries that were skipped: in another state, or just started by a worker.
    skipped: usize,
    unknown: Vec<String>,
    /// The first of them, where this is a dry run.
    shown: Vec<Listed>,
    next: Option<i64>,
    before: Option<i64>,
}

pub(super) async fn discard(State(events): State<Events>, order: Asked) -> Response {
    answered(discard_page(&events, order).await)
}

async fn discard_page(events: &Events, order: Asked) -> Result<Stepped, Refusal> {
    let order = Order::read(order, "discard")?;
    let reason = order.reason.clone().unwrap_or_default().trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARACTERS_MAX {
        return Err(bad(&format!(
            "say why, in `reason`: 1 to {REASON_CHARACTERS_MAX} characters"
        )));
    }

    let states = match (order.events.is_empty(), order.state(DeliveryState::Dead)?) {
        (true, state @ (DeliveryState::Dead | DeliveryState::Pending)) => vec![state],
        (true, _) => return Err(bad("only dead and pending deliveries can be discarded")),
        (false, _) => vec![DeliveryState::Dead, DeliveryState::Pending],
    };
    let stepped = step(events, &order, states, Step::Discard(reason.clone())).await?;
    if !order.dry_run {
        tracing::info!(
            deliveries = stepped.deliveries,
            hook = order.hook,
            reason,
            "an operator discards deliveries"
        );
    }
    Ok(stepped)
}

pub(super) async fn retry_now(State(events): State<Events>, order: Asked) -> Response {
    answered(retry_page(&events, order).await)
}

async fn retry_page(events: &Events, order: Asked) -> Result<Stepped, Refusal> {
    let order = Order::read(order, "retry-now")?;
    let stepped = step(events, &order, vec![DeliveryState::Pending], Step::RetryNow).await?;
    if !order.dry_run {
        tracing::info!(
            deliveries = stepped.deliveries,
            hook = order.hook,
            "an operator makes retries due"
        );
    }
    Ok(stepped)
}

async fn step(
    events: &Events,
    order: &Order,
    states: Vec<DeliveryState>,
    step: Step,
) -> Result<Stepped, Refusal> {
    let Selected {
        mut deliveries,
        unknown,
        skipped,
        next,
        before,
    } = order.select(events, states).await?;
    let asked = deliveries.len();
    if matches!(step, Step::RetryNow) {
        // Deliveries that are due already are not counted.
        deliveries.retain(|one| one.due_in_ms.is_some_and(|due| due > 0));
    }
    let stepped = Stepped {
        skipped: skipped + asked - deliveries.len(),
        unknown,
        next,
        before,
        ..Stepped::default()
    };
    if order.dry_run {
        let count = deliveries.len();
        deliveries.truncate(SHOWN_MAX);
        return Ok(Stepped {
            deliveries: count,
            dry_run: true,
            shown: deliveries,
            ..stepped
        });
    }

    let ids: Vec<i64> = deliveries.iter().map(|one| one.delivery).collect();
    let asked = ids.len();
    let done: HashSet<i64> = events
        .ledger
        .operate(step, ids)
        .await
        .map_err(failed)?
        .into_iter()
        .collect();
    landfall_model::kill_point!("stepped");
    let hooks: HashSet<&str> = deliveries
        .iter()
        .filter(|one| done.contains(&one.delivery))
        .map(|one| one.hook.as_str())
        .collect();
    wake(events, hooks.into_iter());
    Ok(Stepped {
        deliveries: done.len(),
        skipped: stepped.skipped + asked - done.len(),
        ..stepped
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeOrder {
    hook: String,
    #[serde(default)]
    dry_run: bool,
}

/// The response to a purge.
#[derive(Debug, Serialize)]
struct PurgedPage {
    #[serde(flatten)]
    purged: Purged,
    dry_run: bool,
    /// Number of deliveries that run now: they stay. At most 500 are counted.
    running: usize,
    /// Nothing is left, apart from deliveries that are running.
    done: bool,
}

pub(super) async fn purge(
    State(events): State<Events>,
    order: Result<Json<PurgeOrder>, JsonRejection>,
) -> Response {
    answered(purge_page(&events, order).await)
}

async fn purge_page(
    events: &Events,
    order: Result<Json<PurgeOrder>, JsonRejection>,
) -> Result<PurgedPage, Refusal> {
    let Json(PurgeOrder { hook, dry_run }) = order.map_err(|why| bad(&why.body_text()))?;
    let Some((_, hooks)) = &events.running else {
        return Err(bad(
            "only a running node knows which hooks are gone: leave out --data",
        ));
    };
    if !hooks.is_complete() {
        let why = "the plugins directory is still being read: try again when the node is ready";
        return Err(Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, why)));
    }
    if hooks.statuses().iter().any(|status| status.name == hook) {
        let why = format!(
            "hook `{}` exists: purge removes all that a hook without a hook file and component has left; remove those first",
            hook.escape_debug()
        );
        return Err(Box::new(refused(StatusCode::CONFLICT, &why)));
    }
    let running = Filter {
        hook: Some(hook.clone()),
        states: vec![DeliveryState::Running],
        limit: PAGE_MAX,
        ..Filter::default()
    };
    if dry_run {
        let purged = events.ledger.purgeable(hook).await.map_err(failed)?;
        return Ok(PurgedPage {
            purged,
            dry_run,
            running: listed(events, running).await?.len(),
            done: true,
        });
    }

    let purged = events
        .ledger
        .purge(hook.clone(), PAGE_MAX)
        .await
        .map_err(failed)?;
    let Purged {
        deliveries,
        identities,
        rows,
        values,
    } = purged;
    tracing::info!(
        hook,
        deliveries,
        identities,
        rows,
        values,
        "an operator removes what a hook that is gone has left"
    );
    let done = purged == Purged::default();
    Ok(PurgedPage {
        purged,
        dry_run,
        running: match done {
            true => listed(events, running).await?.len(),
            false => 0,
        },
        done,
    })
}
