//! `table`: rows that are staged during an attempt and stored only if it succeeds.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::{HasSelf, Linker};

use self::bindings::landfall::table::table::{Host, add_to_linker};
use super::capability::{AttemptContext, Capability};
use crate::bindings::CapabilityError;
use landfall_model::{
    Effects, GrantForm, GrantKey, LedgerWrites, MemoryBudget, Row, is_table_name,
};

#[allow(missing_docs, clippy::pedantic)]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/event.wit", "../../wit/table.wit"],
        world: "landfall:table/imports",
        with: { "landfall:event/types": crate::bindings::types },
    });
}

const ROW_BYTES_MAX: usize = 256 << 10;
const ROWS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// The context of `table`.
pub(crate) struct Table {
    granted: Option<Arc<[String]>>,
    rows: Vec<Row>,
    bytes: usize,
    memory: MemoryBudget,
}

// === impl Table ===

impl Capability for Table {
    const KEY: GrantKey = GrantKey {
        name: "table",
        form: GrantForm::Names("NAME"),
        writes: LedgerWrites::Always,
    };

    fn new(attempt: &AttemptContext<'_>) -> Table {
        Table {
            granted: attempt.grants.shared_names("table"),
            rows: Vec::new(),
            bytes: 0,
            memory: attempt.memory.clone(),
        }
    }

    fn link<T: Send + 'static>(
        linker: &mut Linker<T>,
        context: fn(&mut T) -> &mut Table,
    ) -> wasmtime::Result<()> {
        add_to_linker::<T, HasSelf<Table>>(linker, context)
    }

    fn take_effects(&mut self, effects: &mut Effects) {
        effects.rows = std::mem::take(&mut self.rows);
    }
}

impl Host for Table {
    fn append(&mut self, table: String, row: String) -> Result<(), CapabilityError> {
        if !is_table_name(&table) {
            return Err(CapabilityError::Invalid(format!(
                "`{}` cannot name a table",
                table.escape_debug()
            )));
        }
        let granted = self.granted.as_deref().unwrap_or_default();
        if !granted.contains(&table) {
            return Err(CapabilityError::Denied(format!(
                "table `{table}` is not in `[allow] table` of this hook"
            )));
        }

        let bytes = row.len();
        if bytes > ROW_BYTES_MAX {
            return Err(CapabilityError::Invalid(format!(
                "a row of {bytes} bytes: at most {ROW_BYTES_MAX}"
            )));
        }
        if self.rows.len() >= ROWS_MAX || self.bytes + bytes > BYTES_MAX {
            return Err(CapabilityError::Limit(
                "the rows of one attempt: at most 10,000 and 16 MiB".into(),
            ));
        }

        let value: Value = serde_json::from_str(&row)
            .map_err(|error| CapabilityError::Invalid(format!("not JSON: {error}")))?;
        if !value.is_object() {
            return Err(CapabilityError::Invalid("a row is a JSON object".into()));
        }
        let text = value.to_string();
        self.memory
            .take(table.len() + text.len())
            .map_err(|error| CapabilityError::Limit(error.to_string()))?;
        self.bytes += bytes;
        self.rows.push(Row { table, text });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::MemoryBudget;

    fn table() -> Table {
        Table {
            granted: Some(["t".to_owned()].into()),
            rows: Vec::new(),
            bytes: 0,
            memory: MemoryBudget::new(64 << 20),
        }
    }

    #[test]
    fn large_rows_are_invalid_many_exceed() {
        let mut table = table();
        let row = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        for _ in 0..100 {
            let refused = table.append("t".into(), row(ROW_BYTES_MAX));
            assert!(matches!(refused, Err(CapabilityError::Invalid(_))));
        }

        // What was refused is not counted.
        let large = row(ROW_BYTES_MAX - 100);
        for _ in 0..BYTES_MAX / ROW_BYTES_MAX {
            table.append("t".into(), large.clone()).unwrap();
        }
        let refused = table.append("t".into(), large);
        assert!(matches!(refused, Err(CapabilityError::Limit(_))));
    }
}
