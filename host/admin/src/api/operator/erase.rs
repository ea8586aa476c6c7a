//! Removes what events contain. The fact of each event stays.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::errors::OrderErrors;
use super::order::PAGE_MAX;
use crate::api::error::{ApiJson, Refusal, answered, bad_request, failed};
use crate::events::Events;
use landfall_ledger::{Erasure, Scrubbed};
use landfall_model::EventId;
use landfall_model::clock::to_ms;

/// The most emitted events that one request erases too.
const CHILDREN_MAX: usize = 10_000;
/// The longest chain of events that emit events.
const HOPS_MAX: usize = 8;
/// The most emitted events that stay and are counted.
const LEFT_MAX: usize = 1_000;

/// Which events to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseOrder {
    /// Event ids, or the beginnings of ids; up to 500.
    events: Vec<String>,
    /// Also erase the events that their handlers emitted.
    #[serde(default)]
    children: bool,
    /// Change nothing; report what would be removed.
    #[serde(default)]
    dry_run: bool,
}

/// The response to an erasure.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ErasedPage {
    /// Events whose content was removed, or would be in a dry run: with emitted ones.
    events: usize,
    /// How many of them were emitted by the given events.
    children: usize,
    /// Emitted events that stay, because `children` was not set. At most 1000 are counted.
    children_left: usize,
    /// Events that stay, because a delivery of them is pending or running.
    open: usize,
    /// Events that were erased before.
    before: usize,
    /// Ids that match no event.
    unknown: Vec<String>,
    /// Attempts that lost their calls, log lines and reasons.
    attempts: i64,
    /// Removed rows of tables.
    rows: i64,
    /// Removed key-value pairs: those that no later event has changed.
    values: i64,
    /// Whether nothing was changed.
    dry_run: bool,
    /// `clean`: the files of the ledger no longer have what was removed. `busy`: its log still has
    /// it, because a reader needs an old state; repeat the request. `database`: PostgreSQL
    /// overwrites it when it vacuums. Null in a dry run.
    files: Option<&'static str>,
}

/// Removes what these events contain: head and body, the records of their attempts, replies, rows
/// and values. The fact of each event stays.
#[utoipa::path(
    post,
    path = "/api/v1/erase",
    operation_id = "erase",
    tag = "commands",
    request_body = EraseOrder,
    responses(
        (status = 200, body = ErasedPage),
        OrderErrors,
    )
)]
pub(crate) async fn erase(
    State(events): State<Events>,
    ApiJson(order): ApiJson<EraseOrder>,
) -> Response {
    answered(erase_page(&events, order).await)
}

async fn erase_page(events: &Events, order: EraseOrder) -> Result<ErasedPage, Refusal> {
    if order.events.is_empty() || order.events.len() > PAGE_MAX {
        return Err(bad_request(format!("name 1 to {PAGE_MAX} events")));
    }

    let mut page = ErasedPage {
        dry_run: order.dry_run,
        ..ErasedPage::default()
    };
    let mut ids: Vec<EventId> = Vec::new();
    let mut seen = HashSet::new();
    for typed in &order.events {
        match events.event(typed).await? {
            Some(id) if seen.insert(id) => ids.push(id),
            Some(_) => {}
            None => page.unknown.push(typed.clone()),
        }
    }

    let named = ids.len();
    if order.children {
        add_children(events, &mut ids, &mut seen).await?;
    } else {
        let left = events.ledger.emitted_by(ids.clone(), LEFT_MAX);
        let left = left.await.map_err(failed)?;
        page.children_left = left.iter().filter(|child| !seen.contains(*child)).count();
    }

    let at_ms = to_ms(events.clock.now());
    let erased = events.ledger.erase(ids.clone(), at_ms, order.dry_run);
    let erased = erased.await.map_err(failed)?;
    for (place, (id, erasure)) in ids.iter().zip(&erased).enumerate() {
        match erasure {
            Erasure::Erased(parts) => {
                page.events += 1;
                page.children += usize::from(place >= named);
                page.attempts += parts.attempts;
                page.rows += parts.rows;
                page.values += parts.values;
            }
            Erasure::Open => page.open += 1,
            Erasure::Before => page.before += 1,
            Erasure::Unknown => page.unknown.push(id.to_string()),
        }
    }
    if order.dry_run {
        return Ok(page);
    }

    // Also if all were erased before: the log may have been busy then.
    page.files = Some(match events.ledger.scrub().await.map_err(failed)? {
        Scrubbed::Clean => "clean",
        Scrubbed::Busy => "busy",
        Scrubbed::Elsewhere => "database",
    });
    tracing::info!(
        events = page.events,
        rows = page.rows,
        values = page.values,
        open = page.open,
        files = page.files,
        "an operator erases events"
    );
    Ok(page)
}

/// Adds the events that the handlers of these events emitted, and so on.
async fn add_children(
    events: &Events,
    ids: &mut Vec<EventId>,
    seen: &mut HashSet<EventId>,
) -> Result<(), Refusal> {
    let mut parents = ids.clone();
    for _ in 0..HOPS_MAX {
        if parents.is_empty() {
            break;
        }

        let children = events.ledger.emitted_by(parents, CHILDREN_MAX + 1);
        let mut children = children.await.map_err(failed)?;
        children.retain(|child| seen.insert(*child));
        ids.extend(&children);
        if ids.len() > CHILDREN_MAX {
            return Err(bad_request(format!(
                "these events have emitted more than {CHILDREN_MAX}: erase fewer at a time"
            )));
        }
        parents = children;
    }
    Ok(())
}
