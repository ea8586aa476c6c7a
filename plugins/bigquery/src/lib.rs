//! Streams each event into a BigQuery table by `tabledata.insertAll`. The id of the event is the
//! `insertId`, so that a row that is sent again within a minute or so is one. Source:
//! cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll.

use landfall_calls::{Condition, document, google, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

const ENDPOINT: &str = "https://bigquery.googleapis.com";
/// Reasons of a row that is not at fault itself.
const PASSING: [&str; 4] = ["stopped", "timeout", "backendError", "internalError"];

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    project: String,
    dataset: String,
    table: String,
    /// Column to JSON pointer.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// A template that makes the whole row, instead of `fields`.
    row: Option<Template>,
    #[serde(default)]
    ignore_unknown_values: bool,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn bigquery(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "stored") {
        return Ok(());
    }
    let body = json!({
        "kind": "bigquery#tableDataInsertAllRequest",
        "ignoreUnknownValues": settings.ignore_unknown_values,
        "rows": [{ "insertId": event.id, "json": settings.row(&event)? }],
    });
    let response = google::checked(
        send(Request::post(settings.url()).json(&body))?,
        &["invalid"],
    )?;
    if let Some(failure) = row_error(&response.json().unwrap_or_default()) {
        return Err(failure);
    }
    log::info(format!("stored in {}", settings.table));
    Ok(())
}

impl Settings {
    fn url(&self) -> String {
        let Self {
            project,
            dataset,
            table,
            endpoint,
            ..
        } = self;
        let endpoint = endpoint
            .as_deref()
            .unwrap_or(ENDPOINT)
            .trim_end_matches('/');
        format!(
            "{endpoint}/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll"
        )
    }

    fn row(&self, event: &Event) -> Result<Value, Failure> {
        if let Some(template) = &self.row {
            return template.render_json(event);
        }
        let body = document(event)?;
        if self.fields.is_empty() {
            return Ok(body);
        }
        // A field that this body lacks is left out: BigQuery takes that for NULL.
        let value = |(column, pointer): (&String, &String)| {
            Some((column.clone(), body.pointer(pointer)?.clone()))
        };
        Ok(self
            .fields
            .iter()
            .filter_map(value)
            .collect::<Map<_, _>>()
            .into())
    }
}

/// An answer with status 200 can still say that the row was refused, and why.
fn row_error(answer: &Value) -> Option<Failure> {
    let errors: Vec<&Value> = answer["insertErrors"][0]["errors"]
        .as_array()?
        .iter()
        .collect();
    let words = |error: &&Value| {
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        format!(
            "{} {}: {}",
            text("reason"),
            text("location"),
            text("message")
        )
    };
    let reason = errors.iter().map(words).collect::<Vec<_>>().join("; ");
    let is_passing = |error: &&Value| {
        error["reason"]
            .as_str()
            .is_some_and(|reason| PASSING.contains(&reason))
    };
    match errors.iter().all(is_passing) {
        true => Some(Failure::retry(reason)),
        false => Some(Failure::reject(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::testing::{self, Host};

    const AT: &str = "https://bigquery.googleapis.com/";

    fn host() -> Host {
        testing::host()
            .setting("project", "p")
            .setting("dataset", "d")
            .setting("table", "t")
    }

    #[test]
    fn rows_have_id_and_chosen_fields() {
        let host = host()
            .setting("fields", json!({ "who": "/user/id", "gone": "/x" }))
            .answer(AT, 200, "{}");
        bigquery(testing::event(json!({ "user": { "id": 5 } }))).unwrap();
        assert_eq!(
            host.calls()[0].url,
            format!("{AT}bigquery/v2/projects/p/datasets/d/tables/t/insertAll")
        );
        let row =
            json!({ "insertId": "019c1234-5678-7abc-8def-0123456789ab", "json": { "who": 5 } });
        assert_eq!(sent(&host)["rows"], json!([row]));
    }

    #[test]
    fn templates_make_the_row() {
        let event = || testing::event(json!({ "a": 1 }));
        let host = host()
            .setting("row", "{\"id\": {{ event.id | tojson }}}")
            .answer(AT, 200, "{}");
        bigquery(event()).unwrap();
        assert_eq!(
            sent(&host)["rows"][0]["json"],
            json!({ "id": "019c1234-5678-7abc-8def-0123456789ab" })
        );
        let host = self::host().answer(AT, 200, "{}");
        bigquery(event()).unwrap();
        assert_eq!(sent(&host)["rows"][0]["json"], json!({ "a": 1 }));
    }

    #[test]
    fn refused_rows_name_the_reason() {
        let failure = |reason: &str| {
            let errors =
                json!([{ "reason": reason, "location": "who", "message": "no such field" }]);
            let answer = json!({ "insertErrors": [{ "index": 0, "errors": errors }] });
            let _host = host().answer(AT, 200, answer.to_string());
            bigquery(testing::event(json!({}))).unwrap_err()
        };
        assert_eq!(
            failure("invalid"),
            Failure::reject("invalid who: no such field")
        );
        assert!(matches!(failure("backendError"), Failure::Retry { .. }));
    }

    #[test]
    fn bodies_without_json_are_rejected() {
        let _host = host();
        assert!(bigquery(testing::post_raw("x").build()).is_err());
    }
}
