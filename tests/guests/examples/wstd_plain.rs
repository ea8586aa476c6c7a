//! A component as the documentation of `wstd` shows it. `?call=URL` posts its body there.

use wstd::http::{Body, Client, Error, Method, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut body = request.into_body();
    let text = String::from_utf8_lossy(body.contents().await?).into_owned();
    if query == "panics" {
        panic!("no luck with {text}");
    }
    if let Some(url) = query.strip_prefix("call=") {
        let call = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header("content-length", text.len())
            .body(Body::from(text))?;
        let response = Client::new().send(call).await?;
        return Ok(Response::new(
            format!("called: {}", response.status()).into(),
        ));
    }
    let length = text.len();
    Ok(Response::builder()
        .header("content-length", length)
        .body(text.into())?)
}
