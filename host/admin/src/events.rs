//! The state of the handlers that need only the ledger, and what they ask it for.

use std::sync::Arc;

use axum::http::StatusCode;

use super::api::error::{Refusal, bad_request, failed, refusal};
use landfall_dispatch::Dispatcher;
use landfall_hooks::{Hooks, MaskedEvent, ProofNames, mask_of_unknown_hook};
use landfall_ledger::{Filter, History, UNDECODABLE};
use landfall_model::{Clock, Event, EventId};

/// The state of the handlers for events.
#[derive(Clone)]
pub struct Events {
    /// The stored events.
    pub ledger: Arc<dyn History>,
    /// The clock for times such as `1h`, an hour ago.
    pub clock: Clock,
    /// Wakes the workers and knows the hooks; `None` if the ledger of a stopped node is read.
    pub running: Option<(Arc<Dispatcher>, Hooks)>,
}

// === impl Events ===

impl Events {
    /// The event with this id, or the only event whose id starts with it. `None` if no event
    /// matches.
    pub(crate) async fn event(&self, typed: &str) -> Result<Option<EventId>, Refusal> {
        if let Ok(id) = typed.parse() {
            return Ok(Some(id));
        }

        let (first, last) = EventId::range(typed).map_err(bad_request)?;
        let found = self.ledger.find_ids(first, last, 2).await.map_err(failed)?;
        match found[..] {
            [] => Ok(None),
            [id] => Ok(Some(id)),
            _ => Err(bad_request(format!(
                "several events have ids that begin with `{typed}`: write more of it"
            ))),
        }
    }

    /// Refuses a hook that neither exists on the running node nor has a delivery in the ledger.
    pub(crate) async fn require_known(&self, hook: &str) -> Result<(), Refusal> {
        let exists = self.running.as_ref().is_some_and(|(_, hooks)| {
            // A hook that is not in the directory yet may be in a file that has not been read.
            !hooks.is_complete() || hooks.statuses().iter().any(|status| status.name == hook)
        });
        if exists || hook == UNDECODABLE {
            return Ok(());
        }

        let one = Filter {
            hook: Some(hook.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        let found = self.ledger.list(one).await.map_err(failed)?;
        if !found.is_empty() {
            return Ok(());
        }

        let why = format!(
            "there is no hook `{}`, and no event of it: `landfall hooks` and `landfall events stats` list the names",
            hook.escape_debug()
        );
        Err(refusal(StatusCode::NOT_FOUND, why))
    }

    /// The running node has no hook of this name.
    pub(crate) fn is_orphan(&self, hook: &str) -> bool {
        self.running
            .as_ref()
            .is_some_and(|(_, hooks)| hooks.named(hook).is_none())
    }

    /// The running node runs no delivery of the hook, because an operator has paused it.
    pub(crate) fn is_paused(&self, hook: &str) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|(dispatcher, _)| dispatcher.hook_status(hook).is_paused)
    }

    /// Other nodes use the same ledger.
    pub(crate) fn is_shared(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|(dispatcher, _)| dispatcher.ledger().is_shared())
    }

    /// The hook may store rows in this table, or is in a file that has not been read yet.
    pub(crate) fn stores(&self, hook: &str, table: &str) -> bool {
        let Some((_, hooks)) = &self.running else {
            return false;
        };
        !hooks.is_complete()
            || hooks.named(hook).is_some_and(|hook| {
                let tables = hook.spec.allow.capabilities.names("table");
                tables.iter().any(|allowed| allowed == table)
            })
    }

    /// The event without the token or signature of its sender. Only a running node knows where the
    /// hook reads it now; where it was when the event was accepted is stored with the event.
    pub(crate) fn mask<'a>(&self, event: &'a Event) -> MaskedEvent<'a> {
        match &self.running {
            Some((_, hooks)) => hooks.mask(event),
            None => mask_of_unknown_hook(event, &ProofNames::default()),
        }
    }

    /// Wakes the workers of these hooks, if the node runs.
    pub(crate) fn wake<'a>(&self, hooks: impl Iterator<Item = &'a str>) {
        if let Some((dispatcher, _)) = &self.running {
            hooks.for_each(|hook| dispatcher.mark_due(&hook.into()));
        }
    }
}
