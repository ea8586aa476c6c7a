//! How the tables hold the state of a delivery: a number, the same in SQLite and Postgres. This
//! file has the only conversion.
//!
//! SQL text that both databases parse needs the number itself, because a partial index serves only
//! a query whose text names the same number: such text takes the constants below. A value that is
//! bound or read is a `StateColumn`.

use std::error::Error;

use bytes::BytesMut;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use tokio_postgres::types::{self as postgres, IsNull, Type};

use landfall_model::{DeliveryState, EventId};

pub(crate) const WAITING: i16 = DeliveryState::Waiting.number();
pub(crate) const PENDING: i16 = DeliveryState::Pending.number();
pub(crate) const RUNNING: i16 = DeliveryState::Running.number();
/// `state < {DONE}` selects open deliveries, `state >= {DONE}` those that have ended.
pub(crate) const DONE: i16 = DeliveryState::Done.number();
pub(crate) const DEAD: i16 = DeliveryState::Dead.number();
pub(crate) const RESOLVED: i16 = DeliveryState::Resolved.number();
pub(crate) const DISCARDED: i16 = DeliveryState::Discarded.number();
pub(crate) const FILTERED: i16 = DeliveryState::Filtered.number();
pub(crate) const SUPERSEDED: i16 = DeliveryState::Superseded.number();
/// The largest number of a state.
pub(crate) const LAST: i16 = SUPERSEDED;

/// The state of a delivery as a value of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateColumn(pub(crate) DeliveryState);

/// A column holds a value that is no state, so that nothing may be concluded from it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state of delivery {delivery} is damaged: {found}; look at it with `landfall events show {event}`, and run its event again with \
     `landfall events replay {event}`"
)]
pub(crate) struct DamagedState {
    delivery: i64,
    event: EventId,
    /// The value.
    found: String,
}

// === impl StateColumn ===

impl StateColumn {
    /// The state of a delivery, for a step that decides by it.
    pub(crate) fn read(
        row: &rusqlite::Row<'_>,
        at: usize,
        delivery: i64,
        event: EventId,
    ) -> rusqlite::Result<DeliveryState> {
        let found = row.get_ref(at)?;
        StateColumn::column_result(found)
            .map(|StateColumn(state)| state)
            .map_err(|_| {
                let damaged = DamagedState {
                    delivery,
                    event,
                    found: describe(found),
                };
                rusqlite::Error::FromSqlConversionFailure(at, found.data_type(), damaged.into())
            })
    }
}

impl rusqlite::ToSql for StateColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.number().into())
    }
}

impl FromSql for StateColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<StateColumn> {
        let number = value.as_i64()?;
        DeliveryState::from_number(number)
            .map(StateColumn)
            .ok_or(FromSqlError::OutOfRange(number))
    }
}

impl postgres::ToSql for StateColumn {
    postgres::accepts!(INT2, INT4);
    postgres::to_sql_checked!();

    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT2 => postgres::ToSql::to_sql(&self.0.number(), kind, out),
            _ => postgres::ToSql::to_sql(&i32::from(self.0.number()), kind, out),
        }
    }
}

impl<'a> postgres::FromSql<'a> for StateColumn {
    postgres::accepts!(INT2, INT4);

    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<StateColumn, Box<dyn Error + Sync + Send>> {
        let number = match *kind {
            Type::INT2 => i64::from(<i16 as postgres::FromSql>::from_sql(kind, raw)?),
            _ => i64::from(<i32 as postgres::FromSql>::from_sql(kind, raw)?),
        };
        DeliveryState::from_number(number)
            .map(StateColumn)
            .ok_or_else(|| format!("{number} is not a state of a delivery").into())
    }
}

fn describe(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => format!("the text `{}`", text.escape_ascii()),
        other => format!("a value of type {}", other.data_type()),
    }
}
