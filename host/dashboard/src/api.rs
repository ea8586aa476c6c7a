//! Questions to the admin API in the same process. A page and a command of `landfall` get the same
//! answer, with the same filters, limits and masked headers, and the same entry in the audit record.

use landfall_admin::{Caller, InProcess};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fields::link;

/// Before the path of each endpoint.
const BASE: &str = "/api/v1";

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ApiError {
    /// The status of the answer.
    pub(crate) status: u16,
    /// What is wrong and what to do.
    pub(crate) text: String,
}

/// A delivery, as `GET /api/v1/events` lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Delivery {
    pub(crate) delivery: i64,
    pub(crate) event: String,
    pub(crate) hook: String,
    pub(crate) received_at: String,
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) due_in_ms: Option<u64>,
    pub(crate) reason: Option<String>,
    pub(crate) replay_of: Option<i64>,
    pub(crate) replayed: bool,
    pub(crate) resolved_by: Option<i64>,
    pub(crate) discarded: Option<String>,
    pub(crate) waits_for: Option<String>,
    pub(crate) superseded_by: Option<String>,
    pub(crate) batch: Option<String>,
    pub(crate) batch_size: Option<i64>,
    pub(crate) body_bytes: i64,
    pub(crate) duplicates: i64,
    pub(crate) conflicts: i64,
    pub(crate) erased_at: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Deliveries {
    pub(crate) events: Vec<Delivery>,
    /// The cursor of the next page.
    pub(crate) next: Option<i64>,
    /// How many deliveries were examined.
    pub(crate) scanned: usize,
    /// When the oldest of them was received, if older ones were not searched.
    #[serde(default)]
    pub(crate) back_to: Option<String>,
}

/// A page of deliveries. `parameters` are those of the endpoint `events`.
pub(crate) async fn deliveries(
    api: &InProcess,
    parameters: &[(&str, &str)],
) -> Result<Deliveries, ApiError> {
    get(api, &link("/events", parameters)).await
}

/// Sends a GET. `path` is that of an endpoint, without `/api/v1`.
pub(crate) async fn get<T: DeserializeOwned>(api: &InProcess, path: &str) -> Result<T, ApiError> {
    read(api.get(&format!("{BASE}{path}")).await)
}

/// Sends a POST of JSON. The audit record says who has sent it.
pub(crate) async fn post<T: DeserializeOwned>(
    api: &InProcess,
    caller: &Caller,
    path: &str,
    order: &Value,
) -> Result<T, ApiError> {
    let path = format!("{BASE}{path}");
    read(api.post(caller, &path, order.to_string()).await)
}

fn read<T: DeserializeOwned>(answer: anyhow::Result<(u16, String)>) -> Result<T, ApiError> {
    let (status, body) = answer.map_err(|error| ApiError {
        status: 500,
        text: format!("the admin API gave no answer: {error}"),
    })?;
    if status >= 400 {
        return Err(refused(status, &body));
    }

    serde_json::from_str(&body).map_err(|error| ApiError {
        status: 500,
        text: format!("the answer of the admin API cannot be read: {error}"),
    })
}

/// What is wrong, and what to do if the API says it.
fn refused(status: u16, body: &str) -> ApiError {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let error = body["error"].as_str().unwrap_or("the request failed");
    let text = match body["hint"].as_str() {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_owned(),
    };
    ApiError { status, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong() {
        for (body, text) in [
            (
                "{\"error\":\"no event has this id\",\"hint\":null}",
                "no event has this id",
            ),
            (
                "{\"error\":\"too many\",\"hint\":\"close one\"}",
                "too many: close one",
            ),
            ("", "the request failed"),
        ] {
            let refused = read::<Value>(Ok((404, body.into()))).unwrap_err();
            assert_eq!((refused.status, refused.text.as_str()), (404, text));
        }
        let page: Deliveries = read(Ok((
            200,
            "{\"events\":[{\"delivery\":7}],\"next\":6,\"scanned\":1}".into(),
        )))
        .unwrap();
        assert_eq!((page.events[0].delivery, page.next), (7, Some(6)));
    }
}
