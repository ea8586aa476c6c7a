//! Ledger time across starts of the node. Until the machine restarts, its boot clock tells how long
//! the node was stopped, and the time of day is not used. After a restart of the machine, the time
//! of day can only move ledger time forward.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, params};

use landfall_model::clock::to_ms;
use landfall_model::{LedgerClock, LedgerTime};

/// The clock, which continues from the ledger time that was stored last.
pub(super) fn resume(
    connection: &Connection,
    time_of_day: SystemTime,
) -> rusqlite::Result<LedgerClock> {
    let mut find = connection.prepare("SELECT value FROM node WHERE key = ?")?;
    let last: Option<i64> = find
        .query_row(["ledger_time"], |row| row.get(0))
        .optional()?;
    let uptime: Option<i64> = find.query_row(["uptime"], |row| row.get(0)).optional()?;
    let machine: Option<String> = find
        .query_row(["machine_start"], |row| row.get(0))
        .optional()?;
    let base = match (last, uptime, machine) {
        (Some(last), Some(then), Some(machine)) if Some(&machine) == machine_start().as_ref() => {
            last + (uptime_ms() - then).max(0)
        }
        (Some(last), ..) => last.max(to_ms(time_of_day)),
        (None, ..) => to_ms(time_of_day),
    };
    Ok(LedgerClock::from(LedgerTime(base)))
}

/// Stores the ledger time, at each heartbeat: after a crash of the machine, the time since then is
/// unknown.
pub(super) fn write_down(connection: &Connection, now: LedgerTime) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO node (key, value) VALUES (?, ?)")?;
    insert.execute(params!["ledger_time", now.0])?;
    insert.execute(params!["uptime", uptime_ms()])?;
    insert.execute(params!["machine_start", machine_start()])?;
    Ok(())
}

/// An id of this start of the machine.
fn machine_start() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .map(|text| text.trim().to_owned())
}

/// The time since the machine started, including sleep.
fn uptime_ms() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn ledger_time_never_moves_back() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let day = |hours: u64| UNIX_EPOCH + Duration::from_secs(hours * 3600);
        let first = resume(&connection, day(1000)).unwrap().now();
        assert!((first.0 - 3_600_000_000).abs() < 1000, "{first:?}");
        write_down(&connection, first).unwrap();
        for hours in [999, 1001, 5000] {
            let again = resume(&connection, day(hours)).unwrap().now();
            assert!(
                (0..5000).contains(&(again.0 - first.0)),
                "{hours}: {again:?}"
            );
        }
        connection
            .execute(
                "UPDATE node SET value = 'another' WHERE key = 'machine_start'",
                [],
            )
            .unwrap();
        assert_eq!(
            resume(&connection, day(999)).unwrap().now().0 / 1000,
            first.0 / 1000
        );
        assert_eq!(
            resume(&connection, day(1001)).unwrap().now().0 / 1000,
            3_603_600
        );
    }
}
