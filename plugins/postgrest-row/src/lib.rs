//! Inserts each event as a row through PostgREST, which Supabase and the Neon Data API speak too.
//! The event's id is a column, by which a row that is sent again is recognised.
//!
//! Sources: <https://docs.postgrest.org/en/stable/references/api/tables_views.html#upsert>,
//! <https://docs.postgrest.org/en/stable/references/api/schemas.html>,
//! <https://docs.postgrest.org/en/stable/references/errors.html>,
//! <https://supabase.com/docs/guides/getting-started/migrating-to-new-api-keys> (the header of
//! Supabase's keys).

use landfall_calls::answer::Errors;
use landfall_calls::{Condition, document, mistake, percent_encoded, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

const ERRORS: Errors = Errors {
    codes: &["/code"],
    messages: &["/message"],
    // The operator can change the table: 42P10 is a column of `id` without a unique constraint,
    // 42703 and PGRST204 are a column that is missing, PGRST106 is a schema that the server does
    // not expose. The row that a foreign key needs (23503) may be inserted later.
    retries: &["42P10", "42703", "PGRST204", "PGRST106", "23503"],
    rejects: &[],
};

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Of the table.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: String,
    /// The schema of the table, if it is not the default one of the server.
    schema: Option<String>,
    /// The column of the event's id. It needs a unique constraint. Default: `event_id`.
    id: Option<String>,
    /// What happens to a row whose id is in the table. Default: `ignore`.
    #[serde(default)]
    conflict: Conflict,
    /// Column to JSON pointer.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "format": "json-pointer" }))]
    fields: BTreeMap<String, String>,
    /// Column to template: its text.
    #[serde(default)]
    texts: BTreeMap<String, Template>,
}

/// What happens to a row whose id is in the table.
#[settings]
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Conflict {
    /// The row that is there stays.
    #[default]
    Ignore,
    /// The new values replace those of the row.
    Update,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn postgrest_row(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "inserted") {
        return Ok(());
    }
    let mut request = Request::post(settings.address())
        .header("prefer", settings.preference())
        .json(&settings.row(&event)?);
    if let Some(schema) = &settings.schema {
        request = request.header("content-profile", schema);
    }
    let response = ERRORS.checked(send(request)?)?;
    log::info(format!("inserted: {}", response.status));
    Ok(())
}

impl Settings {
    fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("event_id")
    }

    fn address(&self) -> String {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let id = percent_encoded(self.id(), "");
        format!("{}{separator}on_conflict={id}", self.url)
    }

    fn preference(&self) -> &'static str {
        match self.conflict {
            Conflict::Ignore => "return=minimal,resolution=ignore-duplicates",
            Conflict::Update => "return=minimal,resolution=merge-duplicates",
        }
    }

    /// A field that this body lacks is null. Without `fields` and `texts`, the column `body` has
    /// the whole body.
    fn row(&self, event: &Event) -> Result<Map<String, Value>, Failure> {
        let mut row = Map::new();
        if self.fields.is_empty() && self.texts.is_empty() {
            row.insert("body".to_owned(), whole(event)?);
        }
        if !self.fields.is_empty() {
            let body = document(event)?;
            row.extend(self.fields.iter().map(|(column, pointer)| {
                let value = body.pointer(pointer).cloned().unwrap_or_default();
                (column.clone(), value)
            }));
        }
        for (column, template) in &self.texts {
            row.insert(column.clone(), template.render(event)?.into());
        }
        if row.insert(self.id().to_owned(), json!(event.id)).is_some() {
            return Err(mistake(format_args!(
                "the column `{}` is the event's id: name yours otherwise, or set `id`",
                self.id()
            )));
        }
        Ok(row)
    }
}

/// JSON, or the text of a body that is not JSON.
fn whole(event: &Event) -> Result<Value, Failure> {
    match (event.json(), event.text()) {
        (Ok(json), _) => Ok(json),
        (Err(_), Some(text)) => Ok(text.into()),
        (Err(_), None) => Err(Failure::reject("the body is not text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::testing::{self, Host};

    const ID: &str = "019c1234-5678-7abc-8def-0123456789ab";
    const URL: &str = "https://p.supabase.co/rest/v1/events";

    fn host() -> Host {
        testing::host().setting("url", URL).answer(URL, 201, "")
    }

    #[test]
    fn chosen_fields_become_columns() {
        let host = host()
            .setting(
                "fields",
                json!({ "repo": "/repository/name", "gone": "/x" }),
            )
            .setting("texts", json!({ "title": "{{ event.json.n }} stars" }))
            .setting("schema", "hooks")
            .setting("id", "delivery")
            .setting("conflict", "update");
        let body = json!({ "repository": { "name": "a" }, "n": 3 });
        postgrest_row(testing::event(body)).unwrap();
        let call = host.calls().remove(0);
        assert_eq!(call.url, format!("{URL}?on_conflict=delivery"));
        let header = |name: &str| {
            let found = call.headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(
            header("prefer"),
            Some("return=minimal,resolution=merge-duplicates")
        );
        assert_eq!(header("content-profile"), Some("hooks"));
        assert_eq!(
            sent(&host),
            json!({ "delivery": ID, "repo": "a", "gone": null, "title": "3 stars" })
        );
        assert_eq!(host.logs(), ["info: inserted: 201"]);
    }

    #[test]
    fn without_fields_the_body_is_kept() {
        for (body, column) in [("{\"a\": 1}", json!({ "a": 1 })), ("a=1", json!("a=1"))] {
            let host = host();
            postgrest_row(testing::post_raw(body).build()).unwrap();
            assert_eq!(sent(&host), json!({ "event_id": ID, "body": column }));
            assert_eq!(
                host.calls()[0].headers[0].1,
                "return=minimal,resolution=ignore-duplicates"
            );
        }
        let _host = host();
        let binary = testing::post_raw(vec![0xff]).build();
        assert!(matches!(postgrest_row(binary), Err(Failure::Reject { .. })));
    }

    #[test]
    fn refused_rows_name_the_reason() {
        let outcome = |status, code: &str| {
            let answer = json!({ "code": code, "message": "why", "details": null, "hint": null });
            let _host = host().answer(URL, status, answer.to_string());
            postgrest_row(testing::event(json!({}))).unwrap_err()
        };
        for (status, code) in [
            (400, "22P02"),
            (400, "23502"),
            (400, "23514"),
            (409, "23505"),
        ] {
            let expected = Failure::reject(format!("answered {status} {code}: why"));
            assert_eq!(outcome(status, code), expected);
        }
        for (status, code) in [
            (400, "42P10"),
            (400, "PGRST204"),
            (409, "23503"),
            (401, "PGRST301"),
            (403, "42501"),
            (404, "PGRST205"),
            (406, "PGRST106"),
            (503, "PGRST001"),
        ] {
            assert!(
                matches!(outcome(status, code), Failure::Retry { .. }),
                "{code}"
            );
        }
    }

    #[test]
    fn the_id_has_its_own_column() {
        let host = host().setting("fields", json!({ "event_id": "/id" }));
        let outcome = postgrest_row(testing::event(json!({})));
        assert!(matches!(outcome, Err(Failure::Retry { .. })));
        assert!(host.calls().is_empty());
    }
}
