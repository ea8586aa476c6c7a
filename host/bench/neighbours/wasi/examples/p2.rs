//! The work over `wasi:http` 0.2, with `wstd`.

use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (head, mut body) = request.into_parts();
    let signature = head.headers.get("x-signature");
    let signature = signature.and_then(|value| value.to_str().ok());
    let (status, text) = match neighbours::answer(signature, body.contents().await?) {
        Ok(text) => (200, text),
        Err(status) => (status, String::new()),
    };

    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("content-length", text.len())
        .body(text.into())?)
}
