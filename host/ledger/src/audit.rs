//! The audit record: what operators changed. An entry is stored before its change is made, so that
//! no change is without an entry. Its result is added when the change has ended.

use serde_json::Value;

use super::shown::time_of_day;

/// The most entries. The oldest are removed first.
pub(super) const ENTRIES_MAX: i64 = 100_000;
/// Older entries are removed, in ms: 400 days.
pub(super) const AGE_MAX_MS: i64 = 400 * 24 * 3_600_000;
/// Old entries that one new entry removes at most.
pub(super) const REMOVED_MAX: i64 = 100;

/// A change that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// Time of day, in ms since 1970.
    pub at_ms: i64,
    /// The role of the token: `operate`, `read` for a request that is refused therefore, `local` for
    /// a command that opened the ledger itself, or `rule` for a decision that no operator made.
    pub role: &'static str,
    /// The beginning of the token's digest in hexadecimal digits. Empty without a token.
    pub token: String,
    /// The address of the client.
    pub address: Option<String>,
    /// What is done, in one word.
    pub action: &'static str,
    /// The hook, if the change concerns one.
    pub hook: Option<String>,
    /// What was asked for, as JSON.
    pub detail: String,
}

/// One entry of the audit record.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Ascending. Lists are newest first; the next page begins before the last id of a page.
    pub id: i64,
    /// RFC 3339, UTC.
    pub at: String,
    /// The role of the token.
    pub role: String,
    /// The beginning of the token's digest. Empty without a token.
    pub token: String,
    /// The address of the client.
    pub address: Option<String>,
    /// What was done, in one word.
    pub action: String,
    /// The hook, if the change concerned one.
    pub hook: Option<String>,
    /// What was asked for.
    pub detail: Value,
    /// What came of it. `None`: the change has not ended, or its end could not be stored.
    pub result: Option<Value>,
}

/// Selects entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Entries of this hook.
    pub hook: Option<String>,
    /// Entries with this action.
    pub action: Option<String>,
    /// Entries of this time or later, in ms since 1970.
    pub since_ms: Option<i64>,
    /// Entries before this time, in ms since 1970.
    pub until_ms: Option<i64>,
    /// Entries with smaller ids.
    pub before: Option<i64>,
    /// The largest number of results.
    pub limit: usize,
}

/// The columns of an entry.
pub(super) struct AuditColumns {
    pub(super) id: i64,
    pub(super) at_ms: i64,
    pub(super) role: String,
    pub(super) token: String,
    pub(super) address: Option<String>,
    pub(super) action: String,
    pub(super) hook: Option<String>,
    pub(super) detail: String,
    pub(super) result: Option<String>,
}

// === impl AuditColumns ===

impl AuditColumns {
    /// The entry. Text that is no JSON is shown as text.
    pub(super) fn entry(self) -> AuditEntry {
        AuditEntry {
            id: self.id,
            at: time_of_day(self.at_ms),
            role: self.role,
            token: self.token,
            address: self.address,
            action: self.action,
            hook: self.hook,
            detail: json(self.detail),
            result: self.result.map(json),
        }
    }
}

fn json(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
