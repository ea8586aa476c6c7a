//! The audit record: what operators have changed, by commands and on these pages.

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::Time;
use crate::api::{self, ApiError};
use crate::fields::{Fields, link};
use crate::job_commands::{CANCEL, START};
use crate::page::{self, Page, show};
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

const PAGE: &str = "100";
const EXPORT_PAGE: &str = "1000";
/// The most entries of one export.
const EXPORT_MAX: usize = 100_000;
/// The actions to choose from.
const ACTIONS: [&str; 18] = [
    "replay",
    "retry-now",
    "discard",
    "purge",
    "erase",
    "pause",
    "resume",
    "reload",
    "reconcile",
    "promote",
    "rollback",
    "accept-shape",
    "forget-shape",
    "publish-try",
    "send",
    START,
    CANCEL,
    "form",
];
/// The most characters of what was asked for, and of what came of it.
const DETAIL_MAX: usize = 500;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    hooks: Vec<(String, bool)>,
    actions: Vec<(&'static str, bool)>,
    since: String,
    entries: Vec<EntryView>,
    is_filtered: bool,
    older: String,
    export: String,
    problem: String,
}

struct EntryView {
    at: Time,
    who: String,
    from: String,
    action: String,
    hook: String,
    detail: String,
    result: String,
    tone: &'static str,
    /// The events of the change: id and its end.
    events: Vec<(String, String)>,
}

/// A page, as `GET /api/v1/audit` answers it.
#[derive(Debug, Default, Deserialize)]
struct Entries {
    entries: Vec<Entry>,
    next: Option<i64>,
}

/// One change.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Entry {
    id: i64,
    at: String,
    role: String,
    token: String,
    address: Option<String>,
    action: String,
    hook: Option<String>,
    detail: Value,
    result: Option<Value>,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let (hook, action, since) = (
        fields.get("hook"),
        fields.get("action"),
        fields.get("since"),
    );
    let filter = [("hook", hook), ("action", action), ("since", since)];
    let (found, problem) = match entries(&dashboard, &fields, fields.get("before"), PAGE).await {
        Ok(found) => (found, String::new()),
        Err(error) => (Entries::default(), text::visible(&error.text)),
    };
    let older = found.next.map(|next| {
        let before = next.to_string();
        let all = [&filter[..], &[("before", before.as_str())]].concat();
        link("/audit", &all)
    });
    let names = dashboard.setup.admin.hooks.names();
    let actions = ACTIONS.into_iter();
    show(&AuditPage {
        page: Page::new(&dashboard, &by, "Audit", "/audit"),
        hooks: names
            .iter()
            .map(|name| (name.to_string(), **name == *hook))
            .collect(),
        actions: actions.map(|one| (one, one == action)).collect(),
        since: text::field(since),
        entries: found.entries.iter().map(entry_view).collect(),
        is_filtered: filter.iter().any(|(_, value)| !value.is_empty()),
        older: older.unwrap_or_default(),
        export: link("/audit/export", &filter),
        problem,
    })
}

/// The entries that match, as lines of JSON.
pub(crate) async fn export(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    match lines(&dashboard, &fields).await {
        Ok(text) => page::download("audit.jsonl", "application/x-ndjson", text),
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

async fn lines(dashboard: &Dashboard, fields: &Fields) -> Result<String, ApiError> {
    let (mut text, mut before, mut count) = (String::new(), String::new(), 0);
    loop {
        let page = entries(dashboard, fields, &before, EXPORT_PAGE).await?;
        for entry in &page.entries {
            text.push_str(&serde_json::to_string(entry).unwrap_or_default());
            text.push('\n');
        }

        count += page.entries.len();
        match page.next {
            Some(next) if count < EXPORT_MAX => before = next.to_string(),
            _ => return Ok(text),
        }
    }
}

async fn entries(
    dashboard: &Dashboard,
    fields: &Fields,
    before: &str,
    limit: &str,
) -> Result<Entries, ApiError> {
    let parameters = [
        ("hook", fields.get("hook")),
        ("action", fields.get("action")),
        ("since", fields.get("since")),
        ("before", before),
        ("limit", limit),
    ];
    api::get(&dashboard.api, &link("/audit", &parameters)).await
}

fn entry_view(entry: &Entry) -> EntryView {
    let ids = entry.detail["events"].as_array().into_iter().flatten();
    let ids = ids.filter_map(Value::as_str).take(3);
    let (result, tone) = match &entry.result {
        None => ("no result: it may have been done".to_owned(), "busy"),
        Some(Value::Object(result)) if is_refusal(result) => (refusal(result), "bad"),
        Some(result) => (in_words(result, &entry.action), "good"),
    };
    EntryView {
        at: Time::new(&entry.at),
        who: match entry.token.as_str() {
            "" => text::line(&entry.role, 20),
            token => text::line(&format!("{} {token}", entry.role), 40),
        },
        from: text::line(entry.address.as_deref().unwrap_or("this machine"), 64),
        action: text::line(&entry.action, 40),
        hook: text::line(entry.hook.as_deref().unwrap_or_default(), 64),
        detail: asked(&entry.detail),
        result,
        tone,
        events: ids
            .map(|id| (text::line(id, 64), super::row::short(id)))
            .collect(),
    }
}

/// The result of a change that was refused has a status, a reason, and nothing else.
fn is_refusal(result: &serde_json::Map<String, Value>) -> bool {
    let has_reason = result.contains_key("error");
    result.contains_key("status") && result.len() == 1 + usize::from(has_reason)
}

fn refusal(result: &serde_json::Map<String, Value>) -> String {
    let refused = format!("refused with {}", result["status"]);
    match result.get("error").and_then(Value::as_str) {
        Some(why) if !why.is_empty() => text::line(&format!("{refused}: {why}"), DETAIL_MAX),
        _ => refused,
    }
}

/// The counts of a result that are not zero.
fn in_words(result: &Value, action: &str) -> String {
    const COUNTS: [(&str, &str, &str); 8] = [
        ("events", "event", "events"),
        ("deliveries", "delivery", "deliveries"),
        ("waiting", "waits", "wait"),
        ("repeated", "replayed before", "replayed before"),
        ("skipped", "skipped", "skipped"),
        ("identities", "identity", "identities"),
        ("rows", "row", "rows"),
        ("values", "value", "values"),
    ];
    let counted: Vec<String> = COUNTS
        .iter()
        .map(|(name, one, more)| (result[name].as_u64().unwrap_or(0), one, more))
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, more)| text::count(count, one, more))
        .collect();
    match (counted.is_empty(), action) {
        (false, _) => counted.join(", "),
        (true, "replay" | "discard" | "retry-now" | "purge" | "erase") => {
            "nothing changed".to_owned()
        }
        (true, "send") => text::line(
            &format!("answered {}", result["answered"].as_u64().unwrap_or(0)),
            40,
        ),
        (true, _) => "done".to_owned(),
    }
}

/// What was asked for, without the ids and without what is not set.
fn asked(detail: &Value) -> String {
    let Some(detail) = detail.as_object() else {
        return text::line(&detail.to_string(), DETAIL_MAX);
    };
    let parts: Vec<String> = detail
        .iter()
        .filter(|(name, value)| {
            !["hook", "paused"].contains(&name.as_str())
                && !value.is_null()
                && **value != Value::Bool(false)
        })
        .map(|(name, value)| match value {
            Value::Array(list) => format!("{name}: {}", list.len()),
            Value::String(text) => format!("{name}: {text}"),
            other => format!("{name}: {other}"),
        })
        .collect();
    text::line(&parts.join(", "), DETAIL_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(action: &str, detail: Value, result: Option<Value>) -> EntryView {
        entry_view(&Entry {
            action: action.into(),
            detail,
            result,
            ..Entry::default()
        })
    }

    #[test]
    fn results_are_told_in_words() {
        let view = entry(
            "discard",
            json!({ "events": ["0198c0de-1111-7222-8333-444455556666"], "dry_run": false, "reason": "old" }),
            Some(json!({ "deliveries": 1, "dry_run": false, "skipped": 0 })),
        );
        assert_eq!(view.detail, "events: 1, reason: old");
        assert_eq!((view.result.as_str(), view.tone), ("1 delivery", "good"));
        assert_eq!(view.events[0].1, "444455556666");

        let refused = entry("pause", json!({}), Some(json!({ "status": 503 })));
        assert_eq!(
            (refused.result.as_str(), refused.tone),
            ("refused with 503", "bad")
        );
        let refused = json!({ "status": 404, "error": "no hook has this name" });
        let refused = entry("pause", json!({}), Some(refused));
        assert_eq!(refused.result, "refused with 404: no hook has this name");
        let cut = entry("replay", json!({}), None);
        assert_eq!(cut.tone, "busy");
        let none = entry("replay", json!({}), Some(json!({ "events": 0 })));
        assert_eq!(none.result, "nothing changed");
    }
}
