//! What a session may change, and what the audit record has of it.

use landfall_tests::{Node, event_id, eventually};
use reqwest::Client;
use serde_json::Value;

use super::requests::{client, csrf, get, log_in, session, url};
use super::{READ_TOKEN, SECRET, node, with_dead};

/// The cookie of a session that may only read.
pub(super) async fn reading(client: &Client, node: &Node) -> String {
    let answer = log_in(client, node, READ_TOKEN).await;
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()[reqwest::header::SET_COOKIE]
        .to_str()
        .unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Sends a form of a page: status and body.
pub(super) async fn send(
    client: &Client,
    node: &Node,
    cookie: &str,
    path: &str,
    fields: &str,
) -> (u16, String) {
    let page = get(client, node, "/", cookie).await.1;
    let request = client.post(url(node, path)).header("cookie", cookie);
    let request = request
        .header("origin", url(node, ""))
        .body(format!("csrf={}&{fields}", csrf(&page)));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(super) async fn audit(node: &Node, query: &str) -> Vec<Value> {
    let page = node.ask(&format!("/api/v1/audit?{query}")).await;
    page["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn readers_see_no_buttons() {
    let (node, client) = (node().await, client());
    let id = event_id(&node.post("/in", &[], "{}").await);
    with_dead(&node, 1).await;
    let cookie = reading(&client, &node).await;
    for path in [
        "/",
        "/events",
        &format!("/events/{id}"),
        "/failures",
        "/missed",
        "/why",
        "/bulk?q=hook:bad&command=replay",
        "/bulk?event=1&command=discard",
        "/send?hook=signed",
        "/components/in",
        "/data?hook=in",
        "/recordings?hook=in",
        "/shape?hook=in",
        "/audit",
    ] {
        let (status, page) = get(&client, &node, path, &cookie).await;
        assert_eq!(status, 200, "{path}");
        assert!(page.contains("read only"), "{path}");
        // The only one ends the session.
        assert_eq!(page.matches("method=\"post\"").count(), 1, "{path}");
        assert!(!page.contains("form=\"selected\""), "{path}");
        // A signed request makes an event.
        assert!(!page.contains("sha256="), "{path}");
    }
}

#[tokio::test]
async fn readers_change_nothing() {
    let (node, client) = (node().await, client());
    let id = event_id(&node.post("/in", &[], "{}").await);
    node.until_states("in", &["done"]).await;
    let cookie = reading(&client, &node).await;
    let replay = format!("/events/{id}/replay");
    let discard = format!("/events/{id}/discard");
    let paths = [
        "/hooks/in/pause",
        "/reload",
        "/bulk",
        "/bulk/1/cancel",
        "/missed/in",
        "/shape/in",
        "/send",
        &replay,
        &discard,
    ];
    for path in paths {
        let (status, _) = send(
            &client,
            &node,
            &cookie,
            path,
            "hook=in&command=replay&confirm=yes",
        )
        .await;
        assert_eq!(status, 403, "{path}");
    }
    assert_eq!(node.deliveries("in").await.len(), 1);
    assert_eq!(node.hook("in").await.unwrap()["paused"], false);
    // Each of them is in the audit record, as refused.
    let entries = audit(&node, "").await;
    assert_eq!(entries.len(), paths.len(), "{entries:?}");
    for entry in &entries {
        assert_eq!(entry["role"], "read", "{entry}");
        assert_eq!(entry["result"]["status"], 403, "{entry}");
    }
    assert_eq!(send(&client, &node, &cookie, "/logout", "").await.0, 303);
    assert_eq!(get(&client, &node, "/events", &cookie).await.0, 303);
}

#[tokio::test]
async fn forms_are_in_the_audit() {
    let (node, client) = (node().await, client());
    let id = event_id(&node.post("/in", &[], "{}").await);
    node.until_states("in", &["done"]).await;
    let cookie = session(&client, &node).await;
    for (path, fields) in [
        ("/hooks/in/pause", ""),
        ("/hooks/in/resume", ""),
        ("/reload", ""),
        (&*format!("/events/{id}/replay"), ""),
        ("/send", "hook=signed&body=%7B%7D&tamper=yes"),
    ] {
        let (status, page) = send(&client, &node, &cookie, path, fields).await;
        assert!([200, 303].contains(&status), "{path}: {status} {page}");
    }

    let entries = audit(&node, "").await;
    let actions: Vec<&str> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["send", "replay", "reload", "resume", "pause"]);
    for entry in &entries {
        assert_eq!(
            (&entry["role"], &entry["address"]),
            (&"operate".into(), &"127.0.0.1".into())
        );
        assert_eq!(entry["token"].as_str().unwrap().len(), 8);
        assert!(entry["result"].is_object(), "{entry}");
    }
    assert_eq!(
        (&entries[0]["hook"], &entries[0]["result"]["answered"]),
        (&"signed".into(), &401.into())
    );
    assert_eq!(entries[1]["detail"]["events"][0], id.as_str());

    let page = get(&client, &node, "/audit?action=pause", &cookie).await.1;
    assert!(
        page.contains("pause") && !page.contains("<td role=\"cell\">reload"),
        "{page}"
    );
    let lines = get(&client, &node, "/audit/export?action=send", &cookie)
        .await
        .1;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(
        !lines.contains(SECRET) && !lines.contains(&node.admin_token()),
        "{lines}"
    );
}

#[tokio::test]
async fn refused_forms_are_in_the_audit() {
    let (node, client) = (node().await, client());
    let id = event_id(&node.post("/in", &[], "{}").await);
    node.until_states("in", &["done"]).await;
    let cookie = session(&client, &node).await;
    let discard = format!("/events/{id}/discard");
    let forms = [
        ("/hooks/nope/pause", "", "pause", 404),
        ("/hooks/in/explode", "", "form", 404),
        (discard.as_str(), "", "discard", 400),
        ("/events/%ff/replay", "", "replay", 400),
        ("/bulk", "command=explode", "start-job", 400),
        ("/bulk", "command=discard&confirm=yes", "start-job", 400),
        ("/bulk/7/cancel", "", "cancel-job", 404),
        ("/bulk/x/cancel", "", "cancel-job", 400),
        ("/send", "hook=nope&body=canary", "send", 404),
    ];
    for (path, fields, _, status) in forms {
        let (found, page) = send(&client, &node, &cookie, path, fields).await;
        assert_eq!(found, status, "{path}: {page}");
    }
    let foreign = client.post(url(&node, "/reload")).header("cookie", &cookie);
    assert_eq!(foreign.body("csrf=00").send().await.unwrap().status(), 403);

    let mut entries = audit(&node, "").await;
    entries.reverse();
    let found: Vec<(&str, u64)> = entries
        .iter()
        .map(|entry| {
            let status = entry["result"]["status"].as_u64().unwrap();
            (entry["action"].as_str().unwrap(), status)
        })
        .collect();
    let mut expected: Vec<(&str, u64)> = forms.iter().map(|form| (form.2, form.3.into())).collect();
    expected.push(("reload", 403));
    assert_eq!(found, expected);
    for entry in &entries {
        assert!(!entry["result"]["error"].as_str().unwrap().is_empty());
    }
    let text = Value::from(entries).to_string();
    assert!(!text.contains("canary") && !text.contains("csrf"), "{text}");
}

#[tokio::test]
async fn records_have_only_known_fields() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let fields = "hook=nope&canary=1&password=canary";
    assert_eq!(send(&client, &node, &cookie, "/send", fields).await.0, 404);
    let entries = audit(&node, "").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["detail"]["fields_left_out"], 2, "{entries:?}");
    assert_eq!(entries[0]["hook"], "nope");
    let text = Value::from(entries).to_string();
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn other_changes_are_in_the_audit() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let (own, foreign) = (url(&node, ""), "http://127.0.0.1:1");
    let own = own.as_str();
    for (method, path, origin, status, action, role) in [
        ("POST", "/canary", own, 404, "form", "operate"),
        ("PUT", "/bulk", own, 405, "start-job", "operate"),
        ("DELETE", "/", own, 405, "form", "operate"),
        ("POST", "/reload", foreign, 403, "foreign", "operate"),
        ("POST", "/canary/canary", foreign, 403, "foreign", "operate"),
        ("POST", "/login", foreign, 403, "foreign", "operate"),
    ] {
        let request = client.request(method.parse().unwrap(), url(&node, path));
        let request = request.header("cookie", &cookie).header("origin", origin);
        let found = request.body("canary=canary").send().await.unwrap();
        assert_eq!(found.status(), status, "{method} {path}");
        let entries = audit(&node, "").await;
        assert_eq!(entries[0]["action"], action, "{path}: {entries:?}");
        assert_eq!(entries[0]["role"], role, "{path}: {entries:?}");
        assert_eq!(entries[0]["result"]["status"], status, "{path}");
        assert_eq!(entries[0]["address"], "127.0.0.1", "{path}");
    }

    // Without a session: a page of another site, and a guess.
    let request = client.post(url(&node, "/reload")).header("origin", foreign);
    assert_eq!(request.send().await.unwrap().status(), 403);
    let request = client.post(url(&node, "/canary")).header("origin", own);
    assert_eq!(request.send().await.unwrap().status(), 404);
    let entries = audit(&node, "").await;
    assert_eq!(entries.len(), 7, "{entries:?}");
    assert_eq!(entries[0]["role"], "none");
    let text = Value::from(entries).to_string();
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn foreign_pages_cannot_flood_the_record() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    for number in 0..150 {
        let path = ["/reload", "/absent"][number % 2];
        let request = client.post(url(&node, path)).header("cookie", &cookie);
        let request = request.header("origin", "http://127.0.0.1:1");
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    assert_eq!(audit(&node, "limit=1000").await.len(), 100);
    assert_eq!(send(&client, &node, &cookie, "/reload", "").await.0, 303);
    assert_eq!(audit(&node, "action=reload").await.len(), 1);
}

#[tokio::test]
async fn jobs_are_in_the_audit() {
    let (node, client) = (node().await, client());
    with_dead(&node, 3).await;
    let cookie = session(&client, &node).await;
    let fields = "q=hook%3Abad&command=discard&reason=old&confirm=yes&rate=2&total=999";
    assert_eq!(send(&client, &node, &cookie, "/bulk", fields).await.0, 303);
    node.until_states("bad", &["discarded"; 3]).await;
    // Two events a second: two chunks.
    let entries = audit(&node, "action=discard").await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[1]["detail"]["events"].as_array().unwrap().len(), 2);
    assert_eq!(entries[0]["detail"]["reason"], "old");

    // The node has counted them, and not the sender of the form.
    eventually("the job has ended", || async {
        let page = get(&client, &node, "/bulk", &cookie).await.1;
        page.contains("3 done, 0 skipped, of 3").then_some(())
    })
    .await;
}
