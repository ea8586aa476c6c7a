//! Every error of the dashboard is a page with a sentence of the dashboard, those of the framework
//! included: an address that cannot be read, an unknown page, a method that a page does not have.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::page::{self, Page, Problem};
use crate::state::{Operator, Shared};

/// Turns errors into pages. Pages that tell of an error pass.
pub(crate) async fn show(
    State(dashboard): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || is_page(&response) {
        return response;
    }

    let text = match response.extensions().get::<Problem>() {
        Some(Problem(text)) => text.clone(),
        None => sentence(status).to_owned(),
    };
    let page = match response.extensions().get::<Operator>() {
        Some(by) => Page::new(&dashboard, by, page::REFUSED, ""),
        None => Page::before_login(page::REFUSED),
    };
    let mut shown = page::message(page, status, &text);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        shown.headers_mut().insert(header::ALLOW, allow.clone());
    }
    shown
}

/// What is wrong, if no handler has said it.
pub(crate) fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "this address cannot be read: go to the overview",
        StatusCode::NOT_FOUND => "no page has this address",
        StatusCode::METHOD_NOT_ALLOWED => "this address takes no such request",
        status if status.is_client_error() => "the request cannot be answered",
        _ => "the page failed: the log of the node says why",
    }
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}
