//! The audit record: every change is stored before it is made, with who asked for it, and gets its
//! result afterwards. `command` has the frame that makes the entries of the API.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiQuery, Refusal, answered, bad_request, failed};
use super::params::{PAGE_MAX, time};
use crate::events::Events;
use crate::role::Caller;
use landfall_ledger::{AuditEntry, AuditFilter, NewAudit};
use landfall_model::clock::to_ms;

/// What the record calls a change that a refused sender asked for.
pub(crate) const FOREIGN: &str = "foreign";
const PAGE_DEFAULT: usize = 100;
/// The most bytes of a detail or a result. Longer ones are replaced by their length.
const JSON_BYTES_MAX: usize = 4096;
/// The most characters of the reason of a refusal.
const REASON_CHARACTERS_MAX: usize = 500;
/// The most bytes of the name of a hook. No hook has a longer one.
const HOOK_BYTES_MAX: usize = 200;

/// A change that is about to be made.
pub(crate) struct Change {
    action: &'static str,
    hook: Option<String>,
    detail: String,
}

/// Selects entries of the audit record.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Entries of this hook.
    hook: Option<String>,
    /// `replay`, `discard`, `retry-now`, `purge`, `erase`, `pause`, `resume`, `reload`, `reconcile`,
    /// `promote`, `rollback`, `publish-try` or `send`; of the dashboard also `start-job`,
    /// `cancel-job`, and `form` for an unknown form. `unknown`: no endpoint takes the request.
    /// `foreign`: the sender was refused, such as a page of another site.
    action: Option<String>,
    /// Entries of this time or later: `2026-01-31T08:15:30Z`, or `1h` for an hour ago.
    since: Option<String>,
    /// Entries before this time.
    until: Option<String>,
    /// Entries with smaller ids: `next` of the page before.
    before: Option<i64>,
    /// The most entries, up to 1000. Default: 100.
    limit: Option<usize>,
}

/// A page of the audit record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// Newest first.
    entries: Vec<AuditRecord>,
    /// The `before` of the next page. Null at the end.
    next: Option<i64>,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRecord {
    /// Ascending.
    id: i64,
    /// RFC 3339, UTC.
    at: String,
    /// `operate`, `read` for a request that was refused therefore, `local` for a command that
    /// opened the ledger of a stopped node, `rule` for a decision of a rule on a candidate, or `none` for a sender that was refused before its
    /// token was checked.
    role: String,
    /// The first eight hexadecimal digits of the token's SHA-256. Empty for `local` and `none`.
    token: String,
    /// The address of the client. Null for `local`.
    address: Option<String>,
    /// What was asked for, in one word.
    action: String,
    /// The hook, if the request named one.
    hook: Option<String>,
    /// What was asked for: the keys of the order that the operation knows, and the number of the
    /// others (`keys_left_out`). `via` is `mcp` if the request came through the MCP server.
    #[schema(value_type = Object)]
    detail: Value,
    /// The answer. `status` and `error`: the request was refused. Null: the change has not ended,
    /// or the node ended first.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
}

/// The changes that operators made, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "list_audit",
    tag = "audit",
    params(AuditQuery),
    responses(
        (status = 200, body = AuditPage),
        (status = 400, description = "A parameter is wrong", body = ApiError),
    )
)]
pub(crate) async fn list(
    State(events): State<Events>,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Response {
    answered(page(&events, query).await)
}

async fn page(events: &Events, query: AuditQuery) -> Result<AuditPage, Refusal> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let filter = AuditFilter {
        hook: query.hook,
        action: query.action,
        since_ms: time(query.since.as_deref(), events.clock).map_err(bad_request)?,
        until_ms: time(query.until.as_deref(), events.clock).map_err(bad_request)?,
        before: query.before,
        limit,
    };
    let entries = events.ledger.audits(filter).await.map_err(failed)?;
    let is_full = entries.len() == limit;
    let next = entries.last().filter(|_| is_full);
    Ok(AuditPage {
        next: next.map(|last| last.id),
        entries: entries.into_iter().map(AuditRecord::from).collect(),
    })
}

// === impl Change ===

impl Change {
    /// `detail`: what was asked for.
    pub(crate) fn new(action: &'static str, hook: Option<&str>, detail: &impl Serialize) -> Change {
        // No hook has such a name, and Postgres cannot store the character.
        let hook = hook.filter(|hook| hook.len() <= HOOK_BYTES_MAX && !hook.contains('\0'));
        Change {
            action,
            hook: hook.map(str::to_owned),
            detail: bounded(detail),
        }
    }
}

// === impl Events ===

impl Events {
    /// Stores the entry of a change, which must not be made without it. Returns its number. An
    /// entry without a result is one whose change may have been made.
    pub(crate) async fn record(&self, caller: &Caller, change: Change) -> Result<i64, Refusal> {
        let new = NewAudit {
            at_ms: to_ms(self.clock.now()),
            role: caller.role,
            token: caller.token.clone(),
            address: caller.address.map(|address| address.to_string()),
            action: change.action,
            hook: change.hook,
            detail: with_via(change.detail, caller.via),
        };
        let id = self.ledger.audit(new).await.map_err(failed)?;
        caller.set_recorded();
        Ok(id)
    }

    /// Adds the result of a change to its entry.
    pub(crate) async fn record_result(&self, id: i64, result: &impl Serialize) {
        if let Err(error) = self.ledger.audit_result(id, bounded(result)).await {
            tracing::warn!(id, %error, "the result of a change is not in the audit record");
        }
    }
}

/// The result of a change that was refused.
#[derive(Debug, Serialize)]
pub(crate) struct RefusedChange {
    status: u16,
    error: String,
}

// === impl RefusedChange ===

impl RefusedChange {
    pub(crate) fn new(status: u16, why: &str) -> RefusedChange {
        RefusedChange {
            status,
            error: why.chars().take(REASON_CHARACTERS_MAX).collect(),
        }
    }
}

/// What stands in the place of JSON that is too long.
#[derive(Serialize)]
struct LeftOut {
    bytes: usize,
}

fn bounded(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    if json.len() <= JSON_BYTES_MAX {
        return json;
    }

    let bytes = json.len();
    serde_json::to_string(&LeftOut { bytes }).unwrap_or_default()
}

/// The detail with the program through which the change was asked for.
fn with_via(detail: String, via: Option<&'static str>) -> String {
    let Some(via) = via else { return detail };
    match serde_json::from_str::<Map<String, Value>>(&detail) {
        Ok(mut keys) => {
            keys.insert("via".to_owned(), via.into());
            Value::Object(keys).to_string()
        }
        Err(_) => detail,
    }
}

// === impl AuditRecord ===

impl From<AuditEntry> for AuditRecord {
    fn from(entry: AuditEntry) -> AuditRecord {
        AuditRecord {
            id: entry.id,
            at: entry.at,
            role: entry.role,
            token: entry.token,
            address: entry.address,
            action: entry.action,
            hook: entry.hook,
            detail: entry.detail,
            result: entry.result,
        }
    }
}
