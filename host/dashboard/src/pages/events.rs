//! The list of deliveries, with a search.

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::Response;

use super::row::Row;
use crate::api::{self, Deliveries};
use crate::fields::{Fields, link};
use crate::heads::Head;
use crate::live;
use crate::page::{Forms, Page, show};
use crate::query::{QUALIFIERS, Query};
use crate::state::{Dashboard, Operator, Shared};
use crate::text::{self, Part};

const PAGE: &str = "50";

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    page: Page,
    view: EventList,
    /// The search, as typed.
    search: String,
    live: String,
    qualifiers: [(&'static str, &'static str); 12],
    /// What the search field offers.
    suggestions: Vec<String>,
}

#[derive(Template)]
#[template(path = "events_live.html")]
struct EventsFragment {
    page: Forms,
    view: EventList,
}

struct EventList {
    rows: Vec<Row>,
    problems: Vec<Vec<Part>>,
    /// What was searched, as a sentence.
    window: String,
    /// The link that goes on; empty at the end.
    older: String,
    newest: String,
    /// The commands for all that match.
    bulk: String,
    is_searched: bool,
    /// Why there are no events.
    empty: String,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let (search, before) = (fields.get("q").to_owned(), fields.get("before").to_owned());
    let view = list(&dashboard, &search, &before).await;
    // Older pages do not change at their top.
    let live = match before.as_str() {
        "" => link("/live/events", &[("q", &search)]),
        _ => String::new(),
    };
    show(&EventsPage {
        page: Page::new(&dashboard, &by, "Events", "/events"),
        view,
        live,
        search: text::field(&search),
        qualifiers: QUALIFIERS,
        suggestions: suggestions(&dashboard),
    })
}

pub(crate) async fn live(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let search = Fields::of_query(request.uri().query()).get("q").to_owned();
    let (shared, forms) = (dashboard.clone(), Forms::new(&by));
    live::stream(dashboard, by.session, move || {
        let (shared, search, page) = (shared.clone(), search.clone(), forms.clone());
        async move {
            let view = list(&shared, &search, "").await;
            EventsFragment { page, view }.render().ok()
        }
    })
}

async fn list(dashboard: &Dashboard, search: &str, before: &str) -> EventList {
    let query = Query::parse(search);
    let mut view = EventList {
        rows: Vec::new(),
        problems: query
            .problems
            .iter()
            .map(|one| text::sentence(one))
            .collect(),
        window: String::new(),
        older: String::new(),
        newest: link("/events", &[("q", search)]),
        bulk: link("/bulk", &[("q", search)]),
        is_searched: !search.trim().is_empty(),
        empty: String::new(),
    };
    if !view.problems.is_empty() {
        return view;
    }

    let mut parameters = vec![("limit", PAGE), ("before", before)];
    parameters.extend(
        query
            .parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    match api::deliveries(&dashboard.api, &parameters).await {
        Ok(found) => {
            let ledger = &*dashboard.setup.admin.ledger;
            let heads = dashboard.heads.of(ledger, &found.events).await;
            fill(&mut view, found, heads, search, before);
        }
        Err(error) => view.problems.push(text::sentence(&error.text)),
    }
    if view.rows.is_empty() && view.problems.is_empty() {
        view.empty = why_empty(dashboard, query.get("hook"), view.is_searched);
    }

    view
}

fn fill(view: &mut EventList, found: Deliveries, heads: Vec<Head>, search: &str, before: &str) {
    let rows = found.events.iter().zip(heads);
    view.rows = rows.map(|(one, head)| Row::new(one).with(head)).collect();
    let scanned = found.scanned.max(view.rows.len());
    let searched = format!("{} shown. Searched {scanned} deliveries", view.rows.len());
    let from = match before.parse::<i64>() {
        Ok(before) => format!("below {before}"),
        Err(_) => "from the newest".to_owned(),
    };
    view.window = match found.next {
        None => format!("{searched}, to the oldest that can match."),
        Some(next) => {
            let received = found.back_to.as_deref().map_or_else(String::new, |at| {
                format!(", received {}", text::line(at, 40))
            });
            format!(
                "{searched}, {from} down to delivery {next}{received}; older ones were not searched."
            )
        }
    };
    if let Some(next) = found.next {
        view.older = link("/events", &[("q", search), ("before", &next.to_string())]);
    }
}

/// Why there is nothing to see, and what to do.
fn why_empty(dashboard: &Dashboard, hook: Option<&str>, is_searched: bool) -> String {
    let admin = &dashboard.setup.admin;
    let refusals = admin.refusals.last();
    let is_refused = |name: &str| refusals.iter().any(|refusal| refusal.request.hook == name);
    match hook {
        Some(hook) if admin.dispatcher.hook_status(hook).is_paused => format!(
            "{hook} is paused, and no event of it matches. Resume it on the overview."
        ),
        Some(hook) if is_refused(hook) => format!(
            "No event matches, and requests to {hook} were refused. The page Why says how they differ from what was expected."
        ),
        _ if is_searched => {
            "No event matches in the searched window. Remove a qualifier, or search further back with since:.".to_owned()
        }
        _ if admin.hooks.names().is_empty() => format!(
            "There is no hook. Put a component and its hook file into {}.",
            admin.plugins
        ),
        _ if !refusals.is_empty() => {
            "No event was accepted: all requests were refused. The page Why says why.".to_owned()
        }
        _ => "No hook was called yet. The overview has a command for each hook that sends a first event.".to_owned(),
    }
}

fn suggestions(dashboard: &Dashboard) -> Vec<String> {
    let hooks = dashboard.setup.admin.hooks.names();
    let hooks = hooks.iter().take(200).map(|name| format!("hook:{name}"));
    let states = [
        "waiting",
        "pending",
        "running",
        "done",
        "dead",
        "resolved",
        "discarded",
        "filtered",
        "superseded",
    ];
    let states = states.iter().map(|state| format!("state:{state}"));
    let others = [
        "type:",
        "delivery:",
        "reason:",
        "outcome:trap",
        "took:>2s",
        "since:1h",
        "json.",
        "header.",
        "text:",
    ];
    hooks
        .chain(states)
        .chain(others.map(str::to_owned))
        .collect()
}
