//! Rows in a table that the host keeps. The operator lists the tables under `[allow] table`.

use crate::imports;
use serde::Serialize;
use std::error::Error;
use std::fmt;

/// Stages one row, which has to be a JSON object. It is stored together with the handler's success.
pub fn append(table: &str, row: &(impl Serialize + ?Sized)) -> Result<(), TableError> {
    let row = serde_json::to_string(row).map_err(|error| TableError::Invalid(error.to_string()))?;
    imports::append(table, &row)
}

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// The table is not in `[allow] table`.
    Denied(String),
    /// Not a JSON object, or not a table name.
    Invalid(String),
    /// The row is too large, or there are too many.
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
