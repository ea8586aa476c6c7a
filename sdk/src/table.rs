//! Rows that are appended to tables of the host. The operator lists the tables under `[allow] table`.

use serde::Serialize;
use std::error::Error;
use std::fmt;

/// Stages one row, which must be a JSON object. It is stored if the attempt succeeds.
pub fn append(table: &str, row: &(impl Serialize + ?Sized)) -> Result<(), TableError> {
    let row = serde_json::to_string(row).map_err(|error| TableError::Invalid(error.to_string()))?;
    host::append(table, &row)
}

/// Why a row was not staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// The table is not in `[allow] table`.
    Denied(String),
    /// The row is not a JSON object, or the table name is not valid.
    Invalid(String),
    /// The row is too large, or the attempt stages too many.
    Limit(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) => write!(f, "row denied: {text}"),
            Self::Invalid(text) => write!(f, "row invalid: {text}"),
            Self::Limit(text) => write!(f, "row above a limit: {text}"),
            Self::Other(text) => write!(f, "row not taken: {text}"),
        }
    }
}

impl Error for TableError {}

/// The call to the host.
#[cfg(target_arch = "wasm32")]
mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package landfall:sdk; world table { import landfall:hook/table@0.1.0; }",
        generate_all,
    });

    use self::landfall::hook::table;
    use super::TableError;

    pub fn append(name: &str, row: &str) -> Result<(), TableError> {
        table::append(name, row).map_err(|error| match error {
            table::TableError::Denied(text) => TableError::Denied(text),
            table::TableError::Invalid(text) => TableError::Invalid(text),
            table::TableError::Limit(text) => TableError::Limit(text),
            table::TableError::Other(text) => TableError::Other(text),
        })
    }
}

/// The fake of native tests.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use serde_json::Value;

    use super::TableError;
    use crate::testing::{Host, fake};

    type Rows = Vec<(String, Value)>;

    impl Host {
        /// The staged rows so far, each with its table.
        pub fn rows(&self) -> Vec<(String, Value)> {
            fake(|rows: &mut Rows| rows.clone())
        }
    }

    pub fn append(table: &str, row: &str) -> Result<(), TableError> {
        let row: Value =
            serde_json::from_str(row).map_err(|error| TableError::Invalid(error.to_string()))?;
        if !row.is_object() {
            return Err(TableError::Invalid("a row is a JSON object".into()));
        }
        fake(|rows: &mut Rows| rows.push((table.to_owned(), row)));
        Ok(())
    }
}
