//! The component of each hook: what it is, what it may do, and what it has used.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use landfall_hooks::{Hook, HookStatus};
use landfall_ledger::Filter;
use landfall_model::{CandidateReport, EventId, VersionRuns};
use serde_json::Value;

use super::row::Time;
use crate::api::ApiError;
use crate::fields::{link, segment};
use crate::page::{self, Page, show};
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

/// The events of a hook whose attempts are read to find what a component uses.
const EVENTS_READ: usize = 50;

#[derive(Template)]
#[template(path = "components.html")]
struct ListPage {
    page: Page,
    components: Vec<ComponentRow>,
}

struct ComponentRow {
    file: String,
    digest: String,
    /// The hooks that use it: name and link.
    hooks: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "component.html")]
struct ComponentPage {
    page: Page,
    hook: String,
    receipt: Vec<Fact>,
    warnings: Vec<String>,
    grants: Vec<GrantView>,
    /// What attempts did without a grant of the list: denied calls.
    denied: Vec<String>,
    versions: Vec<VersionView>,
    others: Vec<(String, String)>,
    candidate: Option<CandidateView>,
    /// How many events were read: `50 events`.
    read: String,
}

/// What is known of the hook or of its component.
struct Fact {
    name: &'static str,
    value: String,
    /// The value, if it is a time.
    time: Option<Time>,
}

struct GrantView {
    grant: String,
    use_words: String,
    is_used: bool,
}

struct VersionView {
    digest: String,
    first: Time,
    last: Time,
    attempts: usize,
    is_present: bool,
}

/// The candidate of a hook, or its promoted version.
struct CandidateView {
    facts: Vec<Fact>,
    /// Kind, place, and what each version did.
    differences: Vec<(String, String, String, String)>,
    decisions: Vec<DecisionView>,
    can_promote: bool,
    can_roll_back: bool,
}

struct DecisionView {
    at: Time,
    words: String,
}

/// What the recent attempts of a hook did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    /// Called URLs without their query, and the number of calls.
    calls: BTreeMap<String, usize>,
    denied: BTreeMap<String, usize>,
    rows: u64,
    values: u64,
    /// Hooks, and the number of events that were emitted for each.
    emitted: BTreeMap<String, u64>,
    /// Digest: first and last start of an attempt, and the number of attempts.
    versions: BTreeMap<String, (String, String, usize)>,
}

pub(crate) async fn list(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    let mut components: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
    for status in dashboard.setup.admin.hooks.statuses() {
        let Some(file) = status.component.clone() else {
            continue;
        };
        let digest = status
            .digest
            .clone()
            .unwrap_or_else(|| "not loaded".to_owned());
        let hooks = components.entry((file, digest)).or_default();
        hooks.push((status.name.clone(), hook_path(&status.name)));
    }

    let components = components.into_iter();
    show(&ListPage {
        page: Page::new(&dashboard, &by, "Components", "/components"),
        components: components
            .map(|((file, digest), hooks)| ComponentRow {
                file: text::line(&file, 120),
                digest: text::line(&digest, 64),
                hooks,
            })
            .collect(),
    })
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(name): Path<String>,
) -> Response {
    let statuses = dashboard.setup.admin.hooks.statuses();
    let status = statuses.iter().find(|status| status.name == name);
    let Some(status) = status else {
        let error = ApiError {
            status: 404,
            text: dashboard.no_hook(&name),
        };
        return page::problem(&dashboard, &by, &error);
    };

    let (uses, read) = match read_uses(&dashboard, &name).await {
        Ok(uses) => uses,
        Err(error) => return page::problem(&dashboard, &by, &error),
    };
    let hook = dashboard.setup.admin.hooks.named(&name);
    let others = statuses
        .iter()
        .filter(|other| other.component == status.component && other.name != name)
        .map(|other| (other.name.clone(), hook_path(&other.name)));
    show(&ComponentPage {
        page: Page::new(
            &dashboard,
            &by,
            &format!("Component of {name}"),
            "/components",
        ),
        receipt: receipt(status, hook.as_deref()),
        warnings: warnings(status),
        grants: hook
            .as_deref()
            .map(|hook| grants(hook, &uses))
            .unwrap_or_default(),
        denied: counted(&uses.denied),
        versions: versions(&uses, status.digest.as_deref()),
        others: others.collect(),
        candidate: candidate(&dashboard, &name),
        read: text::count(read as u64, "event", "events"),
        hook: name,
    })
}

fn candidate(dashboard: &Dashboard, hook: &str) -> Option<CandidateView> {
    let report = dashboard.setup.admin.candidates.report(hook)?;
    if report.component.is_none() && report.previous.is_none() && report.decisions.is_empty() {
        return None;
    }

    let is_tried = matches!(report.phase, "shadow" | "canary");
    let decisions = report.decisions.iter().map(|one| DecisionView {
        at: Time::new(&one.at),
        words: text::line(
            &format!(
                "{} {}, by {}. {}",
                one.digest.get(..12).unwrap_or(&one.digest),
                one.decision,
                one.by,
                one.reason
            ),
            400,
        ),
    });
    let samples = report.shadow.iter().flat_map(|shadow| &shadow.samples);
    let differences = samples.map(|one| {
        let shown = |shown: &str| text::line(shown, 300);
        (
            shown(&one.kind),
            shown(&one.place),
            shown(&one.serving),
            shown(&one.candidate),
        )
    });
    Some(CandidateView {
        differences: differences.collect(),
        decisions: decisions.collect(),
        can_promote: is_tried || matches!(report.phase, "rolled-back" | "superseded"),
        can_roll_back: is_tried || report.previous.is_some(),
        facts: candidate_facts(&report),
    })
}

fn candidate_facts(report: &CandidateReport) -> Vec<Fact> {
    let mut facts = vec![Fact::new("Phase", report.phase.to_owned())];
    let texts = [
        ("File", report.component.as_deref()),
        ("SHA-256", report.digest.as_deref()),
        ("Previous version, SHA-256", report.previous.as_deref()),
        ("Detail", report.detail.as_deref()),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            facts.push(Fact::new(name, text::line(value, 400)));
        }
    }
    if let Some(share) = report.share {
        facts.push(Fact::new("Share of events", format!("{share} %")));
    }
    facts.extend(report.since.as_deref().map(|since| Fact {
        name: "Tried since",
        value: String::new(),
        time: Some(Time::new(since)),
    }));
    if report.phase == "canary" {
        facts.push(Fact::new("Candidate", runs(&report.candidate_runs)));
        facts.push(Fact::new("Serving version", runs(&report.serving_runs)));
    }
    if let Some(shadow) = &report.shadow {
        let words = format!(
            "{} runs, {} different, {} unanswered, {} too large, {} dropped",
            shadow.runs, shadow.different, shadow.unanswered, shadow.truncated, shadow.dropped
        );
        facts.push(Fact::new("Shadow runs", words));
    }
    facts
}

fn runs(counted: &VersionRuns) -> String {
    let p99 = counted
        .p99_ms
        .map_or_else(|| "unknown".to_owned(), |p99| format!("{p99:.1} ms"));
    format!(
        "{} attempts, {} failed, p99 {p99}",
        counted.runs, counted.failed
    )
}

fn hook_path(name: &str) -> String {
    link(&format!("/components/{}", segment(name)), &[])
}

fn receipt(status: &HookStatus, hook: Option<&Hook>) -> Vec<Fact> {
    let mut receipt = vec![Fact::new("State", status.state.to_string())];
    receipt.extend(status.since.as_deref().map(|since| Fact {
        name: "Since",
        value: String::new(),
        time: Some(Time::new(since)),
    }));
    if let Some(problem) = &status.problem {
        receipt.push(Fact::new("Problem", text::visible(problem)));
    }
    let file = status.component.as_deref().unwrap_or("none");
    receipt.push(Fact::new("File", text::line(file, 120)));
    let digest = status.digest.as_deref().unwrap_or("not loaded");
    receipt.push(Fact::new("SHA-256", text::line(digest, 64)));
    if let Some(tried) = status
        .tried
        .as_ref()
        .filter(|tried| Some(*tried) != status.digest.as_ref())
    {
        receipt.push(Fact::new("Refused file, SHA-256", text::line(tried, 64)));
    }

    let Some(hook) = hook else {
        return receipt;
    };
    let manifest = &hook.manifest;
    let said = [
        ("Name", &manifest.name),
        ("Version", &manifest.version),
        ("Description", &manifest.description),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            receipt.push(Fact::new(name, text::line(value, 300)));
        }
    }
    if !manifest.event_types.is_empty() {
        let types = manifest.event_types.join(", ");
        receipt.push(Fact::new("Event types", text::line(&types, 300)));
    }
    let spec = &hook.spec;
    let deadline = humantime::format_duration(spec.deadline).to_string();
    receipt.extend([
        Fact::new("Path", text::line(&spec.path, 200)),
        Fact::new("Mode", format!("{:?}", spec.mode).to_lowercase()),
        Fact::new("Deadline", deadline),
        Fact::new("Attempts at a time", spec.concurrency.to_string()),
    ]);
    receipt
}

fn warnings(status: &HookStatus) -> Vec<String> {
    let wants = status
        .wants
        .iter()
        .map(|wants| format!("It needs grants that it does not have: {wants}"));
    let fixed = status
        .denied
        .into_iter()
        .chain(status.unsigned)
        .map(str::to_owned);
    wants
        .chain(fixed)
        .chain(status.warnings.iter().cloned())
        .map(|warning| text::visible(&warning))
        .collect()
}

fn grants(hook: &Hook, uses: &Uses) -> Vec<GrantView> {
    let allow = &hook.spec.allow;
    let http = allow.http.iter().map(|grant| {
        let covered = uses.calls.iter().filter(|(url, _)| covers(grant, url));
        let calls: usize = covered.map(|(_, count)| count).sum();
        GrantView::new(format!("http {grant}"), calls as u64, "calls")
    });
    let others = allow.capabilities.lines().map(|line| {
        let (count, what) = match line.split(' ').next() {
            Some("table") => (uses.rows, "rows in all tables"),
            Some("kv") => (uses.values, "written values"),
            Some("emit") => (uses.emitted_for(&line), "emitted events"),
            _ => (0, "uses"),
        };
        GrantView::new(line, count, what)
    });
    http.chain(others).collect()
}

fn covers(grant: &landfall_model::HttpGrant, url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| grant.covers_url(&url))
}

fn versions(uses: &Uses, present: Option<&str>) -> Vec<VersionView> {
    let mut versions: Vec<VersionView> = uses
        .versions
        .iter()
        .map(|(digest, (first, last, attempts))| VersionView {
            digest: text::line(digest, 64),
            first: Time::new(first),
            last: Time::new(last),
            attempts: *attempts,
            is_present: Some(digest.as_str()) == present,
        })
        .collect();
    versions.sort_by(|a, b| b.last.iso.cmp(&a.last.iso));
    versions
}

fn counted(names: &BTreeMap<String, usize>) -> Vec<String> {
    let names = names.iter();
    names
        .map(|(name, count)| text::line(&format!("{name} ({count})"), 300))
        .collect()
}

/// What the attempts of the newest events did, and the number of these events.
async fn read_uses(dashboard: &Dashboard, hook: &str) -> Result<(Uses, usize), ApiError> {
    let ledger = &dashboard.setup.admin.ledger;
    let failed = |error: landfall_ledger::LedgerError| ApiError {
        status: 503,
        text: error.to_string(),
    };
    let filter = Filter {
        hook: Some(hook.to_owned()),
        limit: EVENTS_READ,
        ..Filter::default()
    };
    let listed = ledger.list(filter).await.map_err(failed)?;
    let mut ids: Vec<EventId> = listed
        .iter()
        .filter_map(|one| one.event.parse().ok())
        .collect();
    ids.sort_unstable_by_key(EventId::to_string);
    ids.dedup();

    let mut uses = Uses::default();
    for id in &ids {
        let Some(shown) = ledger.show(*id).await.map_err(failed)? else {
            continue;
        };
        for attempt in shown.attempts {
            uses.add(&attempt.started_at, &attempt.record);
        }
    }

    Ok((uses, ids.len()))
}

// === impl Uses ===

impl Uses {
    /// The events for the hooks that a grant names: `emit "a", "b"`.
    fn emitted_for(&self, grant: &str) -> u64 {
        let named = self.emitted.iter().filter(|(hook, _)| {
            grant
                .split(|c: char| c.is_whitespace() || c == ',')
                .any(|word| word.trim_matches('"') == hook.as_str())
        });
        named.map(|(_, count)| count).sum()
    }

    fn add(&mut self, started_at: &str, record: &Value) {
        for call in record["calls"].as_array().into_iter().flatten() {
            let url = call["url"].as_str().unwrap_or_default();
            let url = url.split(['?', '#']).next().unwrap_or_default().to_owned();
            let calls = match call["error"].as_str() {
                Some("denied") => &mut self.denied,
                _ => &mut self.calls,
            };
            *calls.entry(url).or_default() += 1;
        }

        let count = |name: &str| record[name].as_u64().unwrap_or(0);
        self.rows += count("rows");
        self.values += count("kv_writes");
        for event in record["emitted_events"].as_array().into_iter().flatten() {
            let hook = event[1].as_str().unwrap_or_default().to_owned();
            *self.emitted.entry(hook).or_default() += 1;
        }
        let Some(digest) = record["component"].as_str() else {
            return;
        };
        let version = self
            .versions
            .entry(digest.to_owned())
            .or_insert_with(|| (started_at.to_owned(), started_at.to_owned(), 0));
        if started_at < version.0.as_str() {
            version.0 = started_at.to_owned();
        }
        if started_at > version.1.as_str() {
            version.1 = started_at.to_owned();
        }
        version.2 += 1;
    }
}

// === impl Fact ===

impl Fact {
    fn new(name: &'static str, value: String) -> Fact {
        let time = None;
        Fact { name, value, time }
    }
}

// === impl GrantView ===

impl GrantView {
    fn new(grant: String, count: u64, what: &str) -> GrantView {
        GrantView {
            grant: text::line(&grant, 200),
            use_words: match count {
                0 => "not used".to_owned(),
                count => format!("{count} {what}"),
            },
            is_used: count > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn uses_are_added_up() {
        let mut uses = Uses::default();
        let calls = json!([
            { "url": "https://a.example/x?token=1", "status": 200 },
            { "url": "https://b.example/", "error": "denied" }
        ]);
        uses.add(
            "2026-01-02T00:00:00Z",
            &json!({ "calls": calls, "rows": 2, "component": "d1" }),
        );
        uses.add(
            "2026-01-01T00:00:00Z",
            &json!({ "rows": 1, "kv_writes": 3, "component": "d1", "emitted_events": [["id", "chat"]] }),
        );
        assert_eq!(
            uses.calls,
            BTreeMap::from([("https://a.example/x".to_owned(), 1)])
        );
        assert_eq!(uses.denied.len(), 1);
        assert_eq!((uses.rows, uses.values), (3, 3));
        assert_eq!(uses.emitted_for("emit \"chat\""), 1);
        assert_eq!(uses.emitted_for("emit \"chats\""), 0);
        let versions = versions(&uses, Some("d1"));
        assert_eq!(versions[0].first.iso, "2026-01-01T00:00:00Z");
        assert!(versions[0].is_present && versions[0].attempts == 2);
    }
}
