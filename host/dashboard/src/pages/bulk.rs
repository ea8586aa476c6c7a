//! Commands on many events: a dry run first, then a job with progress and cancel.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;

use super::row::Row;
use crate::api::ApiError;
use crate::fields::Fields;
use crate::jobs::{Command, Counted, EVENTS_MAX, End, Job, Pace, RATE_MAX, Selection, Total};
use crate::page::{self, Forms, Page, go_to, show};
use crate::state::{Operator, Shared};
use crate::{job_commands, live, text};

const RATE_DEFAULT: f64 = 50.0;
/// The most characters of the id of an event.
const EVENT_MAX: usize = 64;
/// The most events that can be selected one by one.
const SELECTED_MAX: usize = 500;

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    page: Page,
    form: FormView,
    count: Option<CountView>,
    jobs: JobList,
}

#[derive(Template)]
#[template(path = "bulk_live.html")]
struct BulkFragment {
    page: Forms,
    jobs: JobList,
}

struct FormView {
    search: String,
    group: String,
    events: Vec<String>,
    rate: String,
    reason: String,
    problem: String,
    is_replay: bool,
    is_discard: bool,
    is_retry: bool,
    is_erase: bool,
}

/// The result of a dry run.
struct CountView {
    text: String,
    /// What was searched for.
    selected: String,
    /// What is to know of the number; usually empty.
    limit: String,
    /// Whether there is something to do.
    has_events: bool,
    rows: Vec<Row>,
    command: &'static str,
    is_discard: bool,
    is_erase: bool,
}

struct JobList {
    jobs: Vec<JobView>,
}

struct JobView {
    id: u64,
    title: String,
    state: String,
    tone: &'static str,
    done: usize,
    handled: usize,
    /// The end of the progress bar.
    total: usize,
    /// How many events the job has, in words.
    of: String,
    skipped: usize,
    rate: String,
    is_running: bool,
}

/// The form. With `command` in the query, its dry run.
pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let selection = selection(&fields);
    let command = Command::from_word(fields.get("command"));
    let mut form = form(&fields, &selection, command);
    let count = match command {
        None => None,
        // The form below the list of events: without a selection, it would mean all events.
        Some(_) if fields.has("selected") && selection.events.is_empty() => {
            form.problem = "no event was selected: go back and tick some".to_owned();
            None
        }
        Some(command) => match selection.count(&dashboard.api, &by.caller, command).await {
            Ok(counted) => Some(count_view(&selection, command, &counted)),
            Err(error) => {
                form.problem = text::visible(&error.text);
                None
            }
        },
    };

    let jobs = job_list(dashboard.jobs.all());
    show(&BulkPage {
        page: Page::new(&dashboard, &by, "Many events", "/bulk"),
        form,
        count,
        jobs,
    })
}

pub(crate) async fn live(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    let (shared, forms) = (dashboard.clone(), Forms::new(&by));
    live::stream(dashboard, by.session, move || {
        let fragment = BulkFragment {
            page: forms.clone(),
            jobs: job_list(shared.jobs.all()),
        };
        std::future::ready(fragment.render().ok())
    })
}

/// Starts a job.
pub(crate) async fn start(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let refuse = |text: String| {
        let error = ApiError { status: 400, text };
        page::problem(&dashboard, &by, &error)
    };
    let Some(command) = Command::from_word(fields.get("command")) else {
        return refuse("choose replay, retry now, discard or erase".to_owned());
    };

    let reason = fields.get("reason").trim().to_owned();
    if command.is_final() && !fields.has("confirm") {
        return refuse(format!(
            "a {} cannot be undone: tick the box to confirm it",
            if command == Command::Erase {
                "removal"
            } else {
                command.word()
            }
        ));
    }
    if command == Command::Discard && reason.is_empty() {
        return refuse("say why the events are discarded: the reason is stored".to_owned());
    }

    let selection = selection(&fields);
    let what = selection.describe();
    let pace = Pace {
        rate: rate(&fields),
        reason,
    };
    let started = job_commands::start(&dashboard, &by, command, selection, pace).await;
    match started {
        Ok(job) => {
            let what = text::line(&what, 400);
            let result = format!("Job {} runs: {} of {what}", job.id, command.word());
            dashboard.notify(&by, &result);
            go_to("/bulk")
        }
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

pub(crate) async fn cancel(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(job): Path<u64>,
) -> Response {
    let Some(job) = dashboard.jobs.find(job) else {
        let error = ApiError {
            status: 404,
            text: "no job has this number".to_owned(),
        };
        return page::problem(&dashboard, &by, &error);
    };

    if let Err(error) = job_commands::cancel(&dashboard, &by, &job).await {
        return page::problem(&dashboard, &by, &error);
    }

    let result = format!("Job {} stops. What it has done stays done.", job.id);
    dashboard.notify(&by, &result);
    go_to("/bulk")
}

fn selection(fields: &Fields) -> Selection {
    let mut events = fields.all("event");
    events.truncate(SELECTED_MAX);
    Selection {
        events,
        search: fields.get("q").to_owned(),
        group: fields.get("group").to_owned(),
    }
}

fn rate(fields: &Fields) -> f64 {
    let typed: Option<f64> = fields.get("rate").parse().ok();
    typed
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .map_or(RATE_DEFAULT, |rate| rate.min(RATE_MAX))
}

fn form(fields: &Fields, selection: &Selection, command: Option<Command>) -> FormView {
    let events = selection.events.iter();
    FormView {
        search: text::field(&selection.search),
        group: text::field(&selection.group),
        events: events.map(|event| text::line(event, EVENT_MAX)).collect(),
        rate: rate(fields).to_string(),
        reason: text::field(fields.get("reason")),
        problem: String::new(),
        is_replay: matches!(command, None | Some(Command::Replay)),
        is_discard: command == Some(Command::Discard),
        is_retry: command == Some(Command::RetryNow),
        is_erase: command == Some(Command::Erase),
    }
}

fn count_view(selection: &Selection, command: Command, counted: &Counted) -> CountView {
    let at_least = if counted.is_complete { "" } else { "at least " };
    let noun = if selection.events.is_empty() {
        ("delivery", "deliveries")
    } else {
        ("event", "events")
    };
    let count = text::count(counted.deliveries as u64, noun.0, noun.1);
    let verb = match command {
        Command::Replay => "would run again",
        Command::Discard => "would be discarded",
        Command::RetryNow => "would be due now",
        Command::Erase => "would be erased",
    };
    let mut text = format!("{at_least}{count} {verb}");
    for skipped in &counted.skipped {
        text.push_str(&format!(", {skipped}"));
    }
    let is_more = counted.deliveries >= EVENTS_MAX;
    CountView {
        text,
        selected: text::line(&selection.describe(), 400),
        limit: if is_more {
            format!("One job handles at most {EVENTS_MAX} events: start another one after it.")
        } else {
            String::new()
        },
        has_events: counted.deliveries > 0,
        rows: counted.shown.iter().map(Row::new).collect(),
        command: command.word(),
        is_discard: command == Command::Discard,
        is_erase: command == Command::Erase,
    }
}

fn job_list(jobs: Vec<Arc<Job>>) -> JobList {
    JobList {
        jobs: jobs.iter().map(|job| job_view(job)).collect(),
    }
}

fn job_view(job: &Job) -> JobView {
    let (state, tone) = match job.end() {
        None => ("running".to_owned(), "busy"),
        Some(End::Done) => ("done".to_owned(), "good"),
        Some(End::Cancelled) => ("cancelled".to_owned(), "plain"),
        Some(End::Failed(why)) => (format!("failed: {}", text::line(&why, 300)), "bad"),
    };
    let handled = job.done() + job.skipped();
    JobView {
        id: job.id,
        title: format!(
            "{} of {}",
            job.command.word(),
            text::line(&job.selection.describe(), 300)
        ),
        is_running: job.end().is_none(),
        state,
        tone,
        done: job.done(),
        handled,
        // Events may have become dead since they were counted.
        total: job
            .total()
            .map_or(0, |total| total.events)
            .max(handled)
            .max(1),
        of: of_words(job.total(), handled),
        skipped: job.skipped(),
        rate: job.rate.to_string(),
    }
}

/// How many events a job has to handle.
fn of_words(total: Option<Total>, handled: usize) -> String {
    match total {
        None => "its events are being counted".to_owned(),
        Some(total) if total.is_complete => format!("of {}", total.events.max(handled)),
        Some(total) => format!("of at least {}", total.events.max(handled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_said() {
        let total = |events, is_complete| {
            Some(Total {
                events,
                is_complete,
            })
        };
        for (total, handled, words) in [
            (None, 0, "its events are being counted"),
            (total(3, true), 1, "of 3"),
            (total(3, true), 4, "of 4"),
            (total(100_000, false), 0, "of at least 100000"),
        ] {
            assert_eq!(of_words(total, handled), words);
        }
    }

    #[test]
    fn rates_are_bounded() {
        for (typed, expected) in [
            ("rate=5", 5.0),
            ("rate=0.5", 0.5),
            ("rate=1e9", RATE_MAX),
            ("rate=-1", RATE_DEFAULT),
            ("rate=NaN", RATE_DEFAULT),
            ("", RATE_DEFAULT),
        ] {
            assert_eq!(rate(&Fields::of_query(Some(typed))), expected, "{typed}");
        }
    }

    #[test]
    fn selections_come_from_fields() {
        let fields = Fields::of_query(Some("q=hook%3Aa&group=x&event=1&event=2"));
        let selection = selection(&fields);
        assert_eq!(selection.events, ["1", "2"]);
        assert_eq!(
            (selection.search.as_str(), selection.group.as_str()),
            ("hook:a", "x")
        );
        let form = form(&fields, &selection, None);
        assert!(form.is_replay && !form.is_discard);
    }
}
