//! The main job: a signed webhook, recorded at GitHub, runs a sandboxed component; the effect is looked at where it
//! happens. A request that proves nothing runs nothing.

use landfall_tests::{Node, Receiver, Setup, bundled, fixture, guest, sign};
use serde_json::{Value, json};

const GITHUB: &str = "[verify]\nprovider = \"github\"\nsecret = \"env:GITHUB_SECRET\"\n";
const SECRET: &str = "It's a Secret to Everybody";

async fn github(
    node: &Node,
    path: &str,
    event: &str,
    body: &[u8],
    signature: &str,
) -> (u16, String) {
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", event),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-hub-signature-256", signature),
    ];
    node.post(path, &headers, body.to_vec()).await
}

#[tokio::test]
async fn every_recorded_github_event_is_echoed() {
    let node = Setup::new()
        .hook("echo", &bundled("echo"), GITHUB)
        .env("GITHUB_SECRET", SECRET)
        .serving("echo")
        .await;
    let mut count = 0;
    for entry in std::fs::read_dir(landfall_tests::root().join("tests/fixtures/github")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name == "README" {
            continue;
        }
        let body = fixture(name);
        let (status, text) = github(
            &node,
            "/echo",
            name.rsplit_once('-').unwrap().0,
            &body,
            &sign(SECRET, &body),
        )
        .await;
        assert_eq!(status, 200, "{name}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            answer["received"],
            serde_json::from_slice::<Value>(&body).unwrap(),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 15);
}

#[tokio::test]
async fn store_keeps_chosen_fields_as_rows() {
    let hook = format!(
        "{GITHUB}[settings]\ntable = \"pushes\"\nfields = {{ repo = \"/repository/full_name\", who = \"/sender/login\" }}\n\
         [allow]\ntable = [\"pushes\"]\n"
    );
    let node = Setup::new()
        .hook("store", &bundled("store"), &hook)
        .env("GITHUB_SECRET", SECRET)
        .serving("store")
        .await;
    let body = fixture("push-1");
    let (status, text) = github(&node, "/store", "push", &body, &sign(SECRET, &body)).await;
    assert_eq!(status, 202, "{text}");
    let rows = node.rows("store", "pushes").await;
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["row"]["repo"], sent["repository"]["full_name"]);
    assert_eq!(rows[0]["row"]["who"], sent["sender"]["login"]);
    assert_eq!(rows[0]["event_id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn forward_relays_exact_bytes_to_targets() {
    let receiver = Receiver::start().await;
    let hook = format!(
        "{GITHUB}[settings]\ntargets = [\"{}\", \"{}\"]\n[allow]\nhttp = [\"{}\"]\n\
         [[credentials]]\nfor = \"{}\"\nheader = \"Authorization\"\nvalue = \"Bearer ${{env:TOKEN}}\"\n",
        receiver.url("/a"),
        receiver.url("/b"),
        receiver.url("/"),
        receiver.url("/b"),
    );
    let setup = Setup::new().hook("forward", &bundled("forward"), &hook);
    let node = setup
        .env("GITHUB_SECRET", SECRET)
        .env("TOKEN", "t0ken")
        .serving("forward")
        .await;
    let body = fixture("issues-1");
    let (status, text) = github(&node, "/forward", "issues", &body, &sign(SECRET, &body)).await;
    assert_eq!(status, 202, "{text}");
    let got = receiver.got();
    assert_eq!(
        got.iter().map(|got| got.path.as_str()).collect::<Vec<_>>(),
        ["/a", "/b"]
    );
    assert!(
        got.iter()
            .all(|got| got.body == body && got.headers["content-type"] == "application/json")
    );
    assert_eq!(got[0].headers.get("authorization"), None);
    assert_eq!(got[1].headers["authorization"], "Bearer t0ken");
    assert_ne!(
        got[0].headers["idempotency-key"],
        got[1].headers["idempotency-key"]
    );
    receiver.answer(503);
    assert_eq!(
        github(&node, "/forward", "issues", &body, &sign(SECRET, &body))
            .await
            .0,
        503
    );
    receiver.answer(400);
    assert_eq!(
        github(&node, "/forward", "issues", &body, &sign(SECRET, &body))
            .await
            .0,
        422
    );
}

#[tokio::test]
async fn trigger_calls_if_its_condition_holds() {
    let receiver = Receiver::start().await;
    let hook = format!(
        "{GITHUB}[settings]\nurl = \"{}\"\nbody = '{{\"deploy\": {{{{ event.json.repository.full_name | tojson }}}}}}'\n\
         [[settings.when]]\nheader = \"x-github-event\"\nequals = \"push\"\n\
         [[settings.when]]\njson = \"/ref\"\nequals = \"refs/heads/master\"\n[allow]\nhttp = [\"{}\"]\n",
        receiver.url("/deploy"),
        receiver.url("/deploy"),
    );
    let node = Setup::new()
        .hook("trigger", &bundled("trigger"), &hook)
        .env("GITHUB_SECRET", SECRET)
        .serving("trigger")
        .await;
    for (name, calls) in [("issues-1", 0), ("push-3", 0), ("push-1", 1)] {
        let body = fixture(name);
        let (status, text) = github(
            &node,
            "/trigger",
            name.split('-').next().unwrap(),
            &body,
            &sign(SECRET, &body),
        )
        .await;
        assert_eq!(
            (status, receiver.got().len()),
            (202, calls),
            "{name}: {text}"
        );
    }
    let sent: Value = serde_json::from_slice(&fixture("push-1")).unwrap();
    let called: Value = serde_json::from_slice(&receiver.got()[0].body).unwrap();
    assert_eq!(called, json!({ "deploy": sent["repository"]["full_name"] }));
}

#[tokio::test]
async fn unauthenticated_requests_never_run() {
    let hook = format!("{GITHUB}[allow]\ntable = [\"events\"]\n");
    let node = Setup::new()
        .hook("store", &bundled("store"), &hook)
        .env("GITHUB_SECRET", SECRET)
        .serving("store")
        .await;
    let body = fixture("push-1");
    let good = sign(SECRET, &body);
    let mut tampered = body.clone();
    tampered[10] ^= 1;
    let mut answers = Vec::new();
    for (body, signature) in [
        (&body, sign("another secret", &body)),
        (&tampered, good.clone()),
        (&body, good.replace("sha256=", "sha1=")),
        (&body, good[..good.len() - 2].to_owned()),
        (&body, "sha256=zz".to_owned()),
        (&body, String::new()),
    ] {
        answers.push(github(&node, "/store", "push", body, &signature).await);
    }
    answers.push(node.post("/store", &[], body.clone()).await);
    assert!(
        answers
            .iter()
            .all(|answer| *answer == (401, "{\"error\":\"unauthorized\"}".to_owned())),
        "{answers:?}"
    );
    node.settle().await;
    assert!(node.rows("store", "events").await.is_empty());
    assert!(!node.log().contains("\"attempt\""), "{}", node.log());
    assert_eq!(github(&node, "/store", "push", &body, &good).await.0, 202);
    assert_eq!(node.rows("store", "events").await.len(), 1);
}

#[tokio::test]
async fn hooks_without_verification_stay_closed() {
    let setup =
        Setup::new()
            .hook("github", &bundled("echo"), GITHUB)
            .hook("open", &bundled("echo"), "");
    let empty = "[verify]\nprovider = \"github\"\nsecret = \"env:EMPTY_SECRET\"\n";
    let node = setup
        .hook("empty", &bundled("echo"), empty)
        .env("EMPTY_SECRET", "")
        .start()
        .await;
    let problem = node.until("empty", "closed").await["problem"].to_string();
    assert!(
        problem.contains("the secret at `env:EMPTY_SECRET` is empty"),
        "{problem}"
    );
    let no_secret = node.until("github", "closed").await;
    assert!(
        no_secret["problem"]
            .as_str()
            .unwrap()
            .contains("`GITHUB_SECRET` is not set"),
        "{no_secret}"
    );
    let body = fixture("push-1");
    let (status, text) = github(&node, "/github", "push", &body, &sign("", &body)).await;
    assert_eq!(
        (status, text.as_str()),
        (503, "{\"error\":\"unavailable\"}")
    );
    let line = node
        .logged("the refusal is logged", |line| {
            line["reason"] == "no_secret"
        })
        .await;
    assert!(
        line["detail"].as_str().unwrap().contains("GITHUB_SECRET"),
        "{line}"
    );
    let closed = node.until("open", "closed").await;
    assert!(
        closed["problem"].as_str().unwrap().contains("[verify]"),
        "{closed}"
    );
    assert_eq!(node.post("/open", &[], "{}").await.0, 503);
}

#[tokio::test]
async fn header_tokens_authenticate_challenges_too() {
    let hook = "[verify]\nscheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = [\"env:NEW\", \"env:OLD\"]\n";
    let setup = Setup::new().hook("echo", &bundled("echo"), hook);
    let node = setup
        .env("OLD", "old secret")
        .env("NEW", "new secret")
        .serving("echo")
        .await;
    for secret in ["old secret", "new secret"] {
        assert_eq!(
            node.post("/echo", &[("Secret", secret)], "{\"a\":1}")
                .await
                .0,
            200
        );
    }
    assert_eq!(
        node.post("/echo", &[("Secret", "no secret")], "{\"a\":1}")
            .await
            .0,
        401
    );
    assert_eq!(
        node.post("/echo", &[("Secret", "no secret")], "{\"challenge\":\"x\"}")
            .await
            .0,
        401
    );
    let answer = node
        .post(
            "/echo",
            &[("Secret", "new secret")],
            "{\"challenge\":\"x\"}",
        )
        .await;
    assert_eq!(answer, (200, "{\"challenge\":\"x\"}".to_owned()));
}

#[tokio::test]
async fn changed_secret_files_are_read_again() {
    let hook = "[verify]\nscheme = \"basic\"\nsecret = \"file:pair\"\n";
    let node = Setup::new()
        .hook("echo", &bundled("echo"), hook)
        .file("pair", "user:one\n")
        .serving("echo")
        .await;
    let ask = async |pair: &str| {
        let request = node.client.post(node.url("/echo"));
        let (user, password) = pair.split_once(':').unwrap();
        request
            .basic_auth(user, Some(password))
            .body("{}")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(ask("user:one").await, 200);
    std::fs::write(node.plugins().join("pair"), "user:two").unwrap();
    landfall_tests::eventually("the new secret counts", || async {
        (ask("user:two").await == 200).then_some(())
    })
    .await;
    assert_eq!(ask("user:one").await, 401);
    std::fs::remove_file(node.plugins().join("pair")).unwrap();
    landfall_tests::eventually("the hook closes", || async {
        (ask("user:two").await == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn max_body_decides_on_five_mebibytes() {
    let open = "[verify]\nscheme = \"none\"\n";
    let setup = Setup::new().hook("small", &guest("binary"), open);
    let node = setup
        .hook(
            "large",
            &guest("binary"),
            &format!("max_body = \"6MiB\"\n{open}"),
        )
        .serving("large")
        .await;
    node.until("small", "serving").await;
    let body = vec![0xff_u8; 5 << 20];
    assert_eq!(node.post("/small", &[], body.clone()).await.0, 413);
    let (status, text) = node.post("/large", &[], body).await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer, json!({ "binary": true, "length": 5 << 20 }));
}
