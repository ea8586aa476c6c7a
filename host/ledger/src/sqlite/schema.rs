//! The tables and their migrations. All missing steps run in one transaction; `user_version` says
//! which have run. Postgres: `tables/`.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{LedgerError, OpenError};

/// `LFLD`: the database is a ledger.
const APPLICATION_ID: i32 = 0x4c46_4c44;

/// Each entry takes a ledger one version further.
const STEPS: [&str; 11] = [
    FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH, NINTH, TENTH, ELEVENTH,
];

const FIRST: &str = "
-- Values of the node: the last ledger time, the boot clock at that time.
CREATE TABLE node (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- One verified request each, never changed. `seq` is the order of arrival.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    hook TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    head BLOB NOT NULL,
    body_bytes INTEGER NOT NULL,
    body_digest BLOB NOT NULL,
    checksum BLOB NOT NULL
);

-- In a table of their own, so that history stays small and bodies can be pruned first.
CREATE TABLE payloads (event INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- Identities of accepted events, kept for their window.
CREATE TABLE dedup (
    hook TEXT NOT NULL,
    key BLOB NOT NULL,
    event INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (hook, key)
) WITHOUT ROWID;
CREATE INDEX dedup_until ON dedup (until);
CREATE INDEX dedup_event ON dedup (event);

-- The duty to handle one event. state: 0 pending, 1 running, 2 done, 3 dead. `due`, `lease_until` and `ended` are
-- ledger time. `attempt` counts started attempts, `unfinished` those that ended with the process.
-- `pruned`: this delivery no longer needs the body.
-- A pending delivery is `blocked` while an earlier one of its order key is open.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    hook TEXT NOT NULL,
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    unfinished INTEGER NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0,
    order_key TEXT,
    owner BLOB,
    lease_until INTEGER,
    ended INTEGER,
    reason TEXT,
    replayed INTEGER NOT NULL DEFAULT 0,
    pruned INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_due ON deliveries (hook, due) WHERE state = 0 AND blocked = 0;
CREATE INDEX deliveries_key ON deliveries (hook, order_key, id) WHERE state < 2 AND order_key IS NOT NULL;
CREATE INDEX deliveries_running ON deliveries (lease_until) WHERE state = 1;
CREATE INDEX deliveries_ended ON deliveries (ended) WHERE state >= 2;
CREATE INDEX deliveries_prunable ON deliveries (ended) WHERE state = 2 AND pruned = 0;
CREATE INDEX deliveries_dead ON deliveries (hook, id) WHERE state = 3;

-- One attempt each. `record` is JSON: log, memory, calls.
CREATE TABLE attempts (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER,
    record TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

-- Hooks whose events wait, at the operator's word.
CREATE TABLE paused (hook TEXT PRIMARY KEY) WITHOUT ROWID;

-- Rows that handlers stored.
CREATE TABLE rows (
    id INTEGER PRIMARY KEY,
    hook TEXT NOT NULL,
    name TEXT NOT NULL,
    event_id BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    json TEXT NOT NULL
);
CREATE INDEX rows_name ON rows (hook, name, id);
";

const SECOND: &str = "
-- The key-value data of handlers. `until` is ledger time.
CREATE TABLE kv (
    hook TEXT NOT NULL,
    key TEXT NOT NULL,
    is_text INTEGER NOT NULL,
    value BLOB NOT NULL,
    until INTEGER,
    checksum BLOB NOT NULL,
    PRIMARY KEY (hook, key)
);
CREATE INDEX kv_until ON kv (until) WHERE until IS NOT NULL;

-- Older rows have no checksum.
ALTER TABLE rows ADD COLUMN checksum BLOB;

-- The stored bytes of each hook, for its quotas.
CREATE TABLE used (
    hook TEXT PRIMARY KEY,
    kv_bytes INTEGER NOT NULL DEFAULT 0,
    row_bytes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO used (hook, row_bytes) SELECT hook, sum(length(CAST(json AS BLOB))) FROM rows GROUP BY hook;
CREATE TRIGGER kv_in AFTER INSERT ON kv BEGIN
    INSERT INTO used (hook, kv_bytes) VALUES (NEW.hook, length(CAST(NEW.key AS BLOB)) + length(NEW.value))
    ON CONFLICT (hook) DO UPDATE SET kv_bytes = kv_bytes + excluded.kv_bytes;
END;
CREATE TRIGGER kv_changed AFTER UPDATE OF value ON kv BEGIN
    UPDATE used SET kv_bytes = kv_bytes + length(NEW.value) - length(OLD.value) WHERE hook = NEW.hook;
END;
CREATE TRIGGER kv_out AFTER DELETE ON kv BEGIN
    UPDATE used SET kv_bytes = kv_bytes - length(CAST(OLD.key AS BLOB)) - length(OLD.value) WHERE hook = OLD.hook;
END;
CREATE TRIGGER rows_in AFTER INSERT ON rows BEGIN
    INSERT INTO used (hook, row_bytes) VALUES (NEW.hook, length(CAST(NEW.json AS BLOB)))
    ON CONFLICT (hook) DO UPDATE SET row_bytes = row_bytes + excluded.row_bytes;
END;
CREATE TRIGGER rows_out AFTER DELETE ON rows BEGIN
    UPDATE used SET row_bytes = row_bytes - length(CAST(OLD.json AS BLOB)) WHERE hook = OLD.hook;
END;
";

const THIRD: &str = "
-- Duplicates and conflicts of an event. `last_duplicate` and `last_conflict` are ids of events.
ALTER TABLE events ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN last_duplicate_ms INTEGER;
ALTER TABLE events ADD COLUMN last_duplicate BLOB;
ALTER TABLE events ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN last_conflict BLOB;

-- The handler's reply, if duplicates get it again.
ALTER TABLE deliveries ADD COLUMN reply BLOB;
";

const FOURTH: &str = "
-- The bytes of each hook's events, bodies and attempts. When the file reaches its size limit, the hook with the most loses its oldest.
ALTER TABLE used ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0;
INSERT INTO used (hook, history_bytes)
SELECT e.hook, sum(octet_length(e.head) + coalesce(octet_length(p.body), 0))
FROM events e LEFT JOIN payloads p ON p.event = e.seq GROUP BY e.hook
ON CONFLICT (hook) DO UPDATE SET history_bytes = excluded.history_bytes;
UPDATE used SET history_bytes = history_bytes + coalesce((
    SELECT sum(octet_length(a.record)) FROM attempts a JOIN deliveries d ON d.id = a.delivery WHERE d.hook = used.hook), 0);
CREATE INDEX deliveries_ended_of ON deliveries (hook, ended) WHERE state >= 2;
CREATE TRIGGER events_in AFTER INSERT ON events BEGIN
    INSERT INTO used (hook, history_bytes) VALUES (NEW.hook, octet_length(NEW.head))
    ON CONFLICT (hook) DO UPDATE SET history_bytes = history_bytes + excluded.history_bytes;
END;
CREATE TRIGGER events_head AFTER UPDATE OF head ON events BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.head) - octet_length(OLD.head) WHERE hook = NEW.hook;
END;
CREATE TRIGGER events_out AFTER DELETE ON events BEGIN
    UPDATE used SET history_bytes = history_bytes - octet_length(OLD.head) WHERE hook = OLD.hook;
END;
CREATE TRIGGER payloads_in AFTER INSERT ON payloads BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.body)
    WHERE hook = (SELECT hook FROM events WHERE seq = NEW.event);
END;
CREATE TRIGGER payloads_out AFTER DELETE ON payloads BEGIN
    UPDATE used SET history_bytes = history_bytes - octet_length(OLD.body)
    WHERE hook = (SELECT hook FROM events WHERE seq = OLD.event);
END;
CREATE TRIGGER attempts_in AFTER INSERT ON attempts BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.record)
    WHERE hook = (SELECT hook FROM deliveries WHERE id = NEW.delivery);
END;
CREATE TRIGGER attempts_out AFTER DELETE ON attempts BEGIN
    UPDATE used SET history_bytes = history_bytes - octet_length(OLD.record)
    WHERE hook = (SELECT hook FROM deliveries WHERE id = OLD.delivery);
END;
";

const FIFTH: &str = "
-- `replay_of`: the delivery that this one repeats. `resolved_by`: the delivery that has handled the event since. `discarded`: the
-- reason of the operator. Two more states: 4 resolved (it was dead), 5 discarded.
ALTER TABLE deliveries ADD COLUMN replay_of INTEGER;
ALTER TABLE deliveries ADD COLUMN resolved_by INTEGER;
ALTER TABLE deliveries ADD COLUMN discarded TEXT;
CREATE INDEX deliveries_hook ON deliveries (hook, id);
UPDATE deliveries SET replay_of = (
    SELECT max(o.id) FROM deliveries o WHERE o.event = deliveries.event AND o.id < deliveries.id) WHERE replayed = 1;
UPDATE deliveries SET state = 4, resolved_by = (
    SELECT min(o.id) FROM deliveries o WHERE o.event = deliveries.event AND o.id > deliveries.id AND o.state = 2)
WHERE state = 3
AND EXISTS (SELECT 1 FROM deliveries o WHERE o.event = deliveries.event AND o.id > deliveries.id AND o.state = 2);
CREATE TRIGGER deliveries_resolve AFTER UPDATE OF state ON deliveries WHEN NEW.state = 2 AND NEW.replay_of IS NOT NULL BEGIN
    UPDATE deliveries SET state = 4, resolved_by = NEW.id
    WHERE id < NEW.id AND state IN (3, 5)
    AND event IN (NEW.event, (SELECT event FROM deliveries WHERE id = NEW.replay_of));
END;
";

const SIXTH: &str = "
-- Attempts that deferred the event: their number, and when the first of them was stored (ledger time).
ALTER TABLE deliveries ADD COLUMN deferrals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN deferred_since INTEGER;
";

const SEVENTH: &str = "
-- The step that ends a delivery resolves dead letters. For an update that fires a trigger, SQLite copies every page that it changes.
DROP TRIGGER deliveries_resolve;
";

const EIGHTH: &str = "
-- What stores an event adds its bytes to `used`, once for head and body.
DROP TRIGGER events_in;
DROP TRIGGER payloads_in;
";

const NINTH: &str = "
-- What operators changed. `token` is the beginning of the token's digest; `detail` and `result` are JSON. An entry is stored before its
-- change; without `result` the change has not ended, or its end could not be stored.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    role TEXT NOT NULL,
    token TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    hook TEXT,
    detail TEXT NOT NULL,
    result TEXT
);

-- The newest dead letters of all hooks.
CREATE INDEX deliveries_dead_id ON deliveries (id) WHERE state = 3;
";

const TENTH: &str = "
-- The way of a request to the ledger, in microseconds: the check of its sender, and from the end of the request until its row was
-- written, just before the commit. NULL: unknown.
ALTER TABLE events ADD COLUMN verify_us INTEGER;
ALTER TABLE events ADD COLUMN stored_us INTEGER;

-- `answered`: the caller got the outcome (mode sync). Dead, such a delivery is no dead letter: the caller knows, and can send it again.
ALTER TABLE deliveries ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;

-- The number of deliveries of each hook. With it and these indexes, deliveries are counted by state without a look at those that are done.
-- What inserts a delivery counts it.
ALTER TABLE used ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
INSERT INTO used (hook, deliveries) SELECT hook, count(*) FROM deliveries WHERE true GROUP BY hook
ON CONFLICT (hook) DO UPDATE SET deliveries = excluded.deliveries;
CREATE TRIGGER deliveries_out AFTER DELETE ON deliveries BEGIN
    UPDATE used SET deliveries = deliveries - 1 WHERE hook = OLD.hook;
END;
CREATE INDEX deliveries_failed ON deliveries (hook, state, answered) WHERE state > 2;
CREATE INDEX deliveries_brokered ON deliveries (hook) WHERE state = 0 AND blocked = 1 AND order_key IS NULL;
";

const ELEVENTH: &str = concat!(
    include_str!("tables/11_recordings.sql"),
    include_str!("tables/11_candidates.sql"),
    include_str!("tables/11_flow.sql"),
    include_str!("tables/11_privacy.sql"),
);
/// Migrates the tables to this version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| match LedgerError::from(error) {
        error @ LedgerError::Full => {
            OpenError::Full(format!("the ledger cannot be prepared: {error}"))
        }
        error => OpenError::Other(format!("the ledger cannot be prepared: {error}")),
    };
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let number =
        |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (version, application) = (
        number("user_version").map_err(failed)?,
        number("application_id").map_err(failed)?,
    );
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(OpenError::Other(
            "ledger.db is a database of something else: use another data directory (--data)".into(),
        ));
    }
    let known = STEPS.len();
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    if from > known {
        return Err(OpenError::Other(format!(
            "ledger.db was written by a newer Landfall (version {version}, this one knows {known}): run that one"
        )));
    }
    for step in &STEPS[from..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    if from < known {
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", known as i32)
            .map_err(failed)?;
    }
    if texts(&transaction).map_err(failed)? != expected().map_err(failed)? {
        let damaged =
            LedgerError::Corrupt("its tables are not those that this version makes".into());
        return Err(OpenError::Other(damaged.to_string()));
    }
    landfall_model::kill_point!("migrating");
    transaction.commit().map_err(failed)
}

/// The SQL text of every table, index and trigger. If one was changed, the data under it has
/// another meaning.
fn texts(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut select = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn expected() -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let fresh = Connection::open_in_memory()?;
    STEPS
        .iter()
        .try_for_each(|step| fresh.execute_batch(step))?;
    texts(&fresh)
}

/// Pauses a hook, or lets it run again.
pub(super) fn pause(connection: &Connection, hook: &str, paused: bool) -> rusqlite::Result<()> {
    let sql = if paused {
        "INSERT OR IGNORE INTO paused (hook) VALUES (?)"
    } else {
        "DELETE FROM paused WHERE hook = ?"
    };
    connection.execute(sql, [hook]).map(drop)
}

/// The hooks that an operator has paused.
pub(super) fn paused(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT hook FROM paused")?
        .query_map([], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_keep_older_data() {
        let mut old = Connection::open_in_memory().unwrap();
        old.execute_batch(FIRST).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let row = "INSERT INTO rows (hook, name, event_id, received_ms, json) VALUES ('h', 't', x'00112233445566778899aabbccddeeff', 7, ?)";
        old.execute(row, ["{\"n\":1}"]).unwrap();
        migrate(&mut old).unwrap();
        let used: i64 = old
            .query_row("SELECT row_bytes FROM used WHERE hook = 'h'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(used, 7, "older rows count");
        let rows = super::super::rows::list(&old, "h", "t", 0, 10).unwrap();
        assert_eq!(
            (rows.len(), rows[0].row["n"].as_i64(), rows[0].damaged),
            (1, Some(1), false)
        );
        let version: i32 = old
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, 11);
    }

    #[test]
    fn old_replays_resolve_their_dead_letters() {
        let mut old = Connection::open_in_memory().unwrap();
        [FIRST, SECOND, THIRD, FOURTH]
            .iter()
            .for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        old.pragma_update(None, "user_version", 4).unwrap();
        // Event 1: dead, its replay dead, and the replay of that done. Event 2: dead, and its
        // replay too.
        old.execute_batch(
            "INSERT INTO deliveries (id, event, hook, state, due, replayed) VALUES
             (1, 1, 'h', 3, 0, 0), (2, 2, 'h', 3, 0, 0), (3, 1, 'h', 3, 0, 1), (4, 2, 'h', 3, 0, 1), (5, 1, 'h', 2, 0, 1)",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        let mut select = old
            .prepare("SELECT state, replay_of, resolved_by FROM deliveries ORDER BY id")
            .unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Vec<(i64, Option<i64>, Option<i64>)> = select
            .query_map([], row)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let expected = [
            (4, None, Some(5)),
            (3, None, None),
            (4, Some(1), Some(5)),
            (3, Some(2), None),
            (2, Some(3), None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn unknown_databases_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let why = migrate(&mut connection).unwrap_err();
        assert!(
            why.to_string()
                .contains("newer Landfall (version 99, this one knows 11)"),
            "{why}"
        );
        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(
            migrate(&mut other)
                .unwrap_err()
                .to_string()
                .contains("something else")
        );
    }
}
