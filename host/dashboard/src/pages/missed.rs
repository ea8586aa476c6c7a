//! Missed deliveries: what the last search of each hook has found at its provider, and a new search.

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use landfall_hooks::Hook;
use landfall_model::ReconcileSource;
use landfall_model::{MissedDelivery, SearchReport};
use serde_json::{Value, json};

use super::event::event_path;
use super::row::Time;
use crate::api::{self, ApiError};
use crate::fields::{Fields, segment};
use crate::page::{self, Forms, Page, go_to, show};
use crate::state::{Dashboard, Operator, Shared};
use crate::text::Part;
use crate::{live, text};

#[derive(Template)]
#[template(path = "missed.html")]
struct MissedPage {
    page: Page,
    view: MissedView,
}

#[derive(Template)]
#[template(path = "missed_live.html")]
struct MissedFragment {
    page: Forms,
    view: MissedView,
}

struct MissedView {
    /// The hooks that ask their provider.
    hooks: Vec<HookView>,
}

struct HookView {
    name: String,
    /// The provider, and how often it is asked.
    source: String,
    /// How the last search stands, in words.
    words: String,
    tone: &'static str,
    /// When the last search ended, or began if it goes on.
    searched: Option<Time>,
    /// What it found, as sentences.
    found: Vec<String>,
    /// Why it has not seen everything.
    problem: Vec<Part>,
    deliveries: Vec<DeliveryView>,
    is_running: bool,
}

struct DeliveryView {
    id: String,
    kind: String,
    at: Time,
    result: &'static str,
    tone: &'static str,
    /// The page of the stored event; empty if there is none.
    link: String,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    show(&MissedPage {
        page: Page::new(&dashboard, &by, "Missed deliveries", "/missed"),
        view: view(&dashboard),
    })
}

pub(crate) async fn live(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    let (shared, page) = (dashboard.clone(), Forms::new(&by));
    live::stream(dashboard, by.session, move || {
        let fragment = MissedFragment {
            page: page.clone(),
            view: view(&shared),
        };
        std::future::ready(fragment.render().ok())
    })
}

/// Starts a search.
pub(crate) async fn start(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(hook): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let is_dry = match fields.get("command") {
        "dry-run" => true,
        "search" => false,
        _ => {
            let error = ApiError {
                status: 400,
                text: "choose a dry run or a search".to_owned(),
            };
            return page::problem(&dashboard, &by, &error);
        }
    };

    let mut order = json!({ "dry_run": is_dry });
    let since = fields.get("since").trim();
    if !since.is_empty() {
        order["since"] = json!(since);
    }
    let path = format!("/hooks/{}/reconcile", segment(&hook));
    match api::post::<Value>(&dashboard.api, &by.caller, &path, &order).await {
        Ok(answer) => {
            let result = match (answer["started"].as_bool(), is_dry) {
                (Some(true), true) => format!("A dry run for {hook} has begun: it changes nothing"),
                (Some(true), false) => format!("A search for {hook} has begun"),
                _ => format!("Another search for {hook} goes on"),
            };
            dashboard.notify(&by, &text::line(&result, 200));
            go_to("/missed")
        }
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

fn view(dashboard: &Dashboard) -> MissedView {
    let admin = &dashboard.setup.admin;
    let names = admin.hooks.names().into_iter();
    let hooks = names.filter_map(|name| {
        let hook = admin.hooks.named(&name)?;
        let source = source(&hook)?;
        let report = admin.reconcile.report(&name);
        Some(hook_view(&name, source, report.as_ref()))
    });
    MissedView {
        hooks: hooks.collect(),
    }
}

/// `None` for a hook that asks no provider.
fn source(hook: &Hook) -> Option<String> {
    let spec = hook.spec.reconcile.as_ref()?;
    let provider = match spec.source {
        ReconcileSource::GitHub(_) => "GitHub",
        ReconcileSource::Stripe { .. } => "Stripe",
        ReconcileSource::Shopify { .. } => "Shopify",
    };
    let every = text::duration(spec.every.as_secs_f64() * 1000.0);
    Some(format!("{provider}, every {every}"))
}

fn hook_view(name: &str, source: String, report: Option<&SearchReport>) -> HookView {
    let empty = HookView {
        name: name.to_owned(),
        source,
        words: "Not searched since the node started".to_owned(),
        tone: "plain",
        searched: None,
        found: Vec::new(),
        problem: Vec::new(),
        deliveries: Vec::new(),
        is_running: false,
    };
    let Some(report) = report else {
        return empty;
    };

    let (words, tone) = words(report);
    let searched = report.ended_at.as_ref().unwrap_or(&report.started_at);
    HookView {
        words: words.to_owned(),
        tone,
        searched: Some(Time::new(searched)),
        found: found(report),
        problem: text::sentence(report.error.as_deref().unwrap_or_default()),
        deliveries: report.deliveries.iter().map(delivery_view).collect(),
        is_running: report.running,
        ..empty
    }
}

fn words(report: &SearchReport) -> (&'static str, &'static str) {
    match report {
        _ if report.running && report.waits_until.is_some() => {
            ("Waits for the rate limit of the provider", "busy")
        }
        _ if report.running => ("Searches now", "busy"),
        _ if report.error.is_some() => ("The last search failed", "bad"),
        _ if report.missed > 0 && report.dry_run => ("Deliveries are missing", "bad"),
        _ if report.more => (
            "The last search reached its limits: the next one goes on",
            "busy",
        ),
        _ => ("Nothing is missing", "good"),
    }
}

/// What a search has found, as sentences.
fn found(report: &SearchReport) -> Vec<String> {
    let mut found = Vec::new();
    if !report.since.is_empty() {
        let since = Time::new(&report.since).text;
        let until = Time::new(&report.until).text;
        found.push(format!("Deliveries from {since} to {until}."));
    }
    let listed = text::count(report.listed, "delivery is", "deliveries are");
    let mut counts = format!(
        "{listed} in the provider's list; this hook missed {}",
        report.missed
    );
    if report.dry_run {
        counts.push_str(". A dry run: nothing was stored.");
    } else {
        let stored = text::count(
            report.accepted,
            "was stored as a new event",
            "were stored as new events",
        );
        counts.push_str(&format!(", of which {stored}."));
    }
    found.push(counts);
    if report.skipped > 0 {
        let skipped = text::count(report.skipped, "can never be stored", "can never be stored");
        found.push(format!("{skipped}: the log says why."));
    }
    if let Some(until) = &report.waits_until {
        found.push(format!("It goes on at {}.", Time::new(until).text));
    }
    found
}

fn delivery_view(missed: &MissedDelivery) -> DeliveryView {
    let event = missed.event.as_deref();
    DeliveryView {
        id: text::line(&missed.id, 100),
        kind: text::line(&missed.kind, 100),
        at: Time::new(&missed.at),
        result: missed.result,
        tone: match missed.result {
            "accepted" => "good",
            "missed" => "busy",
            _ => "bad",
        },
        link: event.map(event_path).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> SearchReport {
        SearchReport {
            hook: "in".into(),
            provider: "github",
            running: false,
            dry_run: false,
            started_at: "2026-01-31T08:15:30Z".into(),
            ended_at: Some("2026-01-31T08:15:31Z".into()),
            since: "2026-01-28T08:15:30Z".into(),
            until: "2026-01-31T08:15:30Z".into(),
            pages: 1,
            listed: 10,
            missed: 0,
            accepted: 0,
            known: 10,
            skipped: 0,
            waits_until: None,
            more: false,
            error: None,
            deliveries: Vec::new(),
        }
    }

    #[test]
    fn searches_are_said_in_words() {
        let failed = SearchReport {
            error: Some("GitHub answers 403".into()),
            ..report()
        };
        let dry = SearchReport {
            dry_run: true,
            missed: 3,
            ..report()
        };
        let running = SearchReport {
            running: true,
            ended_at: None,
            ..report()
        };
        for (report, expected) in [
            (report(), "Nothing is missing"),
            (failed, "The last search failed"),
            (dry, "Deliveries are missing"),
            (running, "Searches now"),
        ] {
            assert_eq!(words(&report).0, expected);
        }
        let view = hook_view("in", "GitHub".into(), None);
        assert_eq!(view.words, "Not searched since the node started");
    }

    #[test]
    fn results_are_counted() {
        let stored = SearchReport {
            missed: 3,
            accepted: 2,
            skipped: 1,
            ..report()
        };
        assert_eq!(
            found(&stored),
            [
                "Deliveries from 2026-01-28 08:15:30 UTC to 2026-01-31 08:15:30 UTC.",
                "10 deliveries are in the provider's list; this hook missed 3, of which 2 were stored as new events.",
                "1 can never be stored: the log says why."
            ]
        );
    }
}
