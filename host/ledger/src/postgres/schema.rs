//! The tables and functions. SQLite: `schema.rs`. Nodes that start at the same time prepare them
//! one after another.

use std::fmt::Write;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connect::{Connector, describe_error};
use crate::error::OpenError;
use landfall_model::DeliveryState;

/// Each entry changes the tables of a ledger from one version to the next.
const TABLES: [&str; 11] = [
    include_str!("tables/1_deliveries.sql"),
    include_str!("tables/2_brokers.sql"),
    include_str!("tables/3_duplicates.sql"),
    include_str!("tables/4_operator.sql"),
    include_str!("tables/5_bulk.sql"),
    include_str!("tables/6_functions.sql"),
    include_str!("tables/7_names.sql"),
    include_str!("tables/8_deferrals.sql"),
    include_str!("tables/9_audit.sql"),
    include_str!("tables/10_timing.sql"),
    concat!(
        include_str!("tables/11_counts.sql"),
        include_str!("tables/11_recordings.sql"),
        include_str!("tables/11_candidates.sql"),
        include_str!("tables/11_flow.sql"),
        include_str!("tables/11_privacy.sql"),
    ),
];

/// The functions, made or replaced after the tables of any older version. A function whose
/// columns change is dropped by the entry of `TABLES` that comes with the change. One with other
/// parameters may stay, for nodes of older versions. Every change needs such an entry, which may be
/// empty.
const FUNCTIONS: [&str; 7] = [
    include_str!("functions/events.sql"),
    include_str!("functions/deliveries.sql"),
    include_str!("functions/held.sql"),
    include_str!("functions/brokers.sql"),
    include_str!("functions/operator.sql"),
    include_str!("functions/counts.sql"),
    include_str!("functions/privacy.sql"),
];

/// The advisory lock that a node holds while it prepares the schema.
const LOCK: i64 = 0x4c46_4c44;

/// How long a statement of the migration waits for a lock on a table. The writes of other nodes
/// wait behind it, for less than they do by the limits of their sessions.
const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";
/// How long the writes of other nodes go on before the next try.
const LOCK_PAUSE: Duration = Duration::from_secs(5);
/// Then the start of the node fails, after about 45 s.
const LOCK_TRIES: usize = 6;
/// How to find and end a transaction that holds such a lock.
const WAY_OUT: &str = "SELECT pid, application_name, xact_start, query FROM pg_stat_activity WHERE datname = current_database() ORDER BY \
                       xact_start LIMIT 5 shows the oldest transactions, and SELECT pg_terminate_backend(pid) ends one";

/// Why the tables and functions could not be prepared.
enum MigrateError {
    /// A newer Landfall has prepared this version of them.
    Newer(i32),
    Server(tokio_postgres::Error),
}

// === impl MigrateError ===

impl MigrateError {
    /// Whether a transaction that has not ended holds a lock that is needed.
    fn is_locked(&self) -> bool {
        match self {
            MigrateError::Newer(_) => false,
            MigrateError::Server(error) => is_locked(error),
        }
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> MigrateError {
        MigrateError::Server(error)
    }
}

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> OpenError {
        OpenError::Other(match error {
            MigrateError::Newer(version) => format!(
                "the ledger was written by a newer Landfall (version {version}, this one knows {}): run that one",
                TABLES.len()
            ),
            MigrateError::Server(error) => format!(
                "the ledger cannot be prepared: {}{}",
                describe_error(&error),
                hint(&error)
            ),
        })
    }
}

fn is_locked(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED
    })
}

/// What to do about an error.
fn hint(error: &tokio_postgres::Error) -> String {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        // The role may use the tables but not change them.
        return "; this version makes or changes tables: start it once with the role that owns the schema landfall, or make the other role \
                a member of it (GRANT owner TO role)"
            .into();
    }
    if is_locked(error) {
        return format!(
            "; this version changes tables, and a transaction that has not ended holds a lock on one of them: {WAY_OUT}"
        );
    }

    String::new()
}

/// Functions `state_pending()`, `state_running()` … for the states of a delivery. They are
/// constants to the planner.
fn state_functions() -> String {
    let mut sql = String::new();
    for state in DeliveryState::ALL {
        let (word, number) = (state.word(), state.number());
        writeln!(
            sql,
            "CREATE OR REPLACE FUNCTION state_{word}() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT {number}';"
        )
        .expect("a String takes any text");
    }
    sql
}

/// Brings the schema `landfall` to this version. While a transaction holds a lock on one of its
/// tables, it is tried again, so that the writes of other nodes do not wait for its end.
pub(super) async fn migrate(connector: &Connector) -> Result<(), OpenError> {
    let (mut client, connection) = connector.connect().await.map_err(MigrateError::from)?;
    let driven = tokio::spawn(connection);

    // A second node waits here until the first one has finished, however long that takes, and also
    // between its tries: nodes that take turns would leave no pause for writes.
    client
        .batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")
        .await
        .map_err(MigrateError::from)?;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(MigrateError::from)?;

    let mut tries = 1;
    while let Err(error) = try_to_migrate(&mut client).await {
        if !error.is_locked() || tries == LOCK_TRIES {
            return Err(error.into());
        }

        tracing::warn!(
            tries,
            "a transaction that has not ended holds a lock on a table of the ledger, which this version changes: the node tries again in \
             5 s, at most {LOCK_TRIES} times; {WAY_OUT}"
        );
        tries += 1;
        tokio::time::sleep(LOCK_PAUSE).await;
    }

    // The server releases the advisory lock at the end of the session.
    drop(client);
    driven.await.ok();
    Ok(())
}

/// Brings the schema to this version, in one transaction.
async fn try_to_migrate(client: &mut Client) -> Result<(), MigrateError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SET_LOCK_TIMEOUT).await?;

    // If the tables exist, the role needs no right to create any.
    let found = transaction
        .query_one("SELECT to_regclass('landfall.version') IS NOT NULL", &[])
        .await?;
    if !found.get::<_, bool>(0) {
        let make = "CREATE SCHEMA IF NOT EXISTS landfall; CREATE TABLE landfall.version (version integer NOT NULL)";
        transaction.batch_execute(make).await?;
    }
    let version = transaction
        .query_opt("SELECT version FROM landfall.version", &[])
        .await?;
    let from = version.as_ref().map_or(0, |row| row.get::<_, i32>(0));
    let known = TABLES.len() as i32;
    if from > known {
        return Err(MigrateError::Newer(from));
    }
    if from == known {
        return Ok(());
    }

    for step in &TABLES[from as usize..] {
        transaction.batch_execute(step).await?;
    }
    transaction.batch_execute(&state_functions()).await?;
    for functions in FUNCTIONS {
        transaction.batch_execute(functions).await?;
    }

    let sql = match version {
        Some(_) => "UPDATE landfall.version SET version = $1",
        None => "INSERT INTO landfall.version (version) VALUES ($1)",
    };
    transaction.execute(sql, &[&known]).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The digest of all functions at this version.
    const DIGEST: &str = "f60be59f5b9a958d";

    #[test]
    fn changed_functions_have_a_new_version() {
        let mut digest = Sha256::new();
        digest.update(state_functions());
        let code = FUNCTIONS.iter().flat_map(|text| text.lines());
        for line in code.filter(|line| !line.trim_start().starts_with("--")) {
            digest.update(line);
        }
        let digest: String = digest.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();

        assert_eq!(
            (TABLES.len(), digest.as_str()),
            (11, DIGEST),
            "ledgers of this version keep the functions that they have: add an entry to TABLES, and note both values here"
        );
    }
}
