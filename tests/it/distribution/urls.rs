//! `landfall add https://…`: the digest is required, and downloads are limited.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use landfall_tests::component;
use landfall_tests::ports::listener;

use super::{Desk, digest};

/// Serves files by their path. A path that begins with `/moved` redirects to the rest.
#[derive(Clone)]
struct Files {
    files: Arc<BTreeMap<&'static str, Vec<u8>>>,
    count: Arc<AtomicUsize>,
}

async fn serve(files: &[(&'static str, &[u8])]) -> (String, Arc<AtomicUsize>) {
    let listener = listener();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let state = Files {
        files: Arc::new(
            files
                .iter()
                .map(|(path, bytes)| (*path, bytes.to_vec()))
                .collect(),
        ),
        count: count.clone(),
    };
    let router = Router::new().fallback(answer).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, count)
}

async fn answer(State(files): State<Files>, uri: Uri) -> Response {
    files.count.fetch_add(1, Ordering::SeqCst);
    if let Some(rest) = uri.path().strip_prefix("/moved") {
        return (StatusCode::FOUND, [(header::LOCATION, rest.to_owned())]).into_response();
    }
    match files.files.get(uri.path()) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn fragment(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", "#sha256=")
}

#[tokio::test]
async fn urls_need_a_digest() {
    let desk = Desk::new();
    let one = component("answers_one");
    let (server, count) = serve(&[("/one.wasm", &one)]).await;
    let url = format!("{server}/one.wasm?token=hunter2");

    let said = desk.run(&["add", &url]).await.refused("has no digest");
    assert!(
        said.contains(&format!("curl -fsSL {server}/one.wasm | sha256sum")),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(count.load(Ordering::SeqCst), 0, "nothing is downloaded");

    desk.run(&["add", &format!("{url}{}", fragment(b"other"))])
        .await
        .refused(&format!(
            "has the digest {}, and {} was asked for",
            digest(&one),
            digest(b"other")
        ));
    // Both digests must fit.
    let other = format!("{url}{}", fragment(b"other"));
    desk.run(&["add", &other, "--digest", &digest(&one)])
        .await
        .refused("was asked for");
    assert!(desk.plugins().is_empty());

    desk.run(&["add", &format!("{url}{}", fragment(&one))])
        .await
        .ok();
    desk.run(&["add", &url, "--as", "two", "--digest", &digest(&one)])
        .await
        .ok();
    assert_eq!(
        desk.plugins(),
        ["one.toml", "one.wasm", "two.toml", "two.wasm"]
    );
    let hook_file = desk.read("plugins/one.toml");
    let first = format!("# Added from {server}/one.wasm\n");
    assert!(
        hook_file.starts_with(&first),
        "the query is left out: {hook_file}"
    );
    assert_eq!(std::fs::read(desk.path("plugins/two.wasm")).unwrap(), one);
}

#[tokio::test]
async fn downloads_follow_redirects() {
    let desk = Desk::new();
    let one = component("answers_one");
    let (server, _) = serve(&[("/one.wasm", &one)]).await;
    let add = |path: &str| format!("{server}{path}{}", fragment(&one));
    desk.run(&["add", &add("/moved/moved/one.wasm")]).await.ok();
    desk.run(&[
        "add",
        &add("/moved/moved/moved/moved/one.wasm"),
        "--as",
        "far",
    ])
    .await
    .refused("answered 302");
    desk.run(&["add", &add("/gone.wasm")])
        .await
        .refused("does not exist");
    assert_eq!(desk.plugins(), ["one.toml", "one.wasm"]);
}

#[tokio::test]
async fn large_downloads_are_cut_off() {
    let desk = Desk::new();
    let large = vec![0; (64 << 20) + 1];
    let (server, _) = serve(&[("/large.wasm", &large)]).await;
    let url = format!("{server}/large.wasm{}", fragment(&large));
    desk.run(&["add", &url])
        .await
        .refused("is larger than 64 MiB");
    assert!(desk.plugins().is_empty());
}

#[tokio::test]
async fn unreachable_servers_are_named() {
    let desk = Desk::new();
    let url = format!("http://127.0.0.1:1/one.wasm{}", fragment(b""));
    desk.run(&["add", &url])
        .await
        .refused("http://127.0.0.1:1/one.wasm cannot be reached: ");
}
