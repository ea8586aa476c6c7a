//! The first page: how each hook stands, and facts about the node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use landfall_hooks::{Hook, HookState, HookStatus};
use landfall_ledger::{HookBacklog, LedgerUse};
use landfall_model::{Clock, KeptRefusal, NO_HOOK, lock};
use serde_json::{Value, json};

use super::row::Time;
use super::sample::first_request;
use crate::api::{self, ApiError};
use crate::curl::SampleCommand;
use crate::fields::segment;
use crate::page::{self, Forms, Page, go_to, show};
use crate::spark::Spark;
use crate::state::{Dashboard, Operator, Shared};
use crate::text::Part;
use crate::{live, text};

const NEVER_CALLED: &str = "Serving, never called";
/// Signatures with a time are valid for some minutes.
const SIGNED_AGAIN: Duration = Duration::from_secs(60);

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    view: Overview,
}

#[derive(Template)]
#[template(path = "overview_live.html")]
struct OverviewFragment {
    page: Forms,
    view: Overview,
}

struct Overview {
    alarms: Vec<AlarmView>,
    /// Hooks that need a look.
    hooks: Vec<HookView>,
    /// Hooks without a problem that were never called.
    waiting: Vec<HookView>,
    healthy: Vec<HookView>,
    /// Facts about the node: name and value.
    facts: Vec<(&'static str, String)>,
    /// Why no event can be stored now; empty if it can.
    trouble: Vec<Part>,
    plugins: String,
}

/// The part of the page that shows a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Look,
    Waiting,
    Healthy,
}

/// An open alarm.
struct AlarmView {
    /// Of the element.
    id: String,
    hook: String,
    /// Its word: `silence`.
    word: &'static str,
    since: Time,
    sentence: Vec<Part>,
    hint: Vec<Part>,
    /// The page that shows more.
    link: String,
}

struct HookView {
    name: String,
    path: String,
    /// The state as a sentence.
    words: String,
    tone: &'static str,
    problem: Vec<Part>,
    /// Whether there is something to say of its requests.
    has_facts: bool,
    /// Whether a request can be sent to it.
    can_send: bool,
    spark: Spark,
    utilisation: String,
    queue: String,
    dead: u64,
    last_seen: Option<Time>,
    /// How long ago that was.
    age: String,
    /// When the alarm on silence opens if no event arrives.
    next_alarm: Option<Time>,
    is_paused: bool,
    is_refusing: bool,
    /// A command that sends the first event, if there are no events.
    first: Option<SampleCommand>,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    let view = overview(&dashboard).await;
    show(&OverviewPage {
        page: Page::new(&dashboard, &by, "Overview", "/"),
        view,
    })
}

pub(crate) async fn live(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    let (shared, forms) = (dashboard.clone(), Forms::new(&by));
    live::stream(dashboard, by.session, move || {
        let (shared, page) = (shared.clone(), forms.clone());
        async move {
            let view = overview(&shared).await;
            OverviewFragment { page, view }.render().ok()
        }
    })
}

/// Pauses a hook, or lets it run again; promotes its candidate, or rolls it back.
pub(crate) async fn operate(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path((hook, command)): Path<(String, String)>,
) -> Response {
    let result = match command.as_str() {
        "pause" => format!("{hook} is paused: its events wait"),
        "resume" => format!("{hook} runs again"),
        "promote" => format!("the candidate of {hook} serves from now on"),
        "rollback" => format!("the candidate of {hook} is rolled back"),
        _ => {
            let error = ApiError {
                status: 404,
                text: "a hook can be paused or resumed, and its candidate promoted or rolled back"
                    .to_owned(),
            };
            return page::problem(&dashboard, &by, &error);
        }
    };
    let path = format!("/hooks/{}/{command}", segment(&hook));
    change(&dashboard, &by, &path, &result).await
}

/// Reads the plugins directory and all secrets again.
pub(crate) async fn reload(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    let result = "The plugins directory and all secrets are read again";
    change(&dashboard, &by, "/reload", result).await
}

/// Sends an order to the API. The overview shows the result.
async fn change(dashboard: &Dashboard, by: &Operator, path: &str, result: &str) -> Response {
    let changed = api::post::<Value>(&dashboard.api, &by.caller, path, &json!({})).await;
    match changed {
        Ok(_) => {
            dashboard.notify(by, result);
            go_to("/")
        }
        Err(error) => page::problem(dashboard, by, &error),
    }
}

async fn overview(dashboard: &Dashboard) -> Overview {
    let admin = &dashboard.setup.admin;
    let series = &dashboard.series;
    series.look_for_first(&admin.hooks, &*admin.ledger).await;
    let usage = admin.ledger.usage().await;
    let (usage, unreadable) = match usage {
        Ok(usage) => (usage, String::new()),
        Err(error) => (LedgerUse::default(), error.to_string()),
    };

    let backlogs: BTreeMap<&str, &HookBacklog> = usage
        .hooks
        .iter()
        .map(|backlog| (backlog.hook.as_str(), backlog))
        .collect();
    let refusals = admin.refusals.last();
    let mut view = Overview {
        alarms: alarms(dashboard),
        hooks: Vec::new(),
        waiting: Vec::new(),
        healthy: Vec::new(),
        facts: facts(dashboard, &usage).await,
        trouble: text::sentence(&(admin.not_ready)().unwrap_or(unreadable)),
        plugins: text::line(&admin.plugins, 300),
    };
    for status in admin.hooks.statuses() {
        let backlog = backlogs.get(status.name.as_str()).copied();
        let is_alarmed = view.alarms.iter().any(|alarm| alarm.hook == status.name);
        let (hook, section) = hook_view(dashboard, status, backlog, &refusals);
        match section {
            _ if is_alarmed => view.hooks.push(hook),
            Section::Look => view.hooks.push(hook),
            Section::Waiting => view.waiting.push(hook),
            Section::Healthy => view.healthy.push(hook),
        }
    }

    // The sort is stable: by name among equals.
    view.hooks.sort_by_key(|hook| hook.tone == "busy");
    view
}

fn alarms(dashboard: &Dashboard) -> Vec<AlarmView> {
    let open = (dashboard.setup.admin.alarms)();
    let open = open.into_iter().map(|alarm| AlarmView {
        link: alarm.page(),
        id: format!("alarm-{}-{}", alarm.hook, alarm.alarm),
        hook: match alarm.hook.as_str() {
            NO_HOOK => "the node".to_owned(),
            hook => text::line(hook, 64),
        },
        word: alarm.alarm.word(),
        since: Time::new(&alarm.since),
        sentence: text::sentence(&alarm.sentence),
        hint: text::sentence(&alarm.hint),
    });
    open.collect()
}

/// A hook, and where it is shown.
fn hook_view(
    dashboard: &Dashboard,
    status: HookStatus,
    backlog: Option<&HookBacklog>,
    refusals: &[KeptRefusal],
) -> (HookView, Section) {
    let admin = &dashboard.setup.admin;
    let name = status.name.clone();
    let backlog = backlog.cloned().unwrap_or_default();
    let waits = admin.dispatcher.hook_status(&name);
    let last_seen = dashboard.series.last_seen(&name);
    let is_refusing = refusals.iter().any(|refusal| refusal.request.hook == name);
    let hook = admin.hooks.named(&name);

    let is_unused = last_seen.is_none() && status.state == HookState::Serving;
    let (words, tone) = match (status.state, waits.is_paused, waits.is_failing) {
        (HookState::Closed, _, _) => ("Closed: every request is answered 503", "bad"),
        (HookState::Unavailable, _, _) if status.is_loading() => ("Loading", "busy"),
        (HookState::Unavailable, _, _) => ("Unavailable: every request is answered 503", "bad"),
        (_, true, _) => ("Paused by an operator: events are stored and wait", "busy"),
        (_, _, true) => ("Every attempt fails: the circuit breaker is open", "bad"),
        (HookState::Stale, _, _) => (
            "Serves the last good files: the present ones are bad",
            "bad",
        ),
        _ if backlog.dead > 0 => ("Serving, with dead letters", "bad"),
        _ if backlog.pending > 0 && backlog.overdue.is_zero() => (
            "Serving, but events wait for a retry or for their time",
            "busy",
        ),
        _ if is_unused && is_refusing => ("Serving, but all requests were refused", "bad"),
        _ if is_unused => (NEVER_CALLED, "plain"),
        _ => ("Serving", "good"),
    };
    let section = match tone {
        _ if status.problem.is_some() => Section::Look,
        "good" => Section::Healthy,
        _ if words == NEVER_CALLED => Section::Waiting,
        _ => Section::Look,
    };
    let spark = dashboard.series.spark(&name);
    let has_facts = matches!(status.state, HookState::Serving | HookState::Stale)
        || spark.has_requests
        || last_seen.is_some()
        || backlog.pending + backlog.dead > 0;
    let concurrency = hook.as_ref().map_or(0, |hook| hook.spec.concurrency);
    let first = hook.as_ref().filter(|_| is_unused);
    let first = first.map(|hook| first_command(dashboard, hook));

    let view = HookView {
        path: text::line(status.path.as_deref().unwrap_or("no path"), 120),
        words: words.to_owned(),
        tone,
        problem: text::sentence(status.problem.as_deref().unwrap_or_default()),
        has_facts,
        can_send: hook.is_some() && status.state != HookState::Closed,
        spark,
        utilisation: utilisation(backlog.running, concurrency),
        queue: queue(&backlog),
        dead: backlog.dead,
        age: age(last_seen.as_deref(), admin.clock),
        last_seen: last_seen.as_deref().map(Time::new),
        next_alarm: (dashboard.setup.next_alarm)(&name).map(minute),
        is_paused: waits.is_paused,
        is_refusing,
        first,
        name,
    };
    (view, section)
}

/// The command that sends a first event to a hook. It is signed again only after a while, so that a
/// live page does not change every second.
fn first_command(dashboard: &Dashboard, hook: &Hook) -> SampleCommand {
    let mut commands = lock(&dashboard.commands);
    commands.retain(|_, (signed_at, _)| signed_at.elapsed() < SIGNED_AGAIN);
    let name = hook.spec.name.to_string();
    let (_, command) = commands
        .entry(name)
        .or_insert_with(|| (Instant::now(), first_request(dashboard, hook)));
    command.clone()
}

/// The share of the attempts that may run at a time.
fn utilisation(running: u64, concurrency: usize) -> String {
    let percent = (running * 100).checked_div(concurrency as u64);
    format!("{running} of {concurrency} ({} %)", percent.unwrap_or(0))
}

fn age(seen: Option<&str>, clock: Clock) -> String {
    let seen = seen.and_then(|seen| humantime::parse_rfc3339(seen).ok());
    let age = seen.map(|seen| clock.now().duration_since(seen).unwrap_or_default());
    age.map_or_else(String::new, |age| text::age(age.as_secs_f64() * 1000.0))
}

/// The time without its seconds: an estimate that each look moves a little.
fn minute(at: SystemTime) -> Time {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    Time::new(&format!("{}:00Z", text.get(..16).unwrap_or_default()))
}

fn queue(backlog: &HookBacklog) -> String {
    if backlog.pending == 0 {
        return "empty".to_owned();
    }

    if backlog.overdue.is_zero() {
        return format!("{} wait, none is due", backlog.pending);
    }

    let age = text::duration(backlog.overdue.as_secs_f64() * 1000.0);
    format!("{} wait, the oldest for {age}", backlog.pending)
}

async fn facts(dashboard: &Dashboard, usage: &LedgerUse) -> Vec<(&'static str, String)> {
    let admin = &dashboard.setup.admin;
    let broker = admin.dispatcher.describe_broker().await;
    let durability = if broker.is_empty() {
        "An event is on stable storage before it is answered 2xx".to_owned()
    } else {
        broker.join("; ")
    };
    let free = usage.free_bytes.map_or_else(
        || "unknown: the ledger is a database".to_owned(),
        |free| format!("{} free", text::bytes(free)),
    );
    let accepts = match (admin.dispatcher.can_accept(), admin.dispatcher.refusal()) {
        (true, _) => "yes".to_owned(),
        (false, why) => format!(
            "no: {}",
            why.unwrap_or_else(|| "the log says why".to_owned())
        ),
    };
    vec![
        ("Accepts events", accepts),
        ("Durability", durability),
        ("Ledger", text::bytes(usage.bytes)),
        ("Disk", free),
        ("Running attempts", (admin.running)().to_string()),
        ("Public address", dashboard.setup.public.to_string()),
        ("Plugins", text::line(&admin.plugins, 300)),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}
