//! The tables and functions, made once however many nodes start at a time.

use super::connect::{Connector, told};
use tokio_postgres::error::SqlState;

use crate::error::OpenError;

/// Each entry takes a ledger one version further.
const STEPS: [&str; 5] = [
    include_str!("schema.sql"),
    include_str!("arrivals.sql"),
    include_str!("duplicates.sql"),
    include_str!("operator.sql"),
    include_str!("replay.sql"),
];
/// Nodes that start together come one after another.
const LOCK: i64 = 0x4c46_4c44;

/// The role may use the schema, and not make or change its tables.
fn hint(error: &tokio_postgres::Error) -> &'static str {
    match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            "; this version makes or changes tables: start it once with the role that owns the schema landfall, or make the other role a \
             member of it (GRANT owner TO role)"
        }
        _ => "",
    }
}

/// Brings the schema `landfall` to this version.
pub async fn migrate(connector: &Connector) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| {
        OpenError::Other(format!(
            "the ledger cannot be prepared: {}{}",
            told(&error),
            hint(&error)
        ))
    };
    let (mut client, connection) = connector.connect().await.map_err(failed)?;
    let driven = tokio::spawn(connection);
    // Whoever comes second waits as long as the first one takes.
    client
        .batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")
        .await
        .map_err(failed)?;
    let transaction = client.transaction().await.map_err(failed)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    // Where they are there, a role needs no right to make them.
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
    let known = STEPS.len() as i32;
    if from > known {
        return Err(OpenError::Other(format!(
            "the ledger was written by a newer Landfall (version {from}, this one knows {known}): run that one"
        )));
    }
    if from == known {
        return Ok(());
    }
    for step in &STEPS[from as usize..] {
        transaction.batch_execute(step).await.map_err(failed)?;
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
