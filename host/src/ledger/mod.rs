//! What has happened, on stable storage. For now: the rows that handlers append, one JSON-lines file a table.

mod rows;

pub use rows::{Rows, RowsError};
