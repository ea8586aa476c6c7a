//! For how long hooks with deliveries have had no file. Postgres: `missing.rs`.

use std::time::Duration;

use rusqlite::Connection;

use super::{kv, retention};
use crate::missing::{BETWEEN_LOOKS, HOOKS_MAX, NOTED_FOR, OWNER, limit, report};
use landfall_model::{HookRetentions, KvChange, KvValue, KvWrite, LedgerTime};

/// Notes which hooks have no file now. Returns those that have had none for `missing_for`.
pub(super) fn look(
    connection: &Connection,
    hooks: &HookRetentions,
    now: LedgerTime,
) -> rusqlite::Result<Vec<String>> {
    let mut missing = retention::stored_hooks(connection)?;
    missing.retain(|hook| hooks.of(hook).is_none());
    limit(&mut missing);
    forget_others(connection, &missing, now)?;

    let mut gone = Vec::new();
    for hook in missing {
        let before = noted(connection, &hook, now)?;
        if before.is_none() {
            report(&hook);
        }
        let time = before.unwrap_or_default();
        if time >= hooks.missing_for {
            gone.push(hook.clone());
        }
        let value = KvValue::of_number(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let write = KvWrite {
            key: hook,
            change: KvChange::Set(value, Some(NOTED_FOR)),
        };
        kv::write(connection, (OWNER, None), &[write], now)?;
    }
    Ok(gone)
}

/// Removes the notes of hooks that are no longer missing. `missing` is sorted.
fn forget_others(
    connection: &Connection,
    missing: &[String],
    now: LedgerTime,
) -> rusqlite::Result<()> {
    // With a damaged key, notes stay until they end.
    let mut found = kv::keys(connection, OWNER, "", "", HOOKS_MAX, now).unwrap_or_default();
    found.retain(|hook| missing.binary_search(hook).is_err());
    let removed = found.into_iter().map(|key| KvWrite {
        key,
        change: KvChange::Delete,
    });
    let removed: Vec<KvWrite> = removed.collect();
    kv::write(connection, (OWNER, None), &removed, now)
}

/// For how long the hook has been missing, with the time since the last look. `None`: this is the
/// first look that does not find its file.
fn noted(
    connection: &Connection,
    hook: &str,
    now: LedgerTime,
) -> rusqlite::Result<Option<Duration>> {
    // A damaged note begins anew.
    let value = kv::get(connection, OWNER, hook, now).unwrap_or_default();
    let number = value.and_then(|value| value.number());
    let until = kv::expiry(connection, OWNER, hook, now).unwrap_or_default();
    let (Some(number), Some(until)) = (number, until.flatten()) else {
        return Ok(None);
    };

    let before = Duration::from_millis(u64::try_from(number).unwrap_or(0));
    let last = LedgerTime(until).minus(NOTED_FOR);
    Ok(Some(before + last.until(now).min(BETWEEN_LOOKS)))
}
