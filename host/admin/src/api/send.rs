//! Sends a signed sample to a hook, as its provider would.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ApiJson, ApiPath, Refusal, answered, refusal};
use super::no_hook::no_hook;
use crate::node::Admin;
use crate::samples::{SampleOrder, SampleRefused, SentSample};

/// The most bytes of a body.
const BODY_MAX: usize = 256 << 10;

/// What to send.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendOrder {
    /// The type of the event, if the provider has types. Default: that of the pack's sample.
    #[serde(default, rename = "type")]
    event_type: Option<String>,
    /// The body before it is signed, as text of at most 256 KiB. Default: that of the pack's
    /// sample.
    #[serde(default)]
    body: Option<String>,
}

/// What came of a sample. The request and the body of the answer are left out, because both may
/// contain the secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SampleSent {
    /// The status of the answer.
    answered: u16,
    /// The length of the signed body.
    bytes: usize,
    /// The id of the event. Null: the request was refused, or the event is not stored yet, as in
    /// mode `sync`.
    event: Option<String>,
}

/// Signs a sample with the first secret of the hook, and sends it to the public listener.
///
/// The hook handles it like a request of its provider.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/send",
    operation_id = "send_sample",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    request_body = SendOrder,
    responses(
        (status = 200, body = SampleSent),
        (status = 400, description = "The order is wrong", body = ApiError),
        (status = 404, description = "No hook has this name", body = ApiError),
        (status = 422, description = "No sample can be signed for this hook", body = ApiError),
        (status = 502, description = "The public listener did not answer", body = ApiError),
    )
)]
pub(crate) async fn send(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiJson(order): ApiJson<SendOrder>,
) -> Response {
    answered(send_sample(&admin, &hook, order).await)
}

async fn send_sample(admin: &Admin, hook: &str, order: SendOrder) -> Result<SampleSent, Refusal> {
    let SendOrder { event_type, body } = order;
    if body.as_ref().is_some_and(|body| body.len() > BODY_MAX) {
        let why = "the body has more than 256 KiB";
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, why));
    }

    let sample = SampleOrder {
        event_type,
        body: body.map(String::into_bytes),
    };
    let sent = admin
        .samples
        .send(hook, sample)
        .await
        .map_err(|why| match why {
            SampleRefused::NoHook => no_hook(admin, hook),
            SampleRefused::NotPossible(why) => refusal(StatusCode::UNPROCESSABLE_ENTITY, why),
            SampleRefused::Unanswered(why) => refusal(StatusCode::BAD_GATEWAY, why),
        })?;
    let SentSample {
        status,
        bytes,
        event,
    } = sent;
    tracing::info!(hook, status, "an operator sent a signed sample");
    Ok(SampleSent {
        answered: status,
        bytes,
        event,
    })
}
