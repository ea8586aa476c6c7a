//! `landfall rows`: the rows of a table, as JSON lines or CSV.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::listing::query;
use super::output::{say, written};
use super::target::{LedgerFlags, NO_ADMIN};

/// Rows of one page.
const PAGE: usize = 1000;

/// Which rows.
#[derive(Debug, Args)]
pub(super) struct RowsFlags {
    /// The table's name.
    table: String,
    /// The hook that stores them.
    #[arg(long)]
    hook: String,
    /// The output format.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// The same as `--format jsonl`, which is the default.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    admin: LedgerFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object for each row: id, event_id, received_at, row.
    Jsonl,
    /// A column each for the event's id, the time, and every key of the rows.
    Csv,
}

/// Runs `landfall rows …`.
pub(super) async fn rows(flags: &RowsFlags) -> anyhow::Result<ExitCode> {
    match flags.format {
        Format::Jsonl => {
            flags
                .each_page(|rows| rows.iter().for_each(|row| say!("{row}")))
                .await?
        }
        Format::Csv => flags.csv().await?,
    }

    Ok(ExitCode::SUCCESS)
}

// === impl RowsFlags ===

impl RowsFlags {
    async fn each_page(&self, mut each: impl FnMut(&[Value])) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let (hook, table) = (query(&self.hook), query(&self.table));
            let page = self
                .admin
                .ask(
                    &format!("/api/v1/rows/{hook}/{table}?limit={PAGE}&after={after}"),
                    None,
                )
                .await?;
            let rows = page.as_array().context(NO_ADMIN)?;
            each(rows);
            match rows.last().and_then(id) {
                Some(last) if rows.len() == PAGE => after = last,
                _ => return Ok(()),
            }
        }
    }

    /// Reads the rows twice: first for the columns, then for the cells. Rows that are added in
    /// between are not printed.
    async fn csv(&self) -> anyhow::Result<()> {
        let (mut columns, mut last) = (BTreeSet::new(), 0);
        self.each_page(|rows| {
            columns.extend(
                rows.iter()
                    .filter_map(|row| row["row"].as_object())
                    .flat_map(|row| row.keys().cloned()),
            );
            last = rows.last().and_then(id).unwrap_or(last);
        })
        .await?;

        let mut writer = csv::Writer::from_writer(Out);
        writer.write_record(header(&columns))?;
        let mut result = Ok(());
        self.each_page(|rows| {
            for row in rows
                .iter()
                .filter(|row| id(row).is_some_and(|id| id <= last))
            {
                if result.is_ok() {
                    result = writer.write_record(record(row, &columns));
                }
            }
        })
        .await?;
        result?;
        writer.flush().context("standard output cannot be written")
    }
}

/// Ends the process as other output does.
struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        written(io::stdout().lock().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        written(io::stdout().lock().flush());
        Ok(())
    }
}

fn id(row: &Value) -> Option<i64> {
    row["id"].as_i64()
}

const OWN_COLUMNS: [&str; 2] = ["event_id", "received_at"];

/// A key with the name of a column of ours gets the prefix `row.`.
fn header(columns: &BTreeSet<String>) -> Vec<String> {
    let named = columns.iter().map(|key| {
        if OWN_COLUMNS.contains(&key.as_str()) {
            format!("row.{key}")
        } else {
            harmless(key)
        }
    });
    OWN_COLUMNS
        .iter()
        .map(|&name| name.to_owned())
        .chain(named)
        .collect()
}

fn record(row: &Value, columns: &BTreeSet<String>) -> Vec<String> {
    let own = OWN_COLUMNS.iter().map(|&name| &row[name]);
    own.chain(columns.iter().map(|key| &row["row"][key]))
        .map(cell)
        .collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => other.to_string(),
    }
}

/// Spreadsheets run a cell that begins with one of these as a formula. A leading apostrophe makes
/// it text. Numbers stay unchanged.
fn harmless(text: &str) -> String {
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_distinct_and_cells_harmless() {
        let columns = ["a", "event_id", "=b"]
            .map(str::to_owned)
            .into_iter()
            .collect();
        assert_eq!(
            header(&columns),
            ["event_id", "received_at", "'=b", "a", "row.event_id"]
        );
        let row = json!({ "event_id": "e", "received_at": "t", "row": { "a": "-1", "=b": [1], "event_id": "=1+1" } });
        assert_eq!(record(&row, &columns), ["e", "t", "[1]", "-1", "'=1+1"]);
    }
}
