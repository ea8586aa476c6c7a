//! The body of a request, and the deliveries that it selects.

use std::collections::HashSet;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::error::{Refusal, bad_request, failed};
use crate::api::params::{state, time};
use crate::api::search::newest;
use crate::events::Events;
use landfall_ledger::{Filter, Listed, Pick};
use landfall_model::{DeliveryState, EventId};

/// The most events or deliveries of one request.
pub(super) const PAGE_MAX: usize = 500;
/// The most deliveries that a dry run lists.
pub(super) const SHOWN_MAX: usize = 20;

/// Which events or deliveries, and the parameters of the command.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Event ids, or the beginnings of ids; up to 500. Either these or `hook`.
    #[serde(default)]
    pub(super) events: Vec<String>,
    /// All deliveries of this hook that match the filters below, oldest first.
    pub(super) hook: Option<String>,
    /// In this state: `dead` unless said otherwise. Not for retry-now.
    pub(super) state: Option<String>,
    /// Received at this time or later: `2026-01-31T08:15:30Z`, or `1h` for an hour ago.
    since: Option<String>,
    /// Received before this time.
    until: Option<String>,
    /// With a delivery number greater than this: the cursor of the last response.
    after: Option<i64>,
    /// With a delivery number smaller than this. Default: the deliveries that exist at the first
    /// request.
    before: Option<i64>,
    /// The most deliveries that this request handles.
    limit: Option<usize>,
    /// Change nothing; report what would change.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Replay only: include resolved and discarded deliveries.
    pub(super) again: Option<bool>,
    /// Replay only: how many become due per second.
    pub(super) per_second: Option<f64>,
    /// Replay only: delay of the first one, in milliseconds.
    pub(super) delay_ms: Option<u64>,
    /// Discard only: the reason, which is stored.
    pub(super) reason: Option<String>,
}

/// The deliveries that a request selects, and how to go on.
#[derive(Default)]
pub(super) struct Selected {
    pub(super) deliveries: Vec<Listed>,
    /// Ids of events that the ledger does not have.
    pub(super) unknown: Vec<String>,
    /// Number of events without a delivery in a state that the command accepts.
    pub(super) skipped: usize,
    pub(super) next: Option<i64>,
    pub(super) before: Option<i64>,
}

// === impl Order ===

impl Order {
    /// Rejects keys that belong to another command.
    pub(super) fn check(self, step: &str) -> Result<Order, Refusal> {
        let order = self;
        let is_replay = step == "replay";
        let foreign = [
            ("again", order.again.is_some() && !is_replay),
            ("per_second", order.per_second.is_some() && !is_replay),
            ("delay_ms", order.delay_ms.is_some() && !is_replay),
            ("reason", order.reason.is_some() && step != "discard"),
            ("state", order.state.is_some() && step == "retry-now"),
        ];
        if let Some((key, _)) = foreign.iter().find(|(_, is_there)| *is_there) {
            return Err(bad_request(format!("{step} takes no `{key}`")));
        }

        if order.events.is_empty() == order.hook.is_none() {
            return Err(bad_request(
                "give either `events` or `hook`, not both and not neither",
            ));
        }

        if order.events.len() > PAGE_MAX {
            return Err(bad_request(format!(
                "{PAGE_MAX} events at most in one request"
            )));
        }

        Ok(order)
    }

    /// A page of the hook's deliveries in these states.
    pub(super) async fn page(
        &self,
        events: &Events,
        states: Vec<DeliveryState>,
        pick: Pick,
    ) -> Result<Selected, Refusal> {
        // Later pages are of a hook that was known.
        if let Some(hook) = self.hook.as_ref().filter(|_| self.after.is_none()) {
            events.require_known(hook).await?;
        }

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
            since_ms: time(self.since.as_deref(), events.clock).map_err(bad_request)?,
            until_ms: time(self.until.as_deref(), events.clock).map_err(bad_request)?,
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
    pub(super) async fn select(
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
    pub(super) async fn ids(
        &self,
        events: &Events,
    ) -> Result<(Vec<EventId>, Vec<String>), Refusal> {
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

    pub(super) fn state(&self, default: DeliveryState) -> Result<DeliveryState, Refusal> {
        Ok(state(self.state.as_deref())
            .map_err(bad_request)?
            .unwrap_or(default))
    }
}

pub(super) async fn listed(events: &Events, filter: Filter) -> Result<Vec<Listed>, Refusal> {
    events.ledger.list(filter).await.map_err(failed)
}
