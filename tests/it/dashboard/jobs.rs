//! How jobs end before they are done: by a cancel, and with the token that started them. With the fail point `job-waits`, a job waits
//! for a day after its first request, so that nothing else ends it.

use std::time::Duration;

use landfall_tests::{Node, event_id, eventually};
use reqwest::Client;

use super::requests::{client, get, log_in, session, url};
use super::roles::{audit, send};
use super::{READ_TOKEN, serving, setup, with_dead};

/// A node with three dead events, and a job that has discarded one of them. Also the cookie of its session.
async fn with_waiting_job(client: &Client) -> (Node, String) {
    let node = serving(setup().env("FAILPOINTS", "job-waits=return")).await;
    with_dead(&node, 3).await;
    let cookie = session(client, &node).await;
    let fields = "q=hook%3Abad&command=discard&reason=old&confirm=yes&rate=1&total=3";
    assert_eq!(send(client, &node, &cookie, "/bulk", fields).await.0, 303);
    eventually("the job has discarded one event", || async {
        (discarded(&node).await == 1).then_some(())
    })
    .await;
    (node, cookie)
}

async fn discarded(node: &Node) -> usize {
    let deliveries = node.deliveries("bad").await;
    let discarded = deliveries.iter().filter(|one| one["state"] == "discarded");
    discarded.count()
}

/// Waits until the page of the jobs says this.
async fn until_told(client: &Client, node: &Node, cookie: &str, text: &str) {
    eventually(&format!("the job is told as: {text}"), || async {
        let (status, page) = get(client, node, "/bulk", cookie).await;
        (status == 200 && page.contains(text)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn cancelled_jobs_end_at_once() {
    let client = client();
    let (node, cookie) = with_waiting_job(&client).await;
    let cancelled = send(&client, &node, &cookie, "/bulk/1/cancel", "").await;
    assert_eq!(cancelled.0, 303);
    until_told(&client, &node, &cookie, ">cancelled<").await;
    assert_eq!(discarded(&node).await, 1);
}

#[tokio::test]
async fn revoked_tokens_end_jobs() {
    let client = client();
    let (node, _) = with_waiting_job(&client).await;
    let new = "another-admin-token-of-32-characters";
    std::fs::write(node.data().join("admin-token"), new).unwrap();
    let cookie = eventually("the new token opens a session", || async {
        let answer = log_in(&client, &node, new).await;
        let cookie = answer.headers().get("set-cookie")?.to_str().ok()?;
        cookie.split(';').next().map(str::to_owned)
    })
    .await;
    let why = "failed: the token that started the job is no longer valid";
    until_told(&client, &node, &cookie, why).await;
    assert_eq!(discarded(&node).await, 1);
}

#[tokio::test]
async fn job_commands_have_an_entry() {
    let client = client();
    let (node, cookie) = with_waiting_job(&client).await;
    let cancelled = send(&client, &node, &cookie, "/bulk/1/cancel", "").await;
    assert_eq!(cancelled.0, 303);
    let entries = audit(&node, "").await;
    let actions: Vec<&str> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["cancel-job", "discard", "start-job"]);
    assert_eq!(entries[0]["detail"]["job"], 1, "{}", entries[0]);
    assert_eq!(entries[2]["result"]["job"], 1, "{}", entries[2]);
    assert_eq!(entries[2]["detail"]["command"], "discard");
    assert_eq!(entries[2]["detail"]["search"], "hook:bad");
    assert_eq!(entries[2]["detail"]["reason"], "old");
}

#[tokio::test]
async fn live_pages_end_with_their_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reader");
    std::fs::write(&file, READ_TOKEN).unwrap();
    let reference = format!("file:{}", file.display());
    let node = serving(setup().env("LANDFALL_ADMIN_READ_TOKEN", &reference)).await;
    let client = client();
    let event = event_id(&node.post("/in", &[], "{}").await);
    let operate = session(&client, &node).await;
    let answer = log_in(&client, &node, READ_TOKEN).await;
    let read = answer.headers()["set-cookie"].to_str().unwrap();
    let read = read.split(';').next().unwrap();

    let admin = node.data().join("admin-token");
    for (cookie, replaced) in [(read, file), (operate.as_str(), admin)] {
        let mut streams = Vec::new();
        for path in ["/live/overview", "/live/events", "/live/bulk"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("/live/events/{event}")])
        {
            let request = client.get(url(&node, &path));
            let stream = request.header("cookie", cookie).send().await.unwrap();
            assert_eq!(stream.status(), 200, "{path}");
            streams.push((path, stream));
        }
        std::fs::write(replaced, "another-token-of-32-characters-00").unwrap();
        for (path, mut stream) in streams {
            let ended = async { while stream.chunk().await.unwrap().is_some() {} };
            let limit = Duration::from_secs(300);
            let ended = tokio::time::timeout(limit, ended).await;
            assert!(ended.is_ok(), "{path} goes on");
        }
    }
}
