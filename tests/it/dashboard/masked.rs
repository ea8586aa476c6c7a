//! Tokens that the scheme of a hook reads from a request: pages and the API show accepted events without them.

use landfall_tests::event_id;

use super::requests::{client, get};
use super::roles::reading;
use super::{SECRET, node};

/// Name, path, `from`, content type and body of a request.
const REQUESTS: [[&str; 5]; 4] = [
    [
        "in-json",
        "/in-json",
        "{ json = \"/auth\" }",
        "application/json",
        "{\"auth\":\"@SECRET@\",\"n\":12345678901234567890}",
    ],
    [
        "in-form",
        "/in-form",
        "{ form = \"token\" }",
        "application/x-www-form-urlencoded",
        "n=12345678901234567890&token=@SECRET@",
    ],
    [
        "in-body",
        "/in-body",
        "{ body = \"whole\" }",
        "text/plain",
        "@SECRET@",
    ],
    [
        "in-param",
        "/in-param/{key}",
        "{ param = \"key\" }",
        "application/json",
        "{\"n\":12345678901234567890}",
    ],
];

#[tokio::test]
async fn accepted_tokens_are_masked() {
    let (node, client) = (node().await, client());
    let cookie = reading(&client, &node).await;
    for [name, path, from, content_type, body] in REQUESTS {
        let proof = "[verify]\nscheme = \"token\"\nsecret = \"env:DASHBOARD_SECRET\"\n";
        let file = format!(
            "path = \"{path}\"\nmode = \"async\"\ncomponent = \"in.wasm\"\n{proof}from = {from}\n"
        );
        node.put(&format!("{name}.toml"), file);
        node.until(name, "serving").await;

        let headers = [("content-type", content_type)];
        let body = body.replace("@SECRET@", SECRET);
        let answer = node
            .post(&path.replace("{key}", SECRET), &headers, body)
            .await;
        assert_eq!(answer.0, 202, "{name}: {}", answer.1);
        let id = event_id(&answer);
        node.until_states(name, &["done"]).await;

        let shown = node.ask(&format!("/api/v1/events/{id}?whole=true")).await;
        assert_eq!(shown["event"]["body_masked"], name != "in-param", "{shown}");
        let page = get(&client, &node, &format!("/events/{id}"), &cookie)
            .await
            .1;
        let saved = get(&client, &node, &format!("/events/{id}/body"), &cookie)
            .await
            .1;
        let said = node
            .command()
            .args(["events", "show", &id])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        for text in [shown.to_string(), page.clone(), saved.clone(), said] {
            assert!(!text.contains(SECRET), "{name}: {text}");
        }
        // A token in the path is removed when the request is accepted.
        let left = if name == "in-param" {
            "/in-param/-"
        } else {
            "(masked)"
        };
        assert!(page.contains(left), "{name}: {page}");
        assert_eq!(saved.contains("(masked)"), name != "in-param", "{saved}");
        assert!(
            name == "in-body" || page.contains("12345678901234567890"),
            "{page}"
        );

        // A search does not tell whether a guess is right.
        for search in [format!("text={SECRET}"), format!("value=/auth={SECRET}")] {
            let found = node
                .ask(&format!("/api/v1/events?hook={name}&{search}"))
                .await;
            assert_eq!(found["events"].as_array().unwrap().len(), 0, "{search}");
        }
    }
}

#[tokio::test]
async fn other_payloads_are_shown() {
    let (node, client) = (node().await, client());
    let cookie = reading(&client, &node).await;
    let body = "{\"token\":\"of-the-payload\"}";
    let id = event_id(&node.post("/in?key=of-the-query", &[], body).await);
    let page = get(&client, &node, &format!("/events/{id}"), &cookie)
        .await
        .1;
    assert!(
        page.contains("of-the-payload") && page.contains("of-the-query"),
        "{page}"
    );
}
