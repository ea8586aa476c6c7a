//! Bundled handlers against a receiver that plays the service: the request that it sees, and what follows from its answers.

use std::time::{Duration, Instant};

use landfall_tests::{Node, Receiver, Setup, bundled};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const QUICK: &str =
    "[retry]\nbackoff = { first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }\n";

/// The hook file of a handler whose calls go to the receiver.
fn calling(receiver: &Receiver, mode: &str, settings: &str) -> String {
    let url = receiver.url("/");
    let settings = settings.replace("@AT@", url.trim_end_matches('/'));
    format!(
        "mode = \"{mode}\"\n{OPEN}[settings]\n{settings}\n{QUICK}[allow]\nemit = [\"next\", \"rest\", \"agent\"]\nhttp = [\"{url}\"]\n"
    )
}

/// A hook that sends its events to the receiver.
fn forwarding(receiver: &Receiver, path: &str) -> String {
    calling(receiver, "async", &format!("targets = [\"@AT@{path}\"]"))
}

async fn post(node: &Node, hook: &str, body: Value) -> u16 {
    let json = [("content-type", "application/json")];
    let answer = node
        .post(&format!("/{hook}"), &json, body.to_string())
        .await;
    answer.0
}

fn body(receiver: &Receiver, call: usize) -> Value {
    let got = receiver.got().swap_remove(call);
    serde_json::from_slice(&got.body).unwrap_or_else(|_| panic!("{got:?}"))
}

/// The status for the caller of a `sync` hook, after each status of the service.
async fn refusals(node: &Node, receiver: &Receiver, hook: &str, event: Value) {
    for (status, expected) in [(400, 422), (401, 503), (404, 503), (429, 503), (503, 503)] {
        receiver.answer(status);
        let found = post(node, hook, event.clone()).await;
        assert_eq!(found, expected, "{hook} {status}\n{}", node.log());
    }
    receiver.answer(200);
}

#[tokio::test]
async fn filter_hands_on_or_drops() {
    let receiver = Receiver::start().await;
    let settings = |more: &str| {
        format!(
            "hooks = [\"next\"]\nheaders = [\"x-kind\"]\nwhen = [{{ json = \"/ref\", equals = \"main\" }}]\n{more}"
        )
    };
    let drops = calling(&receiver, "sync", &settings(""));
    let sorts = calling(&receiver, "sync", &settings("otherwise = [\"rest\"]"));
    let setup = Setup::new()
        .hook("drops", &bundled("filter"), &drops)
        .hook("sorts", &bundled("filter"), &sorts)
        .hook("next", &bundled("forward"), &forwarding(&receiver, "/next"))
        .hook("rest", &bundled("forward"), &forwarding(&receiver, "/rest"));
    let node = setup.start().await;
    for hook in ["drops", "sorts", "next", "rest"] {
        node.until(hook, "serving").await;
    }

    assert_eq!(post(&node, "drops", json!({ "ref": "other" })).await, 202);
    node.until_log("not handed on: json /ref is \\\"other\\\"")
        .await;
    assert_eq!(post(&node, "drops", json!({ "ref": "main" })).await, 202);
    receiver.until_called(1).await;
    assert_eq!(body(&receiver, 0), json!({ "ref": "main" }));
    assert_eq!(post(&node, "sorts", json!({ "ref": "other" })).await, 202);
    receiver.until_called(2).await;
    let paths: Vec<String> = receiver.got().into_iter().map(|got| got.path).collect();
    assert_eq!(paths, ["/next", "/rest"]);
}

#[tokio::test]
async fn agents_are_paid_once() {
    let (model, target) = (Receiver::start().await, Receiver::start().await);
    model.say(
        "{\"content\": [{\"type\": \"text\", \"text\": \"a bug\"}], \"stop_reason\": \"end_turn\"}",
    );
    target.answer(503);
    let settings = format!(
        "api = \"anthropic\"\nurl = \"@AT@/v1/messages\"\nmodel = \"m\"\nprompt = \"Sort: {{{{ event.json.title }}}}\"\n\
         hooks = [\"next\"]\n[settings.target]\nurl = \"{}\"\nbody = '{{\"label\": {{{{ event.json.answer }}}}}}'",
        target.url("/labels")
    );
    let file = calling(&model, "async", &settings)
        .replace("http = [", &format!("http = [\"{}\", ", target.url("/")));
    let credential = format!(
        "[[credentials]]\nfor = \"{}\"\nheader = \"x-api-key\"\nvalue = \"${{env:KEY}}\"\n",
        model.url("/")
    );
    let node = Setup::new()
        .env("KEY", "key-of-the-test")
        .hook("agent", &bundled("agent"), &(file + &credential))
        .hook("next", &bundled("forward"), &forwarding(&target, "/next"))
        .serving("agent")
        .await;
    node.until("next", "serving").await;

    // A model that is overloaded is asked again.
    model.answer(529);
    assert_eq!(
        post(&node, "agent", json!({ "title": "it breaks" })).await,
        202
    );
    model.until_called(1).await;
    model.answer(200);
    target.until_called(5).await;
    target.answer(200);
    node.until_states("agent", &["done", "done"]).await;
    node.until_states("next", &["done"]).await;

    let asked = model.got();
    let last = asked.last().expect("the model was asked");
    assert_eq!(
        (last.method.as_str(), last.path.as_str()),
        ("POST", "/v1/messages")
    );
    assert_eq!(last.headers["x-api-key"], "key-of-the-test");
    assert_eq!(last.headers["anthropic-version"], "2023-06-01");
    let expected = json!({ "model": "m", "max_tokens": 1024,
        "messages": [{ "role": "user", "content": "Sort: it breaks" }] });
    assert_eq!(body(&model, asked.len() - 1), expected);

    let calls = target.got();
    let labels: Vec<_> = calls.iter().filter(|got| got.path == "/labels").collect();
    assert!(labels.len() >= 2, "{calls:?}");
    assert!(
        labels
            .iter()
            .all(|got| got.body == b"{\"label\": \"a bug\"}")
    );
    let keys: std::collections::BTreeSet<_> = labels
        .iter()
        .map(|got| got.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys.len(), 1, "each try carries the same key");
    let handed = calls
        .iter()
        .find(|got| got.path == "/next")
        .expect("a call");
    let handed: Value = serde_json::from_slice(&handed.body).unwrap();
    assert_eq!(handed["event"]["body"], json!({ "title": "it breaks" }));

    // However often the target failed, the model answered once.
    let answered = asked.len();
    node.settle().await;
    assert_eq!(model.got().len(), answered);
    assert!(!node.log().contains("key-of-the-test"));
}

#[tokio::test]
async fn emails_reach_each_service() {
    let receiver = Receiver::start().await;
    let services = ["resend", "postmark", "sendgrid", "mailgun"];
    let mut setup = Setup::new();
    for service in services {
        let settings = format!(
            "service = \"{service}\"\nendpoint = \"@AT@/{service}\"\nfrom = \"Shop <a@example.com>\"\nto = \"{{{{ event.json.to }}}}\"\n\
             subject = \"Hi {{{{ event.json.who }}}}\"\nhtml = \"<b>{{{{ event.json.who }}}}</b>\"\ndomain = \"mg.example.com\""
        );
        let file = calling(&receiver, "sync", &settings);
        setup = setup.hook(service, &bundled("email"), &file);
    }
    let node = setup.start().await;
    let event = json!({ "to": "b@example.com", "who": "<Ada>\r\nBcc: x" });
    for service in services {
        node.until(service, "serving").await;
        assert_eq!(
            post(&node, service, event.clone()).await,
            202,
            "{}",
            node.log()
        );
    }

    let paths: Vec<String> = receiver.got().into_iter().map(|got| got.path).collect();
    assert_eq!(
        paths,
        [
            "/resend/emails",
            "/postmark/email",
            "/sendgrid/v3/mail/send",
            "/mailgun/v3/mg.example.com/messages"
        ]
    );
    let got = receiver.got();
    assert!(got[0].headers.contains_key("idempotency-key"));
    assert_eq!(body(&receiver, 0)["html"], "<b>&lt;Ada&gt;\r\nBcc: x</b>");
    assert_eq!(body(&receiver, 1)["Subject"], "Hi <Ada> Bcc: x");
    assert_eq!(
        body(&receiver, 1)["Metadata"]["event"]
            .as_str()
            .unwrap()
            .len(),
        36
    );
    let to = json!([{ "to": [{ "email": "b@example.com" }] }]);
    assert_eq!(body(&receiver, 2)["personalizations"], to);
    assert_eq!(
        got[3].headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    let form = String::from_utf8_lossy(&got[3].body).into_owned();
    assert!(
        form.contains("&to=b%40example.com&subject=Hi+%3CAda%3E+Bcc%3A+x&"),
        "{form}"
    );

    let several = json!({ "to": "b@example.com, c@example.com", "who": "" });
    assert_eq!(post(&node, "resend", several).await, 422);
    assert_eq!(receiver.got().len(), 4);
    for service in services {
        refusals(&node, &receiver, service, event.clone()).await;
    }
}

#[tokio::test]
async fn rows_are_upserted_by_event() {
    let receiver = Receiver::start().await;
    receiver.answer(201);
    let settings = "url = \"@AT@/rest/v1/pushes\"\nschema = \"hooks\"\nfields = { branch = \"/ref\", gone = \"/x\" }";
    let node = Setup::new()
        .hook(
            "rows",
            &bundled("postgrest-row"),
            &calling(&receiver, "sync", settings),
        )
        .serving("rows")
        .await;
    let event = json!({ "ref": "main" });
    assert_eq!(
        post(&node, "rows", event.clone()).await,
        202,
        "{}",
        node.log()
    );
    let got = receiver.got().remove(0);
    assert_eq!(
        (got.method.as_str(), got.path.as_str()),
        ("POST", "/rest/v1/pushes?on_conflict=event_id")
    );
    assert_eq!(
        got.headers["prefer"],
        "return=minimal,resolution=ignore-duplicates"
    );
    assert_eq!(got.headers["content-profile"], "hooks");
    let row = body(&receiver, 0);
    assert_eq!(row["event_id"].as_str().unwrap().len(), 36);
    assert_eq!(
        (&row["branch"], &row["gone"]),
        (&json!("main"), &json!(null))
    );

    refusals(&node, &receiver, "rows", event.clone()).await;
    // A conflict of another column, and a row that is not there yet.
    for (code, expected) in [("23505", 422), ("23503", 503)] {
        receiver.answer(409);
        receiver.say(&json!({ "code": code, "message": "key" }).to_string());
        assert_eq!(post(&node, "rows", event.clone()).await, expected);
        node.until_log(&format!("answered 409 {code}: key")).await;
    }
}

#[tokio::test]
async fn discord_and_teams_get_short_messages() {
    let receiver = Receiver::start().await;
    let webhook = "url = \"@AT@/api/webhooks/1/token\"\ntext = \"{{ event.json.text }}\"";
    let channel = "endpoint = \"@AT@/api/v10\"\nchannel = \"7\"\ntext = \"{{ event.json.text }}\"";
    let teams = "url = \"@AT@/workflows/1/invoke?api-version=1\"\ntext = \"{{ event.json.text }}\"";
    let secret = format!(
        "[[credentials]]\nfor = \"{}\"\nquery = \"sig\"\nvalue = \"${{env:SIG}}\"\n",
        receiver.url("/workflows/")
    );
    let teams = calling(&receiver, "sync", teams) + &secret;
    let node = Setup::new()
        .env("SIG", "signature-of-the-test")
        .hook(
            "webhook",
            &bundled("discord-notify"),
            &calling(&receiver, "sync", webhook),
        )
        .hook(
            "channel",
            &bundled("discord-notify"),
            &calling(&receiver, "sync", channel),
        )
        .hook("teams", &bundled("teams-notify"), &teams)
        .start()
        .await;
    let event = json!({ "text": "x".repeat(50_000) + "@everyone" });
    for hook in ["webhook", "channel", "teams"] {
        node.until(hook, "serving").await;
        assert_eq!(
            post(&node, hook, event.clone()).await,
            202,
            "{}",
            node.log()
        );
    }

    let paths: Vec<String> = receiver.got().into_iter().map(|got| got.path).collect();
    assert_eq!(
        paths,
        [
            "/api/webhooks/1/token?wait=true",
            "/api/v10/channels/7/messages",
            "/workflows/1/invoke?api-version=1&sig=signature-of-the-test"
        ]
    );
    for call in [0, 1] {
        let message = body(&receiver, call);
        assert_eq!(message["content"].as_str().unwrap().chars().count(), 2000);
        assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
    }
    assert_eq!(body(&receiver, 1)["enforce_nonce"], true);
    assert!(receiver.got()[2].body.len() <= 28_000);
    let card = &body(&receiver, 2)["attachments"][0];
    assert_eq!(
        card["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    for hook in ["webhook", "channel", "teams"] {
        refusals(&node, &receiver, hook, event.clone()).await;
    }
    assert!(!node.log().contains("signature-of-the-test"));
}

#[tokio::test]
async fn limited_messages_wait_as_told() {
    let receiver = Receiver::start().await;
    receiver.answer(429);
    receiver.retry_after("0.2");
    let settings = "url = \"@AT@/api/webhooks/1/token\"\ntext = \"hi\"";
    let file = calling(&receiver, "async", settings).replace("max = \"50ms\"", "max = \"1h\"");
    let node = Setup::new()
        .hook("discord", &bundled("discord-notify"), &file)
        .serving("discord")
        .await;
    let start = Instant::now();
    assert_eq!(post(&node, "discord", json!({})).await, 202);
    receiver.until_called(1).await;
    receiver.answer(200);
    node.until_states("discord", &["done"]).await;
    // A part of a second is rounded up. The schedule of the hook says 50 ms.
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(receiver.got().len(), 2);
}
