//! An axum router in a component, by `wstd-axum`.

use axum::Router;
use axum::extract::Path;
use axum::response::Html;
use axum::routing::{get, post};

#[wstd_axum::http_server]
fn main() -> Router {
    Router::new()
        .route("/", get(|| async { Html("<p>routes</p>") }))
        .route(
            "/{name}",
            post(|Path(name): Path<String>, body: String| async move { format!("{name}: {body}") }),
        )
        .route(
            "/{name}/items",
            post(|Path(name): Path<String>| async move { format!("items of {name}") }),
        )
}
