//! Which events `replay` and `retry` take: the keys of an order of the admin API, and where the
//! next page begins.

use serde_json::{Map, Value, json};

use crate::answer::{PAGE_DEFAULT, ToolError, picked};
use crate::cursor::{cursor, position};
use crate::tools::search::item;

/// The word of cursors.
const AFTER: &str = "after";
/// The most events of one call.
const EVENTS_MAX: usize = 500;
/// Separates the two numbers of a position.
const BETWEEN: char = '-';

/// The last delivery of the page before, and the first one that did not exist at the first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    after: i64,
    before: i64,
}

/// Some events by id, or one page of a hook's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    pub(super) events: &'a [String],
    pub(super) hook: Option<&'a str>,
    pub(super) since: Option<&'a str>,
    pub(super) until: Option<&'a str>,
    pub(super) limit: Option<usize>,
    pub(super) dry_run: bool,
    pub(super) cursor: Option<&'a str>,
}

// === impl Selection ===

impl Selection<'_> {
    /// The order, to which the command adds its own keys.
    pub(super) fn order(&self) -> Result<Map<String, Value>, ToolError> {
        let mut order = Map::from_iter([("dry_run".to_owned(), self.dry_run.into())]);
        match (self.hook, self.events) {
            (None, []) | (Some(_), [_, ..]) => {
                return Err(ToolError::new(
                    "write either `events`, the ids of events, or `hook`: `search` finds events",
                ));
            }
            (None, events) => {
                let of_hooks = [
                    ("since", self.since),
                    ("until", self.until),
                    ("cursor", self.cursor),
                ];
                if let Some((name, _)) = of_hooks.iter().find(|(_, value)| value.is_some()) {
                    return Err(ToolError::new(format!(
                        "`{name}` is for the deliveries of a `hook`: leave it out, or write `hook` in place of `events`"
                    )));
                }
                order.insert("events".to_owned(), json!(events));
                return Ok(order);
            }
            (Some(hook), []) => order.insert("hook".to_owned(), hook.into()),
        };

        for (key, value) in [("since", self.since), ("until", self.until)] {
            if let Some(value) = value {
                order.insert(key.to_owned(), value.into());
            }
        }
        let limit = self.limit.unwrap_or(PAGE_DEFAULT).clamp(1, EVENTS_MAX);
        order.insert("limit".to_owned(), limit.into());
        if let Some(cursor) = self.cursor {
            let Place { after, before } = position(AFTER, cursor)?;
            order.insert("after".to_owned(), after.into());
            order.insert("before".to_owned(), before.into());
        }
        Ok(order)
    }
}

/// What the node has done, in short. `counts`: the numbers that the command counts.
pub(super) fn result(done: &Value, counts: &[&str]) -> Value {
    let mut result = picked(done, counts);
    // Also if it is none.
    if let Some(first) = counts.first() {
        result.insert(first.to_string(), done[*first].clone());
    }
    result.extend(picked(done, &["dry_run", "unknown"]));
    let shown: Vec<Value> = done["shown"]
        .as_array()
        .into_iter()
        .flatten()
        .map(item)
        .collect();
    if !shown.is_empty() {
        result.insert("first".to_owned(), shown.into());
    }
    let place = done["next"].as_i64().zip(done["before"].as_i64());
    let next = place.map(|(after, before)| cursor(AFTER, Place { after, before }));
    result.insert("next_cursor".to_owned(), json!(next));
    Value::Object(result)
}

// === impl Place ===

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{BETWEEN}{}", self.after, self.before)
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let (after, before) = text.split_once(BETWEEN).ok_or(())?;
        Ok(Place {
            after: after.parse().map_err(drop)?,
            before: before.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Selection<'static> = Selection {
        events: &[],
        hook: None,
        since: None,
        until: None,
        limit: None,
        dry_run: false,
        cursor: None,
    };

    #[test]
    fn orders_select_one_way() {
        let events = ["a".to_owned()];
        assert!(NONE.order().is_err());
        let both = Selection {
            events: &events,
            hook: Some("q"),
            ..NONE
        };
        assert!(both.order().is_err());

        let named = Selection { hook: None, ..both };
        let since = Selection {
            since: Some("1h"),
            ..named
        };
        let why = since.order().unwrap_err().text;
        assert!(why.starts_with("`since` is for the deliveries"), "{why}");
        let order = Value::Object(named.order().unwrap());
        assert_eq!(order, json!({ "dry_run": false, "events": ["a"] }));
    }

    #[test]
    fn pages_go_on_where_they_ended() {
        let done = json!({ "events": 0, "waiting": 2, "dry_run": false, "next": 7, "before": 30, "shown": [] });
        let result = result(&done, &["events", "waiting", "discarded"]);
        assert_eq!(
            result,
            json!({ "events": 0, "waiting": 2, "next_cursor": "after:7-30" })
        );
        let next = Selection {
            hook: Some("q"),
            limit: Some(9_999),
            cursor: result["next_cursor"].as_str(),
            ..NONE
        };
        let order = Value::Object(next.order().unwrap());
        assert_eq!(
            order,
            json!({ "dry_run": false, "hook": "q", "limit": 500, "after": 7, "before": 30 })
        );
    }
}
