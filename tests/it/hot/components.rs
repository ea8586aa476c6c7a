//! Components that are added, replaced, missing or slow to load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall_tests::{Receiver, Setup, bundled, component, eventually, guest};

use super::{OPEN, always_answers, running_one, says};

#[tokio::test]
async fn dropped_components_need_no_poll() {
    let bytes = std::fs::read(bundled("echo")).unwrap();
    let node = Setup::new()
        .env("LANDFALL_SCAN_INTERVAL", "1h")
        .start()
        .await;
    node.until_ready().await;
    assert_eq!(node.post("/echo", &[], "{}").await.0, 404);
    node.put("echo.toml", OPEN);
    let dropped = Instant::now();
    node.put("echo.wasm", bytes);
    eventually("the hook answers", || async {
        (node.post("/echo", &[], "{}").await.0 == 200).then_some(())
    })
    .await;
    println!("from drop to live: {:?}", dropped.elapsed());
}

/// Its sender comes again; after a 404 it may not.
#[tokio::test]
async fn loading_hooks_answer_503() {
    let node = running_one().await;
    node.put("late.wasm", std::fs::read(bundled("store")).unwrap());
    node.put(
        "late.toml",
        format!("{OPEN}[settings]\ntable = \"rows\"\n[allow]\ntable = [\"rows\"]\n"),
    );
    let mut statuses = vec![404];
    while statuses.last() != Some(&202) {
        let response = node
            .client
            .post(node.url("/late"))
            .body("{}")
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        assert!(status != 503 || response.headers().contains_key("retry-after"));
        if statuses.last() != Some(&status) {
            statuses.push(status);
        }
        assert!(statuses.len() <= 3, "{statuses:?}\n{}", node.log());
    }
    assert_eq!(statuses, [404, 503, 202]);
}

#[tokio::test]
async fn components_without_hook_file_are_closed() {
    let node = Setup::new()
        .file("alone.wasm", component("answers_one"))
        .start()
        .await;
    let status = node.until("alone", "closed").await;
    assert!(
        status["problem"].as_str().unwrap().contains("alone.toml"),
        "{status}"
    );
    assert_eq!(node.post("/alone", &[], "{}").await.0, 503);
    node.put("alone.toml", OPEN);
    node.until("alone", "serving").await;
    assert_eq!(node.post("/alone", &[], "{}").await.0, 200);
}

#[tokio::test]
async fn replacing_components_fails_no_request() {
    let node = Arc::new(running_one().await);
    let (stop, ok) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (node, stop, ok) = (node.clone(), stop.clone(), ok.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let (status, text) = node.post("/hook", &[], "{}").await;
                    assert!(
                        status == 200 && (text == "one" || text == "two"),
                        "{status} {text}"
                    );
                    ok.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let versions = [
        ("two", component("answers_two")),
        ("one", component("answers_one")),
    ];
    for round in 0..12 {
        let (text, bytes) = &versions[round % 2];
        // By rename, by writing over it in place, by deleting and writing anew.
        match round % 3 {
            0 => {
                node.put(".new", bytes);
                std::fs::rename(
                    node.plugins().join(".new"),
                    node.plugins().join("hook.wasm"),
                )
                .unwrap();
            }
            1 => node.put("hook.wasm", bytes),
            _ => {
                std::fs::remove_file(node.plugins().join("hook.wasm")).unwrap();
                node.put("hook.wasm", bytes);
            }
        }
        says(&node, text).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(ok.load(Ordering::Relaxed) > 100);
}

#[tokio::test]
async fn running_requests_finish_on_old_component() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let node = Arc::new(
        Setup::new()
            .hook("hook", &guest("waits"), &receiver.hook_of_waits(""))
            .serving("hook")
            .await,
    );
    let digest = node.hook("hook").await.unwrap()["digest"].clone();
    let slow = tokio::spawn({
        let node = node.clone();
        async move { node.post("/hook", &[], "{}").await }
    });
    receiver.until_called(1).await;
    node.put("hook.wasm", component("answers_two"));
    node.until_changed("hook", &digest).await;
    assert_eq!(node.post("/hook", &[], "{}").await.1, "two");
    receiver.release();
    assert_eq!(slow.await.unwrap(), (200, "awake".to_owned()));
}

#[tokio::test]
async fn replaced_components_may_be_missing_briefly() {
    let node = running_one().await;
    always_answers(&node, "/hook", async {
        for pause_ms in [10, 30, 90, 250] {
            std::fs::remove_file(node.plugins().join("hook.wasm")).unwrap();
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            node.put(
                "hook.wasm",
                component(if pause_ms % 20 == 10 {
                    "answers_two"
                } else {
                    "answers_one"
                }),
            );
            node.settle().await;
        }
    })
    .await;
    says(&node, "two").await;
}

#[tokio::test]
async fn unloadable_hooks_answer_503() {
    let node = Setup::new()
        .file(
            "broken.toml",
            format!("path = \"/custom\"\nconcurency = 3\n{OPEN}"),
        )
        .file(
            "missing.toml",
            format!("path = \"/missing/{{id}}\"\n{OPEN}"),
        )
        .file("odd.wasm", "no component")
        .file("odd.toml", format!("path = \"/there\"\n{OPEN}"))
        .env("LANDFALL_READINESS", "any")
        .start()
        .await;
    // Until all files have been read, the node cannot tell which paths belong to no hook.
    node.until_ready().await;
    for (hook, path) in [
        ("broken", "/custom"),
        ("missing", "/missing/7"),
        ("odd", "/there"),
    ] {
        node.until(hook, "unavailable").await;
        assert_eq!(node.post(path, &[], "{}").await.0, 503, "{path}");
        assert_eq!(
            node.post(&format!("/{hook}"), &[], "{}").await.0,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn slow_components_delay_no_other() {
    let node = running_one().await;
    node.put("slow.toml", OPEN);
    node.put("slow.wasm", std::fs::read(bundled("echo")).unwrap());
    let compiler = eventually("a compiler runs", || async {
        node.children().first().copied()
    })
    .await;
    let signal = |name: &str| {
        std::process::Command::new("kill")
            .args([name, &compiler.to_string()])
            .status()
            .unwrap()
    };
    signal("-STOP");
    node.put("quick.toml", OPEN);
    node.put("quick.wasm", component("answers_two"));
    node.until("quick", "serving").await;
    node.put("hook.toml", format!("path = \"/moved\"\n{OPEN}"));
    eventually("the edit counts", || async {
        (node.post("/moved", &[], "{}").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(
        node.hook("slow").await.unwrap()["problem"],
        "the hook is still loading"
    );
    signal("-CONT");
    node.until("slow", "serving").await;
}

#[tokio::test]
async fn component_names_are_not_paths() {
    let mut node = running_one().await;
    let pipe = node.plugins().with_file_name("pipe.wasm");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let named = pipe.to_str().unwrap().trim_end_matches(".wasm").to_owned();
    let bundle = node.plugins().with_file_name("bundle");
    std::fs::create_dir(&bundle).unwrap();
    std::fs::copy(
        pipe.with_file_name("plugins/hook.wasm"),
        bundle.join("own.wasm"),
    )
    .unwrap();
    std::os::unix::fs::symlink(&pipe, bundle.join("out.wasm")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(bundle.join("fifo.wasm"))
            .status()
            .unwrap()
            .success()
    );
    let setup = Setup::new().env("LANDFALL_BUNDLED", bundle.to_str().unwrap());
    node = setup
        .file("own.toml", OPEN)
        .file("path.toml", format!("component = \"{named}\"\n{OPEN}"))
        .file("fifo.toml", OPEN)
        .file("out.toml", OPEN)
        .serving("own")
        .await;
    for (hook, words) in [
        ("path", "must be the name of a file"),
        ("fifo", "is not a regular file"),
        ("out", "is a link that leads out"),
    ] {
        let status = node.until(hook, "unavailable").await;
        assert!(
            status["problem"].as_str().unwrap().contains(words),
            "{status}"
        );
    }
    node.terminate();
    assert!(node.ended().await.success());
}

#[tokio::test]
async fn a_component_of_newer_wasi_runs() {
    // A minor version that this host does not know, with nothing in it that the host does not have.
    let newer = String::from_utf8_lossy(&component("plain")).contains("@0.2.12");
    assert!(newer, "the guest is built against 0.2.12");
    let mut bytes = component("plain");
    for at in 0..bytes.len() - 7 {
        if &bytes[at..at + 7] == b"@0.2.12" {
            bytes[at..at + 7].copy_from_slice(b"@0.2.99");
        }
    }
    let node = Setup::new()
        .file("newer.wasm", bytes)
        .file("newer.toml", OPEN)
        .serving("newer")
        .await;
    assert_eq!(
        node.post("/newer?status=201", &[], "").await.0,
        201,
        "{}",
        node.log()
    );
}

#[tokio::test]
async fn a_missing_component_is_a_warning() {
    let setup = Setup::new().file("orders.wasm", component("answers_one"));
    let node = setup
        .file("hook.toml", format!("component = \"order.wasm\"\n{OPEN}"))
        .file("-.toml", OPEN)
        .start()
        .await;
    let warning = node
        .logged("the warning", |line| {
            line["message"] == "hook has nothing to run"
        })
        .await;
    assert!(
        warning["problem"]
            .as_str()
            .unwrap()
            .contains("did you mean orders.wasm?"),
        "{warning}"
    );
    assert_eq!(warning["level"], "WARN");
    let stray = node
        .logged("the stray", |line| {
            line["message"] == "a file is not read" && line["file"] == "-.toml"
        })
        .await;
    assert!(
        stray["problem"]
            .as_str()
            .unwrap()
            .contains("do not begin with `-` or `_`"),
        "{stray}"
    );
    assert!(
        !node
            .log()
            .contains("\"hook\":\"hook\",\"path\":\"/hook\",\"component\""),
        "{}",
        node.log()
    );
}
