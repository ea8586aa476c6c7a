//! The work over `wasi:http` 0.3, with `wasip3`.

use http_body_util::BodyExt;
use wasip3::http::types::{self, ErrorCode};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

struct Service;

wasip3::http::service::export!(Service);

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        let (head, body) = http_from_wasi_request(request)?.into_parts();
        let body = body.collect().await?.to_bytes();
        let signature = head.headers.get("x-signature");
        let signature = signature.and_then(|value| value.to_str().ok());
        let (status, text) = match neighbours::answer(signature, &body) {
            Ok(text) => (200, text),
            Err(status) => (status, String::new()),
        };

        let response = http::Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("content-length", text.len())
            .body(text)
            .map_err(|_| ErrorCode::InternalError(None))?;
        http_into_wasi_response(response)
    }
}
