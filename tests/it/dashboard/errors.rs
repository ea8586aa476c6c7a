//! Every error of the dashboard is a page.

use reqwest::header::COOKIE;
use reqwest::{Client, Method};

use super::node;
use super::requests::{client, csrf, get, session, url};
use landfall_tests::Node;

/// The answer, which must be a page of the dashboard.
async fn page(
    client: &Client,
    node: &Node,
    method: Method,
    path: &str,
    cookie: &str,
) -> (u16, String) {
    let request = client.request(method, url(node, path));
    let request = request.header(COOKIE, cookie);
    let answer = request.body("x=1").send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = answer.headers();
    assert_eq!(
        headers["content-type"], "text/html; charset=utf-8",
        "{path}"
    );
    assert!(headers.contains_key("content-security-policy"), "{path}");
    let text = answer.text().await.unwrap();
    assert!(text.contains("role=\"alert\""), "{path}: {text}");
    (status, text)
}

#[tokio::test]
async fn every_error_is_a_page() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    for (method, path, status, sentence) in [
        (Method::GET, "/nope", 404, "no page has this address"),
        (Method::GET, "/events/nope", 400, "nope"),
        (
            Method::GET,
            "/events/%ff",
            400,
            "this address cannot be read",
        ),
        (
            Method::GET,
            "/components/%ff",
            400,
            "this address cannot be read",
        ),
        (Method::GET, "/live/nope", 404, "no page has this address"),
        (Method::GET, "/assets/nope", 404, "no page has this address"),
        (
            Method::PUT,
            "/events",
            405,
            "this address takes no such request",
        ),
        (
            Method::POST,
            "/reload",
            403,
            "the form does not belong to this session",
        ),
        (
            Method::POST,
            "/bulk/x/cancel",
            403,
            "the form does not belong to this session",
        ),
    ] {
        let (found, text) = page(&client, &node, method, path, &cookie).await;
        assert_eq!(found, status, "{path}: {text}");
        assert!(text.contains(sentence), "{path}: {text}");
    }

    // The pages of a session have the navigation.
    let (_, inside) = page(&client, &node, Method::GET, "/events/%ff", &cookie).await;
    assert!(inside.contains("aria-label=\"Pages\""), "{inside}");
    let (status, outside) = page(&client, &node, Method::POST, "/reload", "").await;
    assert_eq!(status, 401);
    assert!(outside.contains("the session has ended") && !outside.contains("aria-label=\"Pages\""));
    let large = format!("csrf=x&body={}", "x".repeat(2 << 20));
    let request = client.post(url(&node, "/send")).header(COOKIE, &cookie);
    let answer = request.body(large).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let text = answer.text().await.unwrap();
    assert!(text.contains("the form is too large"), "{text}");
}

#[tokio::test]
async fn unknown_events_have_no_stream() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let absent = "/live/events/01900000-0000-7000-8000-000000000000";
    // More than there are places.
    for _ in 0..30 {
        let (status, text) = get(&client, &node, absent, &cookie).await;
        assert_eq!(status, 404, "{text}");
        assert!(text.contains("no event has this id"), "{text}");
    }
    let nope = get(&client, &node, "/live/events/nope", &cookie).await;
    assert_eq!(nope.0, 404, "{}", nope.1);
    let live = client.get(url(&node, "/live/overview"));
    let live = live.header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(live.status(), 200);
}

#[tokio::test]
async fn refused_forms_say_why() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let own = csrf(&get(&client, &node, "/", &cookie).await.1);
    for (path, fields, status, sentence) in [
        ("/send", "hook=nope", 404, "no hook has this name"),
        ("/bulk/x/cancel", "", 400, "this address cannot be read"),
        ("/bulk/7/cancel", "", 404, "no job has this number"),
        (
            "/bulk",
            "command=discard&reason=old",
            400,
            "a discard cannot be undone",
        ),
        ("/hooks/nope/pause", "", 404, "no hook has this name"),
    ] {
        let request = client.post(url(&node, path)).header(COOKIE, &cookie);
        let answer = request.body(format!("csrf={own}&{fields}")).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(sentence), "{path}: {text}");
    }
}
