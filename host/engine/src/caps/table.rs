//! `table`: rows that are staged during an attempt and stored only if it succeeds.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::v0_1::landfall::hook::table::{Host, TableError, add_to_linker};
use landfall_model::hook::is_table_name;
use landfall_model::{MemoryBudget, Row};

const ROW_BYTES_MAX: usize = 256 << 10;
const ROWS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// The context of `table`.
pub(crate) struct Table {
    granted: Arc<[String]>,
    rows: Vec<Row>,
    bytes: usize,
    memory: MemoryBudget,
}

/// Links the host functions. `context` finds the capability in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Table,
) -> wasmtime::Result<()>
where
    T: 'static,
{
    add_to_linker::<T, HasSelf<Table>>(linker, context)
}

// === impl Table ===

impl Table {
    pub(crate) fn new(granted: Arc<[String]>, memory: MemoryBudget) -> Table {
        Table {
            granted,
            rows: Vec::new(),
            bytes: 0,
            memory,
        }
    }

    /// The staged rows, at the end of the attempt.
    pub(crate) fn take(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows)
    }
}

impl Host for Table {
    fn append(&mut self, table: String, row: String) -> Result<(), TableError> {
        if !is_table_name(&table) {
            return Err(TableError::Invalid(format!(
                "`{}` cannot name a table",
                table.escape_debug()
            )));
        }
        if !self.granted.contains(&table) {
            return Err(TableError::Denied(format!(
                "table `{table}` is not in `[allow] table` of this hook"
            )));
        }

        self.bytes += row.len();
        if row.len() > ROW_BYTES_MAX || self.rows.len() >= ROWS_MAX || self.bytes > BYTES_MAX {
            return Err(TableError::Limit(
                "a row has at most 256 KiB, an attempt 10,000 rows and 16 MiB".into(),
            ));
        }

        let value: Value = serde_json::from_str(&row)
            .map_err(|error| TableError::Invalid(format!("not JSON: {error}")))?;
        if !value.is_object() {
            return Err(TableError::Invalid("a row is a JSON object".into()));
        }
        let text = value.to_string();
        self.memory
            .take(table.len() + text.len())
            .map_err(|error| TableError::Limit(error.to_string()))?;
        self.rows.push(Row { table, text });
        Ok(())
    }
}
