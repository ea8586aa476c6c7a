//! The bundled handlers against services that judge each call as the real ones do: Google's by their discovery documents, signed
//! ones by independent libraries, which `.ci/run` installs (`LANDFALL_SDK`).

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use landfall_tests::ports::free_port;
use landfall_tests::require::missing;
use landfall_tests::{Node, Setup, bundled, eventually, fixture, root};
use serde_json::{Value, json};

const TOKEN: &str = "the-token-of-the-test";
const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

/// `tests/sdk/apis.py`, running.
struct Apis {
    child: Child,
    at: String,
}

impl Apis {
    fn start() -> Option<Apis> {
        let python = PathBuf::from(std::env::var_os("LANDFALL_SDK").unwrap_or_default())
            .join("venv/bin/python");
        let has_apis = Command::new(&python)
            .args(["-c", "import googleapiclient, oauthlib, botocore"])
            .status();
        if !has_apis.is_ok_and(|status| status.success()) {
            missing(
                "google-api-python-client, oauthlib and botocore are not installed (LANDFALL_SDK)",
            );
            return None;
        }
        let mut command = Command::new(python);
        command
            .args(["-B", "apis.py"])
            .arg(free_port().to_string())
            .current_dir(root().join("tests/sdk"))
            .env("API_TOKEN", TOKEN);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let port = line
            .trim()
            .strip_prefix("PORT ")
            .unwrap_or_else(|| panic!("{line}"));
        Some(Apis {
            child,
            at: format!("http://127.0.0.1:{port}"),
        })
    }

    async fn seen(&self, node: &Node, method: &str) -> Vec<Value> {
        let all: Vec<Value> = node
            .client
            .get(format!("{}/seen", self.at))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        all.into_iter()
            .filter(|one| one["method"] == method)
            .collect()
    }

    /// A hook of this component with these settings, whose calls go here with this credential.
    fn hook(
        &self,
        setup: Setup,
        name: &str,
        component: &str,
        settings: &str,
        credential: &str,
    ) -> Setup {
        let at = &self.at;
        let settings = settings.replace("@AT@", at);
        let allow = format!(
            "[allow]\nhttp = [\"POST,PUT {at}/\"]\n[[credentials]]\nfor = \"{at}/\"\n{}\n",
            credential.replace("@AT@", at)
        );
        setup.hook(
            name,
            &bundled(component),
            &format!("{OPEN}{settings}\n{allow}"),
        )
    }
}

impl Drop for Apis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn google(setup: Setup, apis: &Apis) -> Setup {
    setup.env("GCE_METADATA_HOST", apis.at.trim_start_matches("http://"))
}

const GOOGLE: &str = "google = { scope = \"https://www.googleapis.com/auth/cloud-platform https://example.com/scope\" }";

#[tokio::test]
async fn google_accepts_handler_calls() {
    let Some(apis) = Apis::start() else { return };
    let fcm = "[settings]\nproject = \"p\"\nendpoint = \"@AT@\"\ntoken = \"{{ event.json.to }}\"\nnotification = { title = \"Hi {{ event.json.who }}\" }\ndata = { id = \"{{ event.id }}\" }\noptions = { android = { priority = \"HIGH\" } }\n";
    let bigquery =
        "[settings]\nproject = \"p\"\ndataset = \"d\"\ntable = \"t\"\nendpoint = \"@AT@\"\n";
    let pubsub = "[settings]\nproject = \"p\"\ntopic = \"t\"\nendpoint = \"@AT@\"\nattributes = { who = \"{{ event.json.who }}\" }\nordering_key = \"k\"\n";
    let tasks = "[settings]\nproject = \"p\"\nlocation = \"l\"\nqueue = \"q\"\nendpoint = \"@AT@\"\nurl = \"https://work.example/{{ event.json.who }}\"\nat = \"2030-01-01T00:00:00Z\"\naccount = \"a@p\"\nheaders = { x-who = \"{{ event.json.who }}\" }\n";
    let es =
        "[settings.detect]\nproject = \"p\"\nsession = \"s\"\ntext = \"hi\"\nendpoint = \"@AT@\"\n";
    let cx = "[settings.detect]\nproject = \"p\"\nlocation = \"eu\"\nagent = \"a\"\nsession = \"s\"\ntext = \"hi\"\nlanguage = \"de\"\nendpoint = \"@AT@\"\n";
    let mut setup = google(Setup::new(), &apis);
    for (name, component, settings) in [
        ("fcm", "fcm", fcm),
        ("bigquery", "bigquery", bigquery),
        ("pubsub", "pubsub-publish", pubsub),
        ("tasks", "cloud-tasks", tasks),
        ("es", "dialogflow", es),
        ("cx", "dialogflow", cx),
    ] {
        setup = apis.hook(setup, name, component, settings, GOOGLE);
    }
    let node = setup.start().await;
    for hook in ["fcm", "bigquery", "pubsub", "tasks", "es", "cx"] {
        node.until(hook, "serving").await;
    }
    let post = async |hook: &str, body: Value| {
        let (status, text) = node.post(&format!("/{hook}"), &[], body.to_string()).await;
        (
            status,
            serde_json::from_str::<Value>(&text).unwrap_or_default(),
        )
    };
    let sent = post("fcm", json!({ "to": "device", "who": "Ada" })).await;
    assert_eq!(sent.0, 202, "{sent:?} {}", node.log());
    assert_eq!(
        post("fcm", json!({ "to": "gone" })).await.0,
        422,
        "a token that is gone rejects the event"
    );
    let stored = post("bigquery", json!({ "who": "Ada", "n": 1, "list": [1, 2] })).await;
    assert_eq!(stored.0, 202, "{stored:?} {}", node.log());
    assert_eq!(post("bigquery", json!({ "bad": 1 })).await.0, 422);
    node.until_log("invalid bad: no such field").await;
    let rows = apis.seen(&node, "bigquery.tabledata.insertAll").await;
    assert_eq!(
        rows[0]["body"]["rows"][0]["json"],
        json!({ "who": "Ada", "n": 1, "list": [1, 2] })
    );
    assert_eq!(
        rows[0]["body"]["rows"][0]["insertId"]
            .as_str()
            .unwrap()
            .len(),
        36
    );
    let published = post("pubsub", json!({ "who": "Ada" })).await;
    assert_eq!(published.0, 202, "{published:?} {}", node.log());
    let created = post("tasks", json!({ "who": "Ada" })).await;
    assert_eq!(created.0, 202, "{created:?} {}", node.log());
    let tasks = apis
        .seen(&node, "cloudtasks.projects.locations.queues.tasks.create")
        .await;
    assert_eq!(
        tasks[0]["body"]["task"]["httpRequest"]["url"],
        "https://work.example/Ada"
    );
    assert_eq!(
        post("es", json!({})).await,
        (
            200,
            json!({ "intent": "hello", "text": "Hello", "parameters": {} })
        )
    );
    assert_eq!(post("cx", json!({})).await.1["text"], "Guten Tag");
    assert!(!node.log().contains(TOKEN), "{}", node.log());
}

#[tokio::test]
async fn dialogflow_answers_match_its_schema() {
    let Some(apis) = Apis::start() else { return };
    let settings = "[settings]\notherwise = \"no idea\"\nparameters = { seen = \"true\" }\n[settings.answers]\n\"order.status\" = \"on its way\"\n";
    let node = Setup::new()
        .hook("df", &bundled("dialogflow"), &format!("{OPEN}{settings}"))
        .serving("df")
        .await;
    let es = json!({ "responseId": "r", "session": "projects/p/agent/sessions/s",
        "queryResult": { "queryText": "where?", "parameters": {}, "intent": { "displayName": "order.status" }, "languageCode": "en" } });
    let cx = json!({ "detectIntentResponseId": "r", "fulfillmentInfo": { "tag": "x" }, "text": "where?",
        "sessionInfo": { "session": "s", "parameters": {} } });
    for (request, schema, words) in [
        (
            es,
            "dialogflow.v2/GoogleCloudDialogflowV2WebhookResponse",
            "on its way",
        ),
        (
            cx,
            "dialogflow.v3/GoogleCloudDialogflowCxV3WebhookResponse",
            "no idea",
        ),
    ] {
        let (status, text) = node.post("/df", &[], request.to_string()).await;
        assert!(
            status == 200 && text.contains(words),
            "{text}\n{}",
            node.log()
        );
        let judged = node
            .client
            .post(format!("{}/validate/{schema}", apis.at))
            .body(text.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(
            judged.json::<Value>().await.unwrap(),
            json!({ "problem": null }),
            "{text}"
        );
    }
}

#[tokio::test]
async fn x_slack_and_github_accept_calls() {
    let Some(apis) = Apis::start() else { return };
    let oauth1 = "oauth1 = { consumer_key = \"env:A\", consumer_secret = \"env:B\", token = \"env:C\", token_secret = \"env:D\" }";
    let bearer = "header = \"Authorization\"\nvalue = \"Bearer ${env:T}\"";
    let x = "[settings]\ntext = \"{{ event.json.text }}\"\nurl = \"@AT@/2/tweets\"\n";
    let slack = "[settings]\nurl = \"@AT@/api/chat.postMessage\"\nchannel = \"C1\"\ntext = \"{{ event.json.text }}\"\nblocks = '[{\"type\": \"section\", \"text\": {\"type\": \"mrkdwn\", \"text\": {{ event.json.text | tojson }}}}]'\n";
    let github = "[settings]\nbranch = \"main\"\napi = \"@AT@/github\"\n";
    let mut setup = Setup::new()
        .env("A", "consumer")
        .env("B", "consumer-secret-of-the-test")
        .env("C", "token");
    setup = setup.env("D", "token-secret-of-the-test").env("T", TOKEN);
    setup = apis.hook(setup, "x", "x-post", x, oauth1);
    setup = apis.hook(setup, "slack", "slack-notify", slack, bearer);
    setup = apis.hook(setup, "deploy", "github-deploy", github, bearer);
    let node = setup.start().await;
    for hook in ["x", "slack", "deploy"] {
        node.until(hook, "serving").await;
    }
    let text = |text: &str| json!({ "text": text }).to_string();
    assert_eq!(
        node.post("/x", &[], text("1.0 is out & näher!")).await.0,
        202,
        "{}",
        node.log()
    );
    assert_eq!(node.post("/x", &[], text("again")).await.0, 422);
    assert_eq!(
        node.post("/slack", &[], text("say \"hi\"")).await.0,
        202,
        "{}",
        node.log()
    );
    assert_eq!(
        apis.seen(&node, "slack").await[0]["body"]["blocks"][0]["text"]["text"],
        "say \"hi\""
    );
    // A payload that GitHub has really sent.
    let mut push: Value = serde_json::from_slice(&fixture("push-1")).unwrap();
    push["ref"] = "refs/heads/main".into();
    push["deleted"] = false.into();
    push["after"] = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d".into();
    let (status, answer) = node
        .post("/deploy", &[("x-github-event", "push")], push.to_string())
        .await;
    assert_eq!(status, 202, "{answer}\n{}", node.log());
    let states: Vec<Value> = apis
        .seen(&node, "status")
        .await
        .iter()
        .map(|one| one["body"]["state"].clone())
        .collect();
    assert_eq!(
        (states, apis.seen(&node, "dispatch").await.len()),
        (vec![json!("pending"), json!("success")], 1)
    );
}

#[tokio::test]
async fn signed_calls_pass_independent_verification() {
    let Some(apis) = Apis::start() else { return };
    let mut setup = Setup::new()
        .env("ID", "AKID")
        .env("KEY", "secret-key-of-the-test")
        .env("PARTNER", "whsec_c2VjcmV0LW9mLXRoZS10ZXN0");
    setup = setup.env("CLIENT", "client-secret");
    for (name, path, credential) in [
        (
            "aws",
            "/aws/1/a%20queue?z=1&a1=2&a=%2F&a=1",
            "aws_sigv4 = { region = \"eu-west-1\", service = \"sqs\", access_key = \"env:ID\", secret_key = \"env:KEY\" }",
        ),
        (
            "partner",
            "/partner",
            "standard_webhooks = { secret = \"env:PARTNER\" }",
        ),
        (
            "oauth2",
            "/bearer",
            "oauth2_client = { token_url = \"@AT@/token\", client_id = \"me\", client_secret = \"env:CLIENT\", scope = \"write\" }",
        ),
    ] {
        let settings = format!("[settings]\ntargets = [\"@AT@{path}\"]\n");
        setup = apis.hook(setup, name, "forward", &settings, credential);
    }
    let node = setup.start().await;
    for hook in ["aws", "partner", "oauth2"] {
        node.until(hook, "serving").await;
        let (status, text) = node
            .post(
                &format!("/{hook}"),
                &[("content-type", "application/json")],
                "{\"n\":1}",
            )
            .await;
        assert_eq!(status, 202, "{hook}: {text}\n{}", node.log());
    }
    eventually("all were seen", || async {
        (apis.seen(&node, "sigv4").await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(
        (
            apis.seen(&node, "standard-webhooks").await.len(),
            apis.seen(&node, "oauth2").await.len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn archives_hold_each_event_once() {
    let Some(apis) = Apis::start() else { return };
    let sigv4 = "aws_sigv4 = { region = \"eu-west-1\", service = \"s3\", access_key = \"env:ID\", secret_key = \"env:KEY\" }";
    let more =
        "key = \"day {{ event.json.n }}/é.json\"\nmetadata = { who = \"{{ event.json.who }}\" }\n";
    let s3 = format!("[settings]\nurl = \"@AT@/bucket\"\n{more}");
    let gcs = format!("[settings]\ngcs_bucket = \"bucket\"\nendpoint = \"@AT@\"\n{more}");
    let mut setup = google(Setup::new(), &apis)
        .env("ID", "AKID")
        .env("KEY", "secret-key-of-the-test");
    setup = apis.hook(setup, "s3", "archive", &s3, sigv4);
    setup = apis.hook(setup, "gcs", "archive", &gcs, GOOGLE);
    let node = setup.start().await;

    let json = [("content-type", "application/json")];
    let body = "{\"n\":1,\"who\":\"Ada   L.\"}";
    for hook in ["s3", "gcs"] {
        node.until(hook, "serving").await;
        for _ in 0..2 {
            let answer = node.post(&format!("/{hook}"), &json, body).await;
            assert_eq!(answer.0, 202, "{hook}: {answer:?}\n{}", node.log());
        }
    }
    let objects = apis.seen(&node, "object").await;
    let object = |key: &str, who: &str| json!({ "method": "object", "key": key, "type": "application/json", "content": body, "metadata": { "who": who } });
    assert_eq!(
        objects,
        [
            object("/bucket/day%201/%C3%A9.json", "Ada   L."),
            object("day 1/é.json", "Ada   L.")
        ]
    );
    node.until_log("day 1/é.json exists").await;
}
