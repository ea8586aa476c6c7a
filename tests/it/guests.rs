//! Components that loop, trap, eat memory, flood and lie: each ends as what it is, the host lives, the next request is fine.

use std::time::{Duration, Instant};

use landfall_tests::{Node, Receiver, Setup, eventually, guest};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// A node with one hostile guest and one that only answers.
async fn node(name: &str, hook_file: &str) -> Node {
    let setup =
        Setup::new()
            .hook(name, &guest(name), hook_file)
            .hook("fine", &guest("answers_one"), OPEN);
    let node = setup.serving(name).await;
    node.until("fine", "serving").await;
    node
}

/// Sends one event to the guest; checks the status, the named outcome, and that the neighbour still answers.
async fn ends(node: &Node, name: &str, status: u16, outcome: &str) -> Value {
    let (got, text) = node.post(&format!("/{name}"), &[], "{}").await;
    assert_eq!(got, status, "{text}");
    let what = format!("the attempt of {name} is recorded as {outcome}");
    let line = node
        .logged(&what, |line| {
            line["hook"] == name && line["outcome"] == outcome
        })
        .await;
    assert_eq!(node.post("/fine", &[], "{}").await, (200, "one".to_owned()));
    line
}

#[tokio::test]
async fn endless_loops_end_at_the_deadline() {
    let node = node("loops", &format!("deadline = \"15s\"\n{OPEN}")).await;
    let started = Instant::now();
    let looping = async {
        ends(&node, "loops", 504, "timeout").await;
        started.elapsed()
    };
    let neighbour = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(node.post("/fine", &[], "{}").await.0, 200);
        started.elapsed()
    };
    let (looped, answered) = tokio::join!(looping, neighbour);
    assert!(
        (Duration::from_millis(14_990)..Duration::from_secs(120)).contains(&looped),
        "{looped:?}"
    );
    assert!(
        answered < looped,
        "the neighbour waited for the loop: {answered:?} of {looped:?}"
    );
}

#[tokio::test]
async fn loops_on_all_cores_delay_nothing() {
    let node = node("loops", &format!("deadline = \"2s\"\n{OPEN}")).await;
    let loops = (0..8).map(|_| node.post("/loops", &[], "{}"));
    let all = futures_join(loops);
    let neighbour = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(node.post("/fine", &[], "{}").await.0, 200);
    };
    let (statuses, ()) = tokio::join!(all, neighbour);
    assert!(
        statuses.iter().all(|(status, _)| *status == 504),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn sleeps_end_at_the_deadline() {
    let node = node("sleeps", &format!("deadline = \"1s\"\n{OPEN}")).await;
    ends(&node, "sleeps", 504, "timeout").await;
}

#[tokio::test]
async fn panic_texts_reach_only_the_operator() {
    let node = node("traps", OPEN).await;
    let (_, text) = node.post("/traps", &[], "{}").await;
    assert!(text.starts_with("{\"error\":\"handler failed\""), "{text}");
    let line = ends(&node, "traps", 500, "trap").await;
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains("panicked at examples/traps.rs:7:5:\nboom from the guest"),
        "{reason}"
    );
}

#[tokio::test]
async fn memory_stops_at_the_limit() {
    let node = node(
        "allocates",
        &format!("{OPEN}[limits]\nmemory = \"16MiB\"\n"),
    )
    .await;
    let before = node.resident_kib();
    let line = ends(&node, "allocates", 500, "out-of-memory").await;
    assert!(line["memory_kib"].as_u64().unwrap() <= 16 * 1024, "{line}");
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains("more memory than [limits] memory"),
        "{line}"
    );
    for _ in 0..20 {
        node.post("/allocates", &[], "{}").await;
    }
    let grown = node.resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "resident memory grew by {grown} KiB");
}

#[tokio::test]
async fn deep_recursion_is_a_trap() {
    let node = node("recurses", OPEN).await;
    let line = ends(&node, "recurses", 500, "trap").await;
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the component's stack is full: its recursion is too deep"),
        "{line}"
    );
}

#[tokio::test]
async fn aborts_are_told_in_words() {
    let grants = "kv = true\ntable = [\"t\"]\nemit = [\"fine\"]\n";
    let hook = format!("{OPEN}[settings]\ndoes = \"aborts\"\n[allow]\n{grants}");
    let node = node("abuse_cases", &hook).await;
    let line = ends(&node, "abuse_cases", 500, "trap").await;
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the component aborted, and wrote no reason"),
        "{line}"
    );
}

#[tokio::test]
async fn log_floods_are_cut() {
    let node = node("log_flood", OPEN).await;
    ends(&node, "log_flood", 200, "done").await;
    node.logged("the cut is said", |line| {
        line.to_string()
            .contains("more lines than an attempt may write")
    })
    .await;
    assert!(
        node.log().len() < 1 << 20,
        "{} bytes of log",
        node.log().len()
    );
}

#[tokio::test]
async fn huge_replies_are_refused() {
    let node = node("huge", &format!("{OPEN}[limits]\nmemory = \"256MiB\"\n")).await;
    let before = node.resident_kib();
    ends(&node, "huge", 500, "over-limit").await;
    let grown = node.resident_kib().saturating_sub(before);
    assert!(grown < 160 * 1024, "resident memory grew by {grown} KiB");
}

#[tokio::test]
async fn invalid_replies_are_named() {
    for (name, words) in [
        ("bad_status", "status 42"),
        ("bad_header", "cannot be sent"),
    ] {
        let node = node(name, OPEN).await;
        let line = ends(&node, name, 500, "bad-reply").await;
        assert!(line["reason"].as_str().unwrap().contains(words), "{line}");
    }
}

#[tokio::test]
async fn large_reply_headers_are_refused() {
    let node = node("replies", OPEN).await;
    let ask = |headers| {
        let request = node.client.post(node.url("/replies"));
        request.header("x-headers", headers).body("{}").send()
    };
    let largest = ask("8 8192").await.unwrap();
    assert_eq!(largest.status(), 200, "{}", node.log());
    let headers = largest.headers().iter();
    let sizes = headers
        .filter(|(name, _)| name.as_str().starts_with("x-"))
        .map(|(name, value)| name.as_str().len() + value.len());
    assert_eq!(sizes.sum::<usize>(), 64 << 10);

    for (headers, reason) in [
        ("1 8193", "header `x-00` has 8193 bytes: at most 8192"),
        ("9 7282", "headers of 65538 bytes together: at most 65536"),
        ("101 10", "101 headers: at most 100"),
    ] {
        assert_eq!(ask(headers).await.unwrap().status(), 500, "{headers}");
        node.logged(reason, |line| {
            line["outcome"] == "bad-reply" && line["reason"] == reason
        })
        .await;
    }
}

#[tokio::test]
async fn failures_become_statuses_without_reasons() {
    let node = node("retries", OPEN).await;
    let response = node.client.post(node.url("/retries")).send().await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "7")
    );
    assert!(!response.text().await.unwrap().contains("secret reason"));
    let line = ends(&node, "retries", 503, "retry").await;
    assert_eq!(line["reason"], "secret reason");
    let node = self::node("rejects", OPEN).await;
    ends(&node, "rejects", 422, "reject").await;
}

#[tokio::test]
async fn components_see_only_event_and_settings() {
    let hook = "path = \"/in/{shop}\"\n[verify]\nscheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = \"env:CANARY\"\n\
                [settings]\ncolour = \"blue\"\n[allow]\nhttp = [\"http://127.0.0.1:1/\"]\n\
                [[credentials]]\nfor = \"http://127.0.0.1:1/\"\nheader = \"X-Key\"\nvalue = \"${env:CANARY}\"\n";
    let node = Setup::new()
        .hook("inspect_event", &guest("inspect_event"), hook)
        .env("CANARY", "c4n4ry")
        .serving("inspect_event")
        .await;
    let (status, text) = node
        .post(
            "/in/acme?x=1",
            &[("Secret", "c4n4ry"), ("X-Other", "kept")],
            "{\"a\":1}",
        )
        .await;
    assert_eq!(status, 200, "{text}");
    assert!(!text.contains("c4n4ry"), "{text}");
    assert!(!node.log().contains("c4n4ry"), "{}", node.log());
    let seen: Value = serde_json::from_str(&text).unwrap();
    let flat = seen.to_string();
    for there in [
        "blue",
        "x-other",
        "param:shop",
        "acme",
        "client-address",
        "token#1",
        "/in/acme",
    ] {
        assert!(flat.contains(there), "{there} not in {flat}");
    }
    assert_eq!((&seen["env"], &seen["args"]), (&json!({}), &json!([])));
    for (what, refused) in [("files", "No such file"), ("network", "Permission denied")] {
        let tried = seen[what].as_object().unwrap();
        assert!(
            !tried.is_empty()
                && tried
                    .values()
                    .all(|end| end.as_str().unwrap().contains(refused)),
            "{flat}"
        );
    }
}

#[tokio::test]
async fn calls_reach_only_granted_urls() {
    let receiver = Receiver::start().await;
    let target = receiver.url("/ok/x");
    let hook = |allow: &str| format!("{OPEN}[settings]\nurl = \"{target}\"\n{allow}");
    for (allow, case) in [
        ("", "denied"),
        ("[allow]\nhttp = [\"http://127.0.0.1:1/\"]\n", "denied"),
        (
            &format!("[allow]\nhttp = [\"{}\"]\n", receiver.url("/other/")),
            "denied",
        ),
        (
            "[allow]\nhttp = [\"https://example.com/\"]\naddresses = [\"127.0.0.0/8\"]\n",
            "denied",
        ),
    ] {
        let node = node("calls", &hook(allow)).await;
        let (_, text) = node.post("/calls", &[], "{}").await;
        assert!(text.to_lowercase().contains(case), "{allow}: {text}");
        let counted = "landfall_outbound_failed_total{error=\"denied\",hook=\"calls\"} 1\n";
        assert!(
            node.metrics().await.contains(counted),
            "{}",
            node.metrics().await
        );
    }
    assert!(receiver.got().is_empty());
    let node = node(
        "calls",
        &hook(&format!("[allow]\nhttp = [\"{}\"]\n", receiver.url("/ok/"))),
    )
    .await;
    assert!(node.post("/calls", &[], "{}").await.1.contains("200"));
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test]
async fn swallowed_failures_are_recorded() {
    for (allow, case) in [
        ("", "denied"),
        ("[allow]\nhttp = [\"http://127.0.0.1:9/\"]\n", "unreachable"),
    ] {
        let hook = format!("{OPEN}[settings]\nurl = \"http://127.0.0.1:9/x?key=k3y\"\n{allow}");
        let node = node("calls", &hook).await;
        assert_eq!(
            node.post("/calls", &[], "{}").await.0,
            200,
            "the guest says that all is well"
        );
        let failed = node
            .logged("the failed call", |line| {
                line["message"] == "outbound call failed"
            })
            .await;
        assert_eq!(
            (&failed["method"], &failed["url"]),
            (&"GET".into(), &"http://127.0.0.1:9/x".into()),
            "{failed}"
        );
        assert_eq!(failed["error"], case, "{failed}");
        // In mode `sync` the attempt is recorded after the answer.
        let path = format!("/api/v1/events/{}", failed["event"].as_str().unwrap());
        let event = eventually("the attempt is recorded", || async {
            let event = node.try_ask(&path).await?;
            event["attempts"].is_array().then_some(event)
        })
        .await;
        let attempts = event["attempts"].to_string();
        assert!(
            attempts.contains("http://127.0.0.1:9/x") && !attempts.contains("k3y"),
            "{attempts}"
        );
    }
}

#[tokio::test]
async fn loopback_names_need_a_granted_range() {
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let hook = |more: &str| {
        format!("{OPEN}[settings]\nurl = \"{url}\"\n[allow]\nhttp = [\"{url}\"]\n{more}")
    };
    let closed = node("calls", &hook("")).await;
    let (_, text) = closed.post("/calls", &[], "{}").await;
    assert!(
        text.to_lowercase().contains("denied") && text.contains("addresses"),
        "{text}"
    );
    assert!(receiver.got().is_empty());
    let open = node("calls", &hook("addresses = [\"127.0.0.1\", \"::1\"]\n")).await;
    assert!(open.post("/calls", &[], "{}").await.1.contains("200"));
}

#[tokio::test]
async fn calls_of_an_attempt_are_limited() {
    let receiver = Receiver::start().await;
    let hook = format!(
        "{OPEN}[settings]\nurl = \"{0}\"\n[allow]\nhttp = [\"{0}\"]\n",
        receiver.url("/")
    );
    let node = node("many_calls", &hook).await;
    assert_eq!(node.post("/many_calls", &[], "{}").await.0, 200);
    assert_eq!(receiver.got().len(), 64);
}

#[tokio::test]
async fn failed_attempts_store_no_rows() {
    let node = node(
        "rows_then_fails",
        &format!("{OPEN}[allow]\ntable = [\"events\", \"rows\"]\n"),
    )
    .await;
    ends(&node, "rows_then_fails", 422, "reject").await;
    assert!(!node.data().join("rows").exists());
}

#[tokio::test]
async fn ungranted_capabilities_are_refused_at_load() {
    let setup = Setup::new().hook("rows", &guest("rows_then_fails"), OPEN);
    let node = setup.start().await;
    let status = node.until("rows", "unavailable").await;
    let problem = status["problem"].as_str().unwrap();
    assert!(
        problem.contains("wants `table`") && problem.contains("[allow]"),
        "{problem}"
    );
    assert_eq!(node.post("/rows", &[], "{}").await.0, 503);
}

#[tokio::test]
async fn too_little_memory_refuses_the_load() {
    let setup = Setup::new().hook(
        "fine",
        &guest("answers_one"),
        &format!("max_body = \"64KiB\"\n{OPEN}[limits]\nmemory = \"1MiB\"\n"),
    );
    let node = setup.start().await;
    let status = node.until("fine", "unavailable").await;
    assert!(
        status["problem"]
            .as_str()
            .unwrap()
            .contains("[limits] memory"),
        "{status}"
    );
    assert_eq!(json!(status["path"]), json!("/fine"));
}

async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, slot) in all.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
