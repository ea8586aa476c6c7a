//! `wasi:http` components of other hosts: configured by `[settings]` and `[environment]`, with values in `kv`, mounted
//! below a path with routes of their own.

use std::process::Command;

use landfall_tests::{Node, Setup, eventually, guest, landfall};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

async fn drafts(file: &str) -> Node {
    let setup = Setup::new()
        .env("GUEST_TOKEN", "s3cr3t-t0ken")
        .env("NOT_GRANTED", "hidden");
    setup
        .hook("app", &guest("drafts"), file)
        .serving("app")
        .await
}

async fn get(node: &Node, path: &str) -> (u16, String) {
    let response = node.client.get(node.url(path)).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn settings_are_wasi_config() {
    let file = format!("{OPEN}[settings]\ntext = \"a\"\nlist = [1, 2]\n[allow]\nkv = true\n");
    let node = drafts(&file).await;
    let (status, text) = node.post("/app?does=settings", &[], "").await;
    assert_eq!(status, 200, "{}", node.log());
    assert_eq!(
        text,
        r#"Ok(Some("a")) Ok(Some("[1,2]")) Ok(None) [("list", "[1,2]"), ("text", "a")]"#
    );
}

#[tokio::test]
async fn only_listed_variables_are_seen() {
    let variables = "PLAIN = \"one two\"\nPORT = 8080\nTOKEN = \"env:GUEST_TOKEN\"\nHEADER = \"Bearer ${env:GUEST_TOKEN}!\"\n";
    let node = drafts(&format!(
        "{OPEN}[environment]\n{variables}[allow]\nkv = true\n"
    ))
    .await;
    let (status, text) = node.post("/app?does=environment", &[], "").await;
    assert_eq!(status, 200, "{}", node.log());
    assert_eq!(
        text,
        "HEADER=Bearer s3cr3t-t0ken! PLAIN=one two PORT=8080 TOKEN=s3cr3t-t0ken"
    );
    node.logged("what it printed", |line| {
        line.to_string().contains("TOKEN=[redacted]")
    })
    .await;
    assert!(!node.log().contains("s3cr3t"), "{}", node.log());
}

#[tokio::test]
async fn a_variable_without_value_runs_nothing() {
    let node = drafts(&format!(
        "{OPEN}[environment]\nTOKEN = \"env:NOBODY_SET_THIS\"\n[allow]\nkv = true\n"
    ))
    .await;
    let (status, _) = node.post("/app?does=environment", &[], "").await;
    assert_eq!(status, 503);
    let problem = node.hook("app").await.unwrap()["problem"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        problem.contains("[environment] TOKEN has no value"),
        "{problem}"
    );
    let attempt = node
        .logged("the attempt", |line| line["message"] == "attempt")
        .await;
    assert!(
        attempt["reason"]
            .as_str()
            .unwrap()
            .contains("`NOBODY_SET_THIS` is not set"),
        "{attempt}"
    );
}

#[tokio::test]
async fn lost_variables_are_logged_truly() {
    let file = format!("{OPEN}[environment]\nTOKEN = \"file:token\"\n[allow]\nkv = true\n");
    let setup = Setup::new().file("token", "s3cr3t-t0ken");
    let node = setup
        .hook("app", &guest("drafts"), &file)
        .serving("app")
        .await;
    assert_eq!(node.post("/app?does=environment", &[], "").await.0, 200);

    std::fs::remove_file(node.plugins().join("token")).unwrap();
    let lost = node
        .logged("the secret is lost", |line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("secret lost: ")
        })
        .await;
    assert!(!lost.to_string().contains("closed"), "{lost}");
    let hook = node
        .logged("what happens", |line| {
            line["message"] == "hook serves, but lacks a secret"
        })
        .await;
    let problem = hook["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("no event is handled, since [environment] TOKEN has no value"),
        "{hook}"
    );
    assert_eq!(node.post("/app?does=environment", &[], "").await.0, 503);
    assert_eq!(node.hook("app").await.unwrap()["state"], "serving");
}

#[tokio::test]
async fn wasi_logging_is_the_log() {
    let node = drafts(&format!("{OPEN}[allow]\nkv = true\n")).await;
    assert_eq!(
        node.post("/app?does=logs", &[], "").await.0,
        200,
        "{}",
        node.log()
    );
    let attempt = node
        .logged("the attempt", |line| line["message"] == "attempt")
        .await;
    let id = attempt["event"].as_str().unwrap().to_owned();
    let kept = eventually("the lines are kept", || async {
        let event = node.ask(&format!("/api/v1/events/{id}")).await.to_string();
        event.contains("by logging").then_some(event)
    })
    .await;
    for line in [
        r#"["error","by logging"]"#,
        r#"["debug","part: by the draft"]"#,
    ] {
        assert!(kept.contains(line), "{kept}");
    }
}

#[tokio::test]
async fn wasi_keyvalue_is_kv() {
    let node = drafts(&format!("{OPEN}[allow]\nkv = true\n")).await;
    let kept = node.post("/app?does=keeps", &[], "").await;
    let expected =
        r#"5 [Some(("a", [49])), None] true false Ok(Some([255])) ["a"] ["b", "count", "other/a"]"#;
    assert_eq!(kept, (200, expected.to_owned()), "{}", node.log());
    // Kept for the next event, and seen by the other draft.
    let kept = node.post("/app?does=keeps2", &[], "").await;
    let swapped = format!("{:?}", "swapped".as_bytes());
    let expected = format!(
        r#"Some("1") 3 Some("changed") [("a", Some({swapped})), ("nothing", None)] ["count", "other/a"]"#
    );
    assert_eq!(kept, (200, expected), "{}", node.log());
}

#[tokio::test]
async fn wasi_keyvalue_has_kv_limits() {
    let node = drafts(&format!("{OPEN}[allow]\nkv = true\n")).await;
    assert_eq!(node.post("/app?does=key=512", &[], "").await.1, "Ok(())");
    for length in ["513", "0"] {
        let refused = node
            .post(&format!("/app?does=key={length}"), &[], "")
            .await
            .1;
        assert!(
            refused.contains(&format!("a key of {length} bytes")),
            "{refused}"
        );
    }
    let (status, text) = node.post("/app?does=many", &[], "").await;
    assert_eq!(status, 200, "{}", node.log());
    assert!(
        text.contains("raise `[limits] memory`") && text.contains("1001 keys in one call"),
        "{text}"
    );
}

#[tokio::test]
async fn wasi_keyvalue_needs_its_grant() {
    let node = Setup::new()
        .hook("app", &guest("drafts"), OPEN)
        .start()
        .await;
    let status = node.until("app", "unavailable").await;
    assert!(
        status["problem"].as_str().unwrap().contains("wants `kv`"),
        "{status}"
    );
}

#[test]
fn inspect_names_the_drafts() {
    let output = Command::new(landfall())
        .arg("inspect")
        .arg(guest("drafts"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("imports  wasi:config/store@0.2.0-rc.1\n"),
        "{text}"
    );
    let needs = |line: &&str| {
        line.contains("wasi:keyvalue/store@0.2.0-draft ") && line.ends_with("[allow] kv = true")
    };
    assert!(text.lines().any(|line| needs(&line)), "{text}");
}

#[tokio::test]
async fn a_rest_mounts_a_component() {
    let file = |path: &str, more: &str| {
        format!(
            "path = \"{path}\"\nmethods = [\"GET\", \"POST\", \"OPTIONS\"]\n{more}{OPEN}[allow]\nkv = true\n"
        )
    };
    let setup = Setup::new()
        .hook("whole", &guest("drafts"), &file("/whole/{rest...}", ""))
        .hook("bare", &guest("drafts"), &file("/bare/{tenant}/{rest...}", "strip_prefix = true\n"))
        .hook("one", &guest("answers_one"), &format!("path = \"/whole/one\"\n{OPEN}"))
        .hook(
            "routes",
            &guest("wstd_routes"),
            &format!("path = \"/site/{{rest...}}\"\nmethods = [\"GET\", \"POST\"]\nstrip_prefix = true\n{OPEN}"),
        );
    let node = setup.start().await;
    for hook in ["whole", "bare", "one", "routes"] {
        node.until(hook, "serving").await;
    }
    for (path, seen) in [
        ("/whole/a/b?c=d", "GET /whole/a/b?c=d"),
        ("/whole/", "GET /whole/"),
        ("/whole", "GET /whole"),
        ("/whole/a%2fx", "GET /whole/a%2fx"),
        ("/bare/t1/a/b?c=d", "GET /a/b?c=d"),
        ("/bare/t1/a%2Fb/", "GET /a%2Fb/"),
        ("/bare/t1", "GET /"),
        ("/bare/t1/", "GET /"),
        ("/bare/t1//x", "GET //x"),
    ] {
        assert_eq!(
            get(&node, path).await,
            (200, seen.to_owned()),
            "{}",
            node.log()
        );
    }
    for climbing in ["/whole/a%2f%2E%2e%2fx", "/whole/..;/x"] {
        assert_eq!(get(&node, climbing).await.0, 400, "{climbing}");
    }
    assert_eq!(
        node.post("/whole/one", &[], "{}").await,
        (200, "one".into())
    );
    assert_eq!(
        node.post("/whole/two", &[], "{}").await,
        (200, "POST /whole/two".into())
    );
    assert_eq!(get(&node, "/site/").await, (200, "<p>routes</p>".into()));
    assert_eq!(
        node.post("/site/ada/items", &[], "").await,
        (200, "items of ada".into())
    );
    let options = node
        .client
        .request("OPTIONS".parse().unwrap(), node.url("/bare/x/y"))
        .send()
        .await
        .unwrap();
    assert_eq!(options.text().await.unwrap(), "OPTIONS /y");
}

#[tokio::test]
async fn mount_mistakes_are_found_at_load() {
    let node = Setup::new()
        .hook(
            "a",
            &guest("wstd_routes"),
            &format!("path = \"/a\"\nstrip_prefix = true\n{OPEN}"),
        )
        .hook(
            "b",
            &guest("wstd_routes"),
            &format!("path = \"/b/{{rest...}}/c\"\n{OPEN}"),
        )
        .hook(
            "c",
            &guest("wstd_routes"),
            &format!("{OPEN}[environment]\n\"A=B\" = \"x\"\n"),
        )
        .hook(
            "d",
            &guest("wstd_routes"),
            &format!("{OPEN}[environment]\nA = \"vault:secret#x\"\n"),
        )
        .hook(
            "e",
            &guest("answers_one"),
            &format!("path = \"/e/{{rest...}}\"\nstrip_prefix = true\n{OPEN}"),
        )
        .start()
        .await;
    for (hook, words) in [
        (
            "e",
            "strip_prefix is for components that export wasi:http/incoming-handler",
        ),
        (
            "a",
            "strip_prefix needs a path that ends in {rest...}: path = \"/a/{rest...}\"",
        ),
        ("b", "`{rest...}` is a whole segment, and the last one"),
        ("c", "`A=B` cannot name a variable"),
        ("d", "A: write `vault:MOUNT/PATH#FIELD`"),
    ] {
        let problem = node.until(hook, "unavailable").await["problem"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(problem.contains(words), "{problem}");
    }
}
