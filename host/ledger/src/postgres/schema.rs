//! The tables and functions. SQLite: `schema.rs`. Nodes that start at the same time prepare them
//! one after another.

use std::fmt::Write;

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
    include_str!("tables/11_counts.sql"),
];

/// The functions, made or replaced after the tables of any older version. A function whose
/// columns change is dropped by the entry of `TABLES` that comes with the change. One with other
/// parameters may stay, for nodes of older versions. Every change needs such an entry, which may be
/// empty.
const FUNCTIONS: [&str; 5] = [
    include_str!("functions/events.sql"),
    include_str!("functions/deliveries.sql"),
    include_str!("functions/brokers.sql"),
    include_str!("functions/operator.sql"),
    include_str!("functions/counts.sql"),
];

/// The advisory lock that a node holds while it prepares the schema.
const LOCK: i64 = 0x4c46_4c44;

/// What to do if the role may use the tables but not change them.
fn hint(error: &tokio_postgres::Error) -> &'static str {
    match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            "; this version makes or changes tables: start it once with the role that owns the schema landfall, or make the other role a \
             member of it (GRANT owner TO role)"
        }
        _ => "",
    }
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

/// Brings the schema `landfall` to this version, in one transaction.
pub(super) async fn migrate(connector: &Connector) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| {
        OpenError::Other(format!(
            "the ledger cannot be prepared: {}{}",
            describe_error(&error),
            hint(&error)
        ))
    };
    let (mut client, connection) = connector.connect().await.map_err(failed)?;
    let driven = tokio::spawn(connection);

    // A second node waits here until the first one has finished, however long that takes.
    client
        .batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")
        .await
        .map_err(failed)?;
    let transaction = client.transaction().await.map_err(failed)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;

    // If the tables exist, the role needs no right to create any.
    let found = transaction
        .query_one("SELECT to_regclass('landfall.version') IS NOT NULL", &[])
        .await
        .map_err(failed)?;
    if !found.get::<_, bool>(0) {
        let make = "CREATE SCHEMA IF NOT EXISTS landfall; CREATE TABLE landfall.version (version integer NOT NULL)";
        transaction.batch_execute(make).await.map_err(failed)?;
    }
    let version = transaction
        .query_opt("SELECT version FROM landfall.version", &[])
        .await
        .map_err(failed)?;
    let from = version.as_ref().map_or(0, |row| row.get::<_, i32>(0));
    let known = TABLES.len() as i32;
    if from > known {
        return Err(OpenError::Other(format!(
            "the ledger was written by a newer Landfall (version {from}, this one knows {known}): run that one"
        )));
    }
    if from == known {
        return Ok(());
    }

    for step in &TABLES[from as usize..] {
        transaction.batch_execute(step).await.map_err(failed)?;
    }
    transaction
        .batch_execute(&state_functions())
        .await
        .map_err(failed)?;
    for functions in FUNCTIONS {
        transaction.batch_execute(functions).await.map_err(failed)?;
    }

    let sql = match version {
        Some(_) => "UPDATE landfall.version SET version = $1",
        None => "INSERT INTO landfall.version (version) VALUES ($1)",
    };
    transaction.execute(sql, &[&known]).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    drop(client);
    driven.await.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The digest of all functions at this version.
    const DIGEST: &str = "10f192b340e10783";

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
