//! The part of a hook file for what happens to events before they run: `[filter]`, `[debounce]`,
//! `[batch]` and `[transform]`.

use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;

use super::mistake::{Mistake, mistake};
use super::values::Time;
use landfall_model::{
    BatchSpec, Condition, DebounceSpec, FlowSpec, Keep, Mode, TransformSpec, ValueLocation,
};

/// `[filter]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterTable {
    when: Vec<Condition>,
}

/// `[debounce]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DebounceTable {
    key: Option<ValueLocation>,
    wait: Time,
    maximum: Option<Time>,
    keep: Option<KeepWord>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeepWord {
    Last,
    First,
}

/// `[batch]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchTable {
    key: Option<ValueLocation>,
    count: u32,
    time: Time,
    split_after: Option<u32>,
}

/// `[transform]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransformTable {
    body: String,
    content_type: Option<String>,
}

const CONDITIONS_MAX: usize = 100;
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);
/// An event that others keep putting off runs after this many times `wait`, by default.
const MAXIMUM_TIMES: u32 = 10;
const BATCH_COUNT_MAX: u32 = 1000;
const SPLIT_AFTER_DEFAULT: u32 = 3;
const TEMPLATE_BYTES_MAX: usize = 64 << 10;
const CONTENT_TYPE: &str = "application/json";

/// The tables of the flow.
pub(crate) struct FlowTables {
    pub(crate) filter: Option<FilterTable>,
    pub(crate) debounce: Option<DebounceTable>,
    pub(crate) batch: Option<BatchTable>,
    pub(crate) transform: Option<TransformTable>,
}

/// What happens to events before they run.
pub(crate) fn flow(tables: FlowTables, mode: Mode, is_ordered: bool) -> Result<FlowSpec, Mistake> {
    let FlowTables {
        filter: filter_table,
        debounce: debounce_table,
        batch: batch_table,
        transform: transform_table,
    } = tables;
    if mode == Mode::Sync && debounce_table.is_some() {
        return mistake(
            &["debounce"],
            "[debounce] lets events wait, and the caller of mode = \"sync\" waits for the handler: write mode = \"async\", \
             or leave out [debounce]",
        );
    }
    if mode == Mode::Sync && batch_table.is_some() {
        return mistake(
            &["batch"],
            "[batch] lets events wait, and the caller of mode = \"sync\" waits for the handler: write mode = \"async\", or \
             leave out [batch]",
        );
    }
    if is_ordered
        && batch_table
            .as_ref()
            .is_some_and(|table| table.key.is_some())
    {
        return mistake(
            &["batch", "key"],
            "with order_by, the events of a batch have the same order key: leave out key",
        );
    }
    Ok(FlowSpec {
        filter: filter_table.map(filter).transpose()?.unwrap_or_default(),
        debounce: debounce_table.map(debounce).transpose()?,
        batch: batch_table.map(batch).transpose()?,
        transform: transform_table.map(transform).transpose()?,
    })
}

fn filter(table: FilterTable) -> Result<Vec<Condition>, Mistake> {
    match table.when.len() {
        0 => mistake(
            &["filter", "when"],
            "an empty list filters nothing: write a condition, or leave out [filter]",
        ),
        1..=CONDITIONS_MAX => Ok(table.when),
        count => mistake(
            &["filter", "when"],
            format!("{count} conditions: at most {CONDITIONS_MAX}"),
        ),
    }
}

fn debounce(table: DebounceTable) -> Result<DebounceSpec, Mistake> {
    let wait = span(&["debounce", "wait"], table.wait)?;
    let maximum = match table.maximum {
        Some(typed) => span(&["debounce", "maximum"], typed)?,
        None => (wait * MAXIMUM_TIMES).min(WAIT_MAX),
    };
    if maximum < wait {
        return mistake(
            &["debounce", "maximum"],
            "maximum is shorter than wait: it is the longest time that an event waits, however many follow it",
        );
    }
    let keep = match table.keep {
        None | Some(KeepWord::Last) => Keep::Last,
        Some(KeepWord::First) => Keep::First,
    };
    Ok(DebounceSpec {
        key: table.key,
        wait,
        maximum,
        keep,
    })
}

fn batch(table: BatchTable) -> Result<BatchSpec, Mistake> {
    if !(1..=BATCH_COUNT_MAX).contains(&table.count) {
        let count = table.count;
        return mistake(
            &["batch", "count"],
            format!("count {count} is out of range: 1 to {BATCH_COUNT_MAX}"),
        );
    }
    let split_after = table.split_after.unwrap_or(SPLIT_AFTER_DEFAULT);
    if !(1..=100).contains(&split_after) {
        return mistake(
            &["batch", "split_after"],
            format!("split_after {split_after} is out of range: 1 to 100"),
        );
    }
    Ok(BatchSpec {
        key: table.key,
        count: table.count,
        time: span(&["batch", "time"], table.time)?,
        split_after,
    })
}

fn transform(table: TransformTable) -> Result<TransformSpec, Mistake> {
    let bytes = table.body.len();
    if bytes > TEMPLATE_BYTES_MAX {
        return mistake(
            &["transform", "body"],
            format!("the template has {bytes} bytes: at most {TEMPLATE_BYTES_MAX}"),
        );
    }
    let typed = table.content_type.as_deref().unwrap_or(CONTENT_TYPE);
    match HeaderValue::from_str(typed) {
        Ok(content_type) if typed.contains('/') => Ok(TransformSpec {
            body: table.body,
            content_type,
        }),
        _ => mistake(
            &["transform", "content_type"],
            format!(
                "`{}` is not a content type such as \"{CONTENT_TYPE}\"",
                typed.escape_debug()
            ),
        ),
    }
}

/// A time that events may wait.
fn span(key: &'static [&'static str], typed: Time) -> Result<Duration, Mistake> {
    if (WAIT_MIN..=WAIT_MAX).contains(&typed.0) {
        return Ok(typed.0);
    }
    mistake(key, format!("{typed} is out of range: 10ms to 7d"))
}
