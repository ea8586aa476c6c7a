//! Checks the rights of the role that a node connects as. An error names the statement that grants
//! a missing right.

use deadpool_postgres::Object;

use super::connect::open_error;
use crate::error::OpenError;

/// Selects the statements that grant missing rights to create or use the schema.
const TO_CREATE: &str =
    "SELECT CASE WHEN to_regnamespace('landfall') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
     THEN format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user) END,
     CASE WHEN to_regnamespace('landfall') IS NOT NULL AND NOT has_schema_privilege('landfall', 'USAGE')
     THEN format('GRANT USAGE ON SCHEMA landfall TO %I', current_user) END";

/// Selects the statements that grant missing rights on its tables and functions.
const TO_USE: &str = "SELECT CASE WHEN EXISTS (
         SELECT FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted (privilege)
         WHERE c.relnamespace = 'landfall'::regnamespace AND c.relkind IN ('r', 'p')
         AND NOT has_table_privilege(c.oid, wanted.privilege))
     THEN format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA landfall TO %I', current_user) END,
     CASE WHEN EXISTS (
         SELECT FROM pg_proc p WHERE p.pronamespace = 'landfall'::regnamespace AND NOT has_function_privilege(p.oid, 'EXECUTE'))
     THEN format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA landfall TO %I', current_user) END";

/// Checks the rights that are needed to create the tables, or to use existing ones.
pub(super) async fn check_before(client: &Object) -> Result<(), OpenError> {
    check(client, TO_CREATE).await?;
    let has_tables = "SELECT to_regclass('landfall.version') IS NOT NULL";
    let found = client
        .query_one(has_tables, &[])
        .await
        .map_err(|error| open_error(&error))?;
    if found.get(0) {
        check(client, TO_USE).await
    } else {
        Ok(())
    }
}

/// Checks the rights on the tables and functions, once they exist.
pub(super) async fn check_after(client: &Object) -> Result<(), OpenError> {
    check(client, TO_USE).await
}

async fn check(client: &Object, sql: &str) -> Result<(), OpenError> {
    let row = client
        .query_one(sql, &[])
        .await
        .map_err(|error| open_error(&error))?;
    let missing: Vec<&str> = (0..row.len())
        .filter_map(|column| row.get::<_, Option<&str>>(column))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(OpenError::Other(format!(
        "the role of the ledger's URL lacks rights: as the owner of the database, run {};",
        missing.join("; ")
    )))
}
