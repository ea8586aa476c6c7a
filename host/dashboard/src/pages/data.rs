//! What handlers have stored: rows of tables and key-value pairs. Browse, filter, export.

use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::row::{Time, short};
use crate::api::{self, ApiError};
use crate::fields::{Fields, link, segment};
use crate::page::{self, Page, show};
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

/// Rows and values on one page.
const SHOWN_MAX: usize = 50;
const SHOWN: &str = "50";
/// Rows that are read at a time if they are filtered or exported, and the most of them.
const READ: usize = 1_000;
const READ_MAX: usize = 20_000;
/// The most time of a filter.
const TIME_MAX: Duration = Duration::from_secs(2);
/// The most rows or values of one export.
const EXPORT_MAX: usize = 100_000;
/// The most characters of a row or a value on the page.
const VALUE_MAX: usize = 2_000;

#[derive(Template)]
#[template(path = "data.html")]
struct DataPage {
    page: Page,
    hook: String,
    hooks: Vec<(String, bool)>,
    /// The tables of the hook: name, link, and whether it is shown.
    tables: Vec<(String, String, bool)>,
    table: String,
    /// The text that shown rows contain.
    contains: String,
    rows: Vec<RowView>,
    /// How far the filter has searched, as a sentence.
    window: String,
    next_rows: String,
    export_rows: String,
    has_values: bool,
    prefix: String,
    values: Vec<ValueView>,
    next_values: String,
    export_values: String,
    problem: String,
}

struct RowView {
    id: i64,
    event: String,
    short: String,
    received: Time,
    row: String,
    is_damaged: bool,
}

struct ValueView {
    key: String,
    value: String,
    bytes: String,
    /// When it expires; empty: it does not.
    expires: String,
}

/// A row, as `GET /api/v1/rows` lists it.
#[derive(Debug, Deserialize)]
struct StoredRow {
    id: i64,
    event_id: String,
    received_at: String,
    row: Value,
    #[serde(default)]
    damaged: bool,
}

/// A page of `GET /api/v1/kv`.
#[derive(Debug, Deserialize)]
struct StoredValues {
    values: Vec<StoredValue>,
    next: Option<String>,
}

/// A key-value pair, as `GET /api/v1/kv` lists it.
#[derive(Debug, Deserialize)]
struct StoredValue {
    key: String,
    bytes: u64,
    text: Option<String>,
    hex: Option<String>,
    expires_in_ms: Option<u64>,
    #[serde(default)]
    damaged: bool,
}

/// The rows that a filter has found, and how far it went.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<StoredRow>,
    read: usize,
    /// The last row that was read, if there may be more.
    next: Option<i64>,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let names = dashboard.setup.admin.hooks.names();
    let hook = match fields.get("hook") {
        "" if names.len() == 1 => names[0].to_string(),
        hook => hook.to_owned(),
    };
    let mut view = DataPage {
        page: Page::new(&dashboard, &by, "Rows and values", "/data"),
        hooks: names
            .iter()
            .map(|name| (name.to_string(), **name == *hook))
            .collect(),
        tables: Vec::new(),
        table: String::new(),
        contains: fields.get("contains").to_owned(),
        rows: Vec::new(),
        window: String::new(),
        next_rows: String::new(),
        export_rows: String::new(),
        has_values: false,
        prefix: fields.get("prefix").to_owned(),
        values: Vec::new(),
        next_values: String::new(),
        export_values: String::new(),
        problem: String::new(),
        hook,
    };
    let filled = fill(&dashboard, &mut view, &fields).await;
    if let Err(error) = filled {
        view.problem = text::visible(&error.text);
    }
    for shown in [&mut view.hook, &mut view.contains, &mut view.prefix] {
        *shown = text::field(shown);
    }
    show(&view)
}

/// Rows or values as lines of JSON.
pub(crate) async fn export(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let (hook, table) = (fields.get("hook"), fields.get("table"));
    let (name, lines) = if table.is_empty() {
        let lines = export_values(&dashboard, hook, fields.get("prefix")).await;
        (format!("{hook}-values.jsonl"), lines)
    } else {
        let lines = export_rows(&dashboard, hook, table, fields.get("contains")).await;
        (format!("{hook}-{table}.jsonl"), lines)
    };
    match lines {
        Ok(text) => page::download(&name, "application/x-ndjson", text),
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

async fn fill(dashboard: &Dashboard, view: &mut DataPage, fields: &Fields) -> Result<(), ApiError> {
    let Some(hook) = dashboard.setup.admin.hooks.named(&view.hook) else {
        return Ok(());
    };
    let capabilities = &hook.spec.allow.capabilities;
    let tables = capabilities.names("table");
    let chosen = tables.iter().find(|table| *table == fields.get("table"));
    let chosen = chosen
        .or_else(|| tables.first())
        .cloned()
        .unwrap_or_default();
    view.tables = tables
        .iter()
        .map(|table| {
            let target = link("/data", &[("hook", &view.hook), ("table", table)]);
            (table.clone(), target, *table == chosen)
        })
        .collect();
    view.has_values = capabilities.contains("kv");
    view.table = chosen;
    if !view.table.is_empty() {
        fill_rows(dashboard, view, fields.get("after")).await?;
    }
    if view.has_values {
        fill_values(dashboard, view, fields.get("after_key")).await?;
    }

    Ok(())
}

async fn fill_rows(
    dashboard: &Dashboard,
    view: &mut DataPage,
    after: &str,
) -> Result<(), ApiError> {
    let of = (view.hook.as_str(), view.table.as_str());
    let after = after.parse().unwrap_or(0);
    let found = find_rows(dashboard, of, after, &view.contains).await?;
    let fields = [
        ("hook", view.hook.as_str()),
        ("table", view.table.as_str()),
        ("contains", view.contains.as_str()),
    ];
    view.export_rows = link("/data/export", &fields);
    if let Some(next) = found.next {
        let next = next.to_string();
        view.next_rows = link(
            "/data",
            &[&fields[..], &[("after", next.as_str())]].concat(),
        );
    }
    if !view.contains.is_empty() {
        let read = text::count(found.read as u64, "row", "rows");
        view.window = match found.next {
            Some(next) => format!("Searched {read}, up to row {next}."),
            None => format!("Searched {read}, to the last one."),
        };
    }
    let rows = found.rows.into_iter().map(|row| RowView {
        id: row.id,
        short: short(&row.event_id),
        event: row.event_id,
        received: Time::new(&row.received_at),
        row: text::line(&row.row.to_string(), VALUE_MAX),
        is_damaged: row.damaged,
    });
    view.rows = rows.collect();
    Ok(())
}

/// The next rows that contain a text.
async fn find_rows(
    dashboard: &Dashboard,
    of: (&str, &str),
    mut after: i64,
    contains: &str,
) -> Result<Found, ApiError> {
    let limit = if contains.is_empty() { SHOWN_MAX } else { READ };
    let (mut found, began) = (Found::default(), Instant::now());
    loop {
        let page = rows(dashboard, of, after, limit).await?;
        let is_full = page.len() == limit;
        for row in page {
            if found.rows.len() == SHOWN_MAX {
                found.next = Some(after);
                return Ok(found);
            }
            found.read += 1;
            after = row.id;
            if contains.is_empty() || row.row.to_string().contains(contains) {
                found.rows.push(row);
            }
        }

        let is_over =
            found.rows.len() == SHOWN_MAX || found.read >= READ_MAX || began.elapsed() > TIME_MAX;
        if !is_full || is_over {
            found.next = is_full.then_some(after);
            return Ok(found);
        }
    }
}

async fn fill_values(
    dashboard: &Dashboard,
    view: &mut DataPage,
    after: &str,
) -> Result<(), ApiError> {
    let page = values(dashboard, &view.hook, &view.prefix, after, SHOWN).await?;
    let fields = [
        ("hook", view.hook.as_str()),
        ("prefix", view.prefix.as_str()),
    ];
    view.export_values = link("/data/export", &fields);
    if let Some(next) = &page.next {
        let fields = [&fields[..], &[("after_key", next.as_str())]].concat();
        view.next_values = link("/data", &fields);
    }
    view.values = page.values.iter().map(value_view).collect();
    Ok(())
}

fn value_view(value: &StoredValue) -> ValueView {
    let shown = match (&value.text, &value.hex) {
        _ if value.damaged => "damaged, or encrypted: this node does not have the key".to_owned(),
        (Some(text), _) => text.clone(),
        (None, hex) => format!("hex {}", hex.as_deref().unwrap_or_default()),
    };
    let expires = value.expires_in_ms.map(|ms| text::duration(ms as f64));
    ValueView {
        key: text::line(&value.key, 300),
        value: text::line(&shown, VALUE_MAX),
        bytes: text::bytes(value.bytes),
        expires: expires.map_or_else(String::new, |time| format!("expires in {time}")),
    }
}

async fn rows(
    dashboard: &Dashboard,
    (hook, table): (&str, &str),
    after: i64,
    limit: usize,
) -> Result<Vec<StoredRow>, ApiError> {
    let path = format!("/rows/{}/{}", segment(hook), segment(table));
    let (after, limit) = (after.to_string(), limit.to_string());
    let path = link(&path, &[("after", &after), ("limit", &limit)]);
    api::get(&dashboard.api, &path).await
}

async fn values(
    dashboard: &Dashboard,
    hook: &str,
    prefix: &str,
    after: &str,
    limit: &str,
) -> Result<StoredValues, ApiError> {
    let path = format!("/kv/{}", segment(hook));
    let fields = [("prefix", prefix), ("after", after), ("limit", limit)];
    api::get(&dashboard.api, &link(&path, &fields)).await
}

async fn export_rows(
    dashboard: &Dashboard,
    hook: &str,
    table: &str,
    contains: &str,
) -> Result<String, ApiError> {
    let (mut text, mut after, mut count) = (String::new(), 0, 0);
    loop {
        let page = rows(dashboard, (hook, table), after, READ).await?;
        for row in &page {
            if !contains.is_empty() && !row.row.to_string().contains(contains) {
                continue;
            }
            let line = json!({
                "id": row.id,
                "event": row.event_id,
                "received_at": row.received_at,
                "row": row.row,
            });
            text.push_str(&line.to_string());
            text.push('\n');
        }

        count += page.len();
        match page.last() {
            Some(last) if page.len() == READ && count < EXPORT_MAX => after = last.id,
            _ => return Ok(text),
        }
    }
}

/// Keys with the first 4 KiB of their values.
async fn export_values(
    dashboard: &Dashboard,
    hook: &str,
    prefix: &str,
) -> Result<String, ApiError> {
    let (mut text, mut after, mut count) = (String::new(), String::new(), 0);
    loop {
        let page = values(dashboard, hook, prefix, &after, "200").await?;
        for value in &page.values {
            let line = json!({
                "key": value.key,
                "bytes": value.bytes,
                "text": value.text,
                "hex": value.hex,
                "expires_in_ms": value.expires_in_ms,
            });
            text.push_str(&line.to_string());
            text.push('\n');
        }

        count += page.values.len();
        match page.next {
            Some(next) if count < EXPORT_MAX => after = next,
            _ => return Ok(text),
        }
    }
}
