//! What handlers have stored: rows of tables, and key-value pairs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiPath, ApiQuery, Refusal, answered, failed, refusal};
use super::params::PAGE_MAX;
use crate::events::Events;
use landfall_ledger::{StoredRow, StoredValue};

/// The most pairs of one page, and its default.
const VALUES_MAX: usize = 200;
/// The most bytes of a value that are shown.
const VALUE_SHOWN_MAX: usize = 4096;

/// A page of rows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowsQuery {
    /// Rows with greater ids: the last id of the page before.
    after: Option<i64>,
    /// The most rows, up to 1000. Default: 1000.
    limit: Option<usize>,
}

/// One row of a table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableRow {
    /// Ascending.
    id: i64,
    /// The event whose handler stored it.
    event_id: String,
    /// When that event was received, in RFC 3339.
    received_at: String,
    /// The JSON that the handler stored.
    #[schema(value_type = Object)]
    row: Value,
    /// The checksum of the row does not match, or it is encrypted and cannot be read, which `row`
    /// says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    damaged: bool,
}

/// A page of key-value pairs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValuesQuery {
    /// Only keys that begin with this.
    prefix: Option<String>,
    /// Keys after this one in byte order: `next` of the page before.
    after: Option<String>,
    /// The most pairs, up to 200. Default: 200.
    limit: Option<usize>,
}

/// A page of key-value pairs, in byte order of the keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValuePage {
    /// The pairs.
    values: Vec<KeyValue>,
    /// The `after` of the next page. Null at the end.
    next: Option<String>,
}

/// One key-value pair: either `text` or `hex`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyValue {
    /// The key.
    key: String,
    /// The length of the value in bytes.
    bytes: i64,
    /// The first 4 KiB of the value, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The first 4 KiB of the value in hexadecimal digits, if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    /// The time until the value expires. Null: it does not.
    expires_in_ms: Option<u64>,
    /// The value is encrypted, and cannot be read. It has neither `text` nor `hex`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    damaged: bool,
}

/// The rows of a table, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/rows/{hook}/{table}",
    operation_id = "list_rows",
    tag = "data",
    params(
        ("hook" = String, Path, description = "The hook that stores them"),
        ("table" = String, Path, description = "The table"),
        RowsQuery,
    ),
    responses(
        (status = 200, body = Vec<TableRow>),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 404, description = "The hook has no such table", body = ApiError),
    )
)]
pub(crate) async fn rows(
    State(events): State<Events>,
    ApiPath((hook, table)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<RowsQuery>,
) -> Response {
    answered(row_page(&events, hook, table, query).await)
}

async fn row_page(
    events: &Events,
    hook: String,
    table: String,
    query: RowsQuery,
) -> Result<Vec<TableRow>, Refusal> {
    let limit = query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = query.after.unwrap_or(0);
    let rows = events
        .ledger
        .rows(hook.clone(), table.clone(), after, limit)
        .await
        .map_err(failed)?;
    if rows.is_empty() && after == 0 && limit > 0 && !events.stores(&hook, &table) {
        let (hook, table) = (hook.escape_debug(), table.escape_debug());
        let why = format!(
            "hook `{hook}` has no table `{table}`: no row is in it, and no hook file allows it"
        );
        return Err(refusal(StatusCode::NOT_FOUND, why));
    }

    Ok(rows.into_iter().map(TableRow::from).collect())
}

/// The key-value pairs of a hook, by prefix.
#[utoipa::path(
    get,
    path = "/api/v1/kv/{hook}",
    operation_id = "list_values",
    tag = "data",
    params(("hook" = String, Path, description = "The hook that stores them"), ValuesQuery),
    responses(
        (status = 200, body = ValuePage),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
    )
)]
pub(crate) async fn values(
    State(events): State<Events>,
    ApiPath(hook): ApiPath<String>,
    ApiQuery(query): ApiQuery<ValuesQuery>,
) -> Response {
    answered(value_page(&events, hook, query).await)
}

async fn value_page(
    events: &Events,
    hook: String,
    query: ValuesQuery,
) -> Result<ValuePage, Refusal> {
    let limit = query.limit.unwrap_or(VALUES_MAX).clamp(1, VALUES_MAX);
    let found = events
        .ledger
        .values(
            hook.clone(),
            query.prefix.unwrap_or_default(),
            query.after.unwrap_or_default(),
            limit,
            VALUE_SHOWN_MAX,
        )
        .await
        .map_err(failed)?;
    if found.is_empty() {
        events.require_known(&hook).await?;
    }

    let is_full = found.len() == limit;
    let next = found.last().filter(|_| is_full);
    Ok(ValuePage {
        next: next.map(|last| last.key.clone()),
        values: found.into_iter().map(KeyValue::from).collect(),
    })
}

// === impl TableRow ===

impl From<StoredRow> for TableRow {
    fn from(stored: StoredRow) -> TableRow {
        TableRow {
            id: stored.id,
            event_id: stored.event_id,
            received_at: stored.received_at,
            row: stored.row,
            damaged: stored.damaged,
        }
    }
}

// === impl KeyValue ===

impl From<StoredValue> for KeyValue {
    fn from(stored: StoredValue) -> KeyValue {
        let is_cut = (stored.beginning.len() as i64) < stored.bytes;
        let text = match std::str::from_utf8(&stored.beginning) {
            Ok(text) => Some(text.to_owned()),
            Err(error) if is_cut && error.error_len().is_none() => {
                let whole = &stored.beginning[..error.valid_up_to()];
                Some(String::from_utf8_lossy(whole).into_owned())
            }
            Err(_) => None,
        };
        let text = text.filter(|_| stored.is_text && !stored.damaged);
        let is_hex = text.is_none() && !stored.damaged;
        let hex = is_hex.then(|| hex::encode(&stored.beginning));
        KeyValue {
            key: stored.key,
            bytes: stored.bytes,
            text,
            hex,
            expires_in_ms: stored.expires_in_ms,
            damaged: stored.damaged,
        }
    }
}
