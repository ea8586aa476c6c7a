//! Keeps each event as a row: the fields that the operator chose, or the whole body.
//!
//! The host stores the row together with the event's success, so an event that is tried again
//! leaves one row.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use landfall_calls::{Condition, document, mistake, skipped};
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings, table};
use serde::Deserialize;
use std::collections::BTreeMap;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Where the rows go.
    #[schemars(extend("x-landfall" = "table"))]
    table: String,
    /// Column to JSON pointer.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "format": "json-pointer" }))]
    fields: BTreeMap<String, String>,
    /// Column to template: its text.
    #[serde(default)]
    texts: BTreeMap<String, Template>,
    /// Fields and attributes of the event, as columns of the same name with `_` for `-`.
    #[serde(default)]
    with: Vec<String>,
}

/// The one function of this component.
#[handler(manifest = "manifest.toml", settings = Settings)]
pub fn store(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    settings.check()?;
    if skipped(&settings.when, &event, "stored") {
        return Ok(());
    }
    table::append(&settings.table, &settings.row(&event)?)?;
    log::info(format!("stored in {}", settings.table));
    Ok(())
}

impl Settings {
    /// An invalid pointer would store only nulls, without an error.
    fn check(&self) -> Result<(), Failure> {
        let columns = self
            .fields
            .keys()
            .chain(self.texts.keys())
            .chain(&self.with);
        if columns.into_iter().any(|column| column == "id") {
            return Err(mistake(
                "`id` is the event's own column: name yours otherwise",
            ));
        }
        match self
            .fields
            .iter()
            .find(|(_, pointer)| !pointer.is_empty() && !pointer.starts_with('/'))
        {
            Some((column, pointer)) => Err(mistake(format_args!(
                "fields.{column} is \"{pointer}\"; write \"/{pointer}\""
            ))),
            None => Ok(()),
        }
    }

    fn row(&self, event: &Event) -> Result<Map<String, Value>, Failure> {
        let mut row = Map::from_iter([("id".to_owned(), Value::from(event.id.as_str()))]);
        row.extend(
            self.with
                .iter()
                .map(|name| (name.replace('-', "_"), known(event, name).into())),
        );
        for (column, template) in &self.texts {
            row.insert(column.clone(), template.render(event)?.into());
        }
        if self.fields.is_empty() && self.texts.is_empty() {
            row.insert("body".to_owned(), whole(event));
        } else if !self.fields.is_empty() {
            row.extend(self.chosen(&document(event)?));
        }
        Ok(row)
    }

    /// A field that this body lacks is null, so that all rows have the same columns.
    fn chosen(&self, body: &Value) -> impl Iterator<Item = (String, Value)> {
        let value = |pointer| body.pointer(pointer).cloned().unwrap_or_default();
        self.fields
            .iter()
            .map(move |(column, pointer)| (column.clone(), value(pointer)))
    }
}

fn known<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    match name {
        "hook" => Some(&event.hook),
        "received-at" => Some(&event.received_at),
        "provider" => event.provider.as_deref(),
        "event-type" => event.event_type.as_deref(),
        "delivery-id" => event.delivery_id.as_deref(),
        attribute => event.attribute(attribute),
    }
}

/// JSON where it is JSON, else text; other bytes in base64.
fn whole(event: &Event) -> Value {
    match (event.json(), event.text()) {
        (Ok(json), _) => json,
        (Err(_), Some(text)) => text.into(),
        (Err(_), None) => json!({ "base64": STANDARD.encode(event.bytes()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::testing::{self, Host};

    const ID: &str = "019c1234-5678-7abc-8def-0123456789ab";

    fn host() -> Host {
        testing::host().setting("table", "events")
    }

    #[test]
    fn the_chosen_fields_become_columns() {
        let host = host()
            .setting(
                "fields",
                json!({ "repo": "/repository/full_name", "who": "/sender/login" }),
            )
            .setting("with", ["event-type", "delivery-id", "received-at"]);
        let event =
            testing::post(json!({ "repository": { "full_name": "a/b" } })).event_type("push");
        store(event.build()).unwrap();
        let row = json!({
            "id": ID, "event_type": "push", "delivery_id": null, "received_at": "2026-01-31T08:15:30.123Z",
            "repo": "a/b", "who": null,
        });
        assert_eq!(host.rows(), [("events".into(), row)]);
    }

    #[test]
    fn without_fields_the_body_is_kept() {
        let host = host();
        store(testing::event(json!({ "a": 1 }))).unwrap();
        store(testing::post_raw("a=1").build()).unwrap();
        store(testing::post_raw(vec![0xff]).build()).unwrap();
        let rows: Vec<Value> = host
            .rows()
            .into_iter()
            .map(|(_, row)| row["body"].clone())
            .collect();
        assert_eq!(
            rows,
            [json!({ "a": 1 }), json!("a=1"), json!({ "base64": "/w==" })]
        );
    }

    #[test]
    fn templates_and_conditions_shape_rows() {
        let host = host()
            .setting(
                "texts",
                json!({ "title": "{{ event.json.repo }} by {{ event.json.who }}" }),
            )
            .setting("when", [json!({ "json": "/who", "exists": true })]);
        store(testing::event(json!({ "repo": "a/b", "who": "ada" }))).unwrap();
        store(testing::event(json!({ "repo": "a/b" }))).unwrap();
        assert_eq!(
            host.logs(),
            [
                "info: stored in events",
                "info: not stored: json /who is missing"
            ]
        );
        assert_eq!(
            host.rows(),
            [("events".into(), json!({ "id": ID, "title": "a/b by ada" }))]
        );
    }

    #[test]
    fn invalid_rows_are_rejected() {
        let host = host();
        let host = host.setting("fields", json!({ "a": "/a" }));
        assert!(matches!(
            store(testing::post_raw("a=1").build()),
            Err(Failure::Reject { .. })
        ));
        assert!(host.rows().is_empty());
    }

    #[test]
    fn pointers_begin_with_a_slash() {
        let _host = host().setting("fields", json!({ "who": "sender/login" }));
        let sentence = "[settings] of the hook's file: fields.who is \"sender/login\"; write \"/sender/login\"";
        assert_eq!(
            store(testing::event(json!({}))),
            Err(Failure::retry(sentence))
        );
    }
}
