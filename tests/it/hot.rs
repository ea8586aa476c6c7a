//! The plugins directory while the node runs: dropped, replaced, broken, mended, deleted; nothing in flight is lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall_tests::{Node, Setup, bundled, component, eventually, faults::faults, guest};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

async fn says(node: &Node, text: &str) {
    eventually(&format!("the hook says {text}"), || async {
        (node.post("/hook", &[], "{}").await == (200, text.to_owned())).then_some(())
    })
    .await;
}

async fn running_one() -> Node {
    Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .serving("hook")
        .await
}

#[tokio::test]
async fn dropped_components_need_no_poll() {
    let bytes = std::fs::read(bundled("echo")).unwrap();
    let node = Setup::new()
        .env("LANDFALL_SCAN_INTERVAL", "1h")
        .start()
        .await;
    eventually("the directory is read", || async {
        let ready = node
            .client
            .get(format!("http://{}/readyz", node.admin))
            .send()
            .await
            .unwrap();
        ready.status().is_success().then_some(())
    })
    .await;
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
    while statuses.last() != Some(&200) {
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
    assert_eq!(statuses, [404, 503, 200]);
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
    let hook = format!("{OPEN}[settings]\nms = 1500\n");
    let node = Arc::new(
        Setup::new()
            .hook("hook", &guest("sleeps"), &hook)
            .serving("hook")
            .await,
    );
    let digest = node.hook("hook").await.unwrap()["digest"].clone();
    let slow = tokio::spawn({
        let node = node.clone();
        async move { node.post("/hook", &[], "{}").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    node.put("hook.wasm", component("answers_two"));
    node.until_changed("hook", &digest).await;
    assert_eq!(node.post("/hook", &[], "{}").await.1, "two");
    let (status, text) = slow.await.unwrap();
    assert_eq!(status, 200);
    assert_ne!(text, "two");
}

#[tokio::test]
async fn bad_files_keep_the_last_version() {
    let node = running_one().await;
    let whole = component("answers_two");
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    for (bytes, words) in [
        (whole[..whole.len() / 2].to_vec(), "not copied whole"),
        (whole[..8].to_vec(), "does not export landfall:hook/handler"),
        (core_module, "is a core module"),
        (b"(component)".to_vec(), "is text"),
        (Vec::new(), "too short"),
        (b"GIF89a...".to_vec(), "is not WebAssembly"),
        (other_world(), "does not export landfall:hook/handler"),
    ] {
        node.put("hook.wasm", &bytes);
        let status = eventually(&format!("the status says: {words}"), || async {
            let status = node.hook("hook").await?;
            status["problem"]
                .as_str()
                .is_some_and(|problem| problem.contains(words))
                .then_some(status)
        })
        .await;
        assert_eq!(status["state"], "stale");
        assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
    }
    node.put("hook.wasm", whole);
    says(&node, "two").await;
    assert!(node.hook("hook").await.unwrap()["problem"].is_null());
}

/// The smallest component that exports something else: one empty instance named `other:world/thing@1.0.0`.
fn other_world() -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // Instance section: one instance of no exports.
    bytes.extend([0x05, 0x03, 0x01, 0x01, 0x00]);
    let name = b"other:world/thing@1.0.0";
    let mut export = vec![0x01, 0x00, name.len() as u8];
    export.extend(name);
    export.extend([0x05, 0x00, 0x00]);
    bytes.extend([0x0b, export.len() as u8]);
    bytes.extend(export);
    bytes
}

#[tokio::test]
async fn files_being_copied_are_not_read() {
    let node = running_one().await;
    let whole = component("answers_two");
    let mut file = std::fs::File::create(node.plugins().join("hook.wasm")).unwrap();
    for chunk in whole.chunks(whole.len() / 20) {
        use std::io::Write;
        file.write_all(chunk).unwrap();
        file.sync_all().unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
    }
    drop(file);
    says(&node, "two").await;
}

#[tokio::test]
async fn hook_files_reload_unless_wrong() {
    let node = running_one().await;
    node.put("hook.toml", format!("path = \"/moved\"\n{OPEN}"));
    eventually("the new path answers", || async {
        (node.post("/moved", &[], "{}").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 404);
    node.put(
        "hook.toml",
        format!("path = \"/moved\"\nconcurency = 3\n{OPEN}"),
    );
    let status = node.until("hook", "stale").await;
    assert_eq!(
        status["problem"],
        "hook.toml:2:1: unknown key `concurency`: did you mean `concurrency`?"
    );
    assert_eq!(node.post("/moved", &[], "{}").await.0, 200);
    node.put("hook.toml", format!("{OPEN}[accepted]\nstatus = 500\n"));
    eventually("the new mistake is said", || async {
        let problem = node.hook("hook").await?["problem"].as_str()?.to_owned();
        problem
            .contains("does not say that an event was accepted")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn delete_and_re_create() {
    let node = running_one().await;
    std::fs::remove_file(node.plugins().join("hook.wasm")).unwrap();
    node.until("hook", "unavailable").await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 503);
    node.put("hook.wasm", component("answers_two"));
    says(&node, "two").await;
    std::fs::remove_file(node.plugins().join("hook.toml")).unwrap();
    node.until("hook", "closed").await;
    std::fs::remove_file(node.plugins().join("hook.wasm")).unwrap();
    eventually("the hook is gone", || async {
        (node.post("/hook", &[], "{}").await.0 == 404).then_some(())
    })
    .await;
    node.put("hook.toml", OPEN);
    node.put("hook.wasm", component("answers_one"));
    says(&node, "one").await;
}

#[tokio::test]
async fn config_maps_swap_their_data_link() {
    let setup = Setup::new();
    let plugins = setup.plugins();
    version(&plugins, "..v1", "answers_one");
    std::os::unix::fs::symlink("..v1", plugins.join("..data")).unwrap();
    for file in ["hook.wasm", "hook.toml"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), plugins.join(file)).unwrap();
    }
    let node = setup.serving("hook").await;
    says(&node, "one").await;
    version(&plugins, "..v2", "answers_two");
    std::os::unix::fs::symlink("..v2", plugins.join("..data_tmp")).unwrap();
    std::fs::rename(plugins.join("..data_tmp"), plugins.join("..data")).unwrap();
    std::fs::remove_dir_all(plugins.join("..v1")).unwrap();
    says(&node, "two").await;
}

fn version(plugins: &Path, name: &str, component: &str) {
    std::fs::create_dir(plugins.join(name)).unwrap();
    std::fs::copy(guest(component), plugins.join(name).join("hook.wasm")).unwrap();
    std::fs::write(plugins.join(name).join("hook.toml"), OPEN).unwrap();
}

#[tokio::test]
async fn the_directory_may_return() {
    let node = running_one().await;
    let (here, away) = (node.plugins(), node.plugins().with_file_name("away"));
    std::fs::rename(&here, &away).unwrap();
    node.logged("nothing is dropped", |_| true).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 200);
    assert!(node.hook("plugins directory").await.is_some());
    std::fs::rename(&away, &here).unwrap();
    node.put("hook.wasm", component("answers_two"));
    says(&node, "two").await;
}

#[tokio::test]
async fn passing_problems_are_tried_again() {
    let node = Setup::new()
        .env("LANDFALL_SCAN_INTERVAL", "100ms")
        .start()
        .await;
    let compiled = node.data().join("compiled");
    eventually("the node has its folders", || async {
        compiled.is_dir().then_some(())
    })
    .await;
    std::fs::remove_dir(&compiled).unwrap();
    node.put("hook.toml", OPEN);
    node.put("hook.wasm", component("answers_one"));
    eventually("the failure is said", || async {
        let problem = node.hook("hook").await?["problem"].as_str()?.to_owned();
        problem.contains("cannot be loaded").then_some(())
    })
    .await;
    std::fs::create_dir(&compiled).unwrap();
    says(&node, "one").await;
}

/// A hook whose component has another name than its file, with a path of its own.
async fn running_own(path: &str, component_file: &str) -> (Node, String) {
    let hook = format!("path = \"{path}\"\ncomponent = \"{component_file}\"\n{OPEN}");
    let setup = Setup::new()
        .file(component_file, component("answers_one"))
        .file("zz.toml", &hook);
    (setup.serving("zz").await, hook)
}

/// Asks all the while that `change` takes; every answer must be 200.
async fn always_answers(node: &Node, path: &str, change: impl Future<Output = ()>) {
    let mut change = std::pin::pin!(change);
    loop {
        tokio::select! {
            biased;
            answer = node.post(path, &[], "{}") => assert_eq!(answer.0, 200, "{}", node.log()),
            () = &mut change => return,
        }
    }
}

#[tokio::test]
async fn broken_hook_files_keep_the_component() {
    let (node, good) = running_own("/custom", "own.wasm").await;
    let missing = good.replace("own.wasm", "typo.wasm");
    let outside = good.replace("own.wasm", "../own.wasm");
    let both = format!("concurency = 3\n{missing}");
    for (text, words) in [
        ("[[[", "zz.toml:1:"),
        ("component = 7", "zz.toml:1:"),
        (&missing, "typo.wasm is missing"),
        (&outside, "must be the name of a file"),
        (&both, "unknown key `concurency`"),
    ] {
        always_answers(&node, "/custom", async {
            node.put("zz.toml", text);
            eventually(&format!("the status says: {words}"), || async {
                let status = node.hook("zz").await?;
                (status["state"] == "stale" && status["problem"].as_str()?.contains(words))
                    .then_some(())
            })
            .await;
            node.settle().await;
        })
        .await;
        assert!(node.hook("own").await.is_none(), "{text}");
    }
    node.put("zz.toml", &good);
    node.until("zz", "serving").await;
    std::fs::remove_file(node.plugins().join("own.wasm")).unwrap();
    node.until("zz", "unavailable").await;
    assert_eq!(node.post("/custom", &[], "{}").await.0, 503);
}

#[tokio::test]
async fn editing_creates_no_second_hook() {
    let (node, good) = running_own("/kk", "kk.wasm").await;
    always_answers(&node, "/kk", async {
        for edit in 0..6 {
            let text = format!("# edit {edit}\n{good}");
            match edit % 2 {
                0 => node.put("zz.toml", text),
                _ => {
                    node.put(".zz", text);
                    std::fs::rename(node.plugins().join(".zz"), node.plugins().join("zz.toml"))
                        .unwrap();
                }
            }
            node.settle().await;
        }
    })
    .await;
    assert!(!node.log().contains("hook closed"), "{}", node.log());
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
async fn serving_hooks_keep_their_path() {
    let (node, good) = running_own("/live", "mm.wasm").await;
    node.put("other.wasm", component("answers_two"));
    always_answers(&node, "/live", async {
        // Each comes before `zz` by name.
        node.put("live.toml", "concurency = 3");
        node.put(
            "aa.toml",
            format!("path = \"/live\"\ncomponent = \"other.wasm\"\n{OPEN}"),
        );
        node.put("bb.toml", "path = \"/live\"\ncomponent = \"other.wasm\"\n");
        node.until("live", "unavailable").await;
        let taken = node.until("aa", "unavailable").await;
        assert_eq!(
            taken["problem"],
            "path `/live` is taken by hook `zz`: give one of them another path"
        );
        node.until("bb", "unavailable").await;
        for name in ["live", "bb"] {
            std::fs::remove_file(node.plugins().join(format!("{name}.toml"))).unwrap();
        }
        // An edit that moves to a taken path leaves both where they were, until the other goes away.
        node.put(
            "aa.toml",
            format!("path = \"/aa\"\ncomponent = \"other.wasm\"\n{OPEN}"),
        );
        node.until("aa", "serving").await;
        node.put(
            "aa.toml",
            format!("path = \"/live\"\ncomponent = \"other.wasm\"\n{OPEN}"),
        );
        let stale = node.until("aa", "stale").await;
        assert!(
            stale["problem"]
                .as_str()
                .unwrap()
                .contains("taken by hook `zz`"),
            "{stale}"
        );
        assert_eq!(node.post("/aa", &[], "{}").await, (200, "two".to_owned()));
        assert_eq!(node.post("/live", &[], "{}").await, (200, "one".to_owned()));
    })
    .await;
    node.put("zz.toml", good.replace("/live", "/elsewhere"));
    node.until("aa", "serving").await;
    assert_eq!(node.post("/live", &[], "{}").await, (200, "two".to_owned()));
    assert_eq!(
        node.post("/elsewhere", &[], "{}").await,
        (200, "one".to_owned())
    );
    assert_eq!(node.post("/aa", &[], "{}").await.0, 404);
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
async fn steady_changes_do_not_stop_polling() {
    let setup = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .env("LANDFALL_SCAN_INTERVAL", "200ms");
    let node = setup.serving("hook").await;
    // What no notice tells of: the folder behind a link.
    let (away, here) = (node.plugins().with_file_name("away"), node.plugins());
    std::fs::rename(&here, &away).unwrap();
    std::os::unix::fs::symlink(&away, &here).unwrap();
    let stop = AtomicBool::new(false);
    let noise = async {
        while !stop.load(Ordering::Relaxed) {
            std::fs::write(away.join("noise.txt"), "x").unwrap();
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    let change = async {
        std::fs::write(here.join("hook.wasm"), component("answers_two")).unwrap();
        says(&node, "two").await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(noise, change);
}

#[tokio::test]
async fn too_many_files_stop_nothing() {
    let node = running_one().await;
    for number in 0..4200 {
        node.put(&format!("{number:04}.toml"), "");
    }
    node.logged("the flood is said", |line| {
        line["message"]
            .as_str()
            .unwrap_or_default()
            .contains("too many files")
    })
    .await;
    node.settle().await;
    assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
}

#[tokio::test]
async fn names_of_own_paths_stop_nothing() {
    let node = running_one().await;
    node.put("_landfall2.toml", OPEN);
    node.put("other.toml", format!("path = \"/_landfall/other\"\n{OPEN}"));
    let other = node.until("other", "unavailable").await;
    assert!(
        other["problem"]
            .as_str()
            .unwrap()
            .contains("is the node's own"),
        "{other}"
    );
    node.put("later.toml", OPEN);
    node.until("later", "unavailable").await;
    assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
}

/// The component with a manifest in a custom section.
fn with_manifest(component: &[u8], manifest: &str) -> Vec<u8> {
    let name = b"landfall:manifest";
    let length = u8::try_from(1 + name.len() + manifest.len()).expect("a short one");
    assert!(length < 128);
    let section = [
        &[0, length, name.len() as u8],
        &name[..],
        manifest.as_bytes(),
    ]
    .concat();
    [component, &section].concat()
}

#[tokio::test]
async fn new_versions_need_their_grants() {
    let plain = component("calls");
    let open = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";
    let node = Setup::new()
        .hook("out", &guest("calls"), open)
        .serving("out")
        .await;
    let digest = node.hook("out").await.unwrap()["digest"].clone();
    node.put(
        "out.wasm",
        with_manifest(
            &plain,
            "[allow]\nhttp = [\"https://api.example.com/\"]\nkv = true\n",
        ),
    );
    let status = node.until("out", "stale").await;
    let problem = status["problem"].as_str().unwrap();
    assert!(
        problem
            .contains("asks for more than it was granted: http \"https://api.example.com/\", kv"),
        "{problem}"
    );
    assert_eq!(status["digest"], digest, "the old one serves");
    // Another edit of the hook file grants nothing.
    node.put("out.toml", format!("concurrency = 9\n{open}"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.hook("out").await.unwrap()["digest"], digest);
    node.put(
        "out.toml",
        format!("{open}[allow]\nhttp = [\"https://api.example.com/\"]\nkv = true\n"),
    );
    node.until_changed("out", &digest).await;
}

#[tokio::test]
async fn dangling_links_count_as_deleted() {
    let setup = Setup::new();
    let store = setup.plugins().join("..store");
    std::fs::create_dir(&store).unwrap();
    for (name, bytes) in [
        ("a.wasm", component("answers_one")),
        ("a.toml", OPEN.into()),
    ] {
        std::fs::write(store.join(name), bytes).unwrap();
        std::os::unix::fs::symlink(format!("..store/{name}"), setup.plugins().join(name)).unwrap();
    }
    let node = setup.serving("a").await;
    std::fs::remove_file(store.join("a.wasm")).unwrap();
    eventually("it answers 503", || async {
        (node.post("/a", &[], "{}").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(
        node.hook("a.wasm").await.unwrap()["problem"],
        "is a link to nothing"
    );
    std::fs::remove_file(store.join("a.toml")).unwrap();
    eventually("it is gone", || async {
        (node.post("/a", &[], "{}").await.0 == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn hangups_read_the_directory_again() {
    let node = Setup::new()
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    node.signal("HUP");
    node.until_log("hooks and secrets are read again").await;
    assert_eq!(node.post("/echo", &[], "{}").await.0, 200);
}

/// gVisor, an old kernel (ENOSYS) and some seccomp profiles (EPERM) do not have it.
#[tokio::test]
async fn hooks_load_without_openat2() {
    let Some(library) = faults() else { return };
    for errno in ["38", "1"] {
        let setup = Setup::new()
            .file("..2024.wasm", component("answers_one"))
            .file("hook.toml", OPEN);
        std::os::unix::fs::symlink("..2024.wasm", setup.plugins().join("hook.wasm")).unwrap();
        std::os::unix::fs::symlink("../data/compiled.key", setup.plugins().join("out.wasm"))
            .unwrap();
        let setup = setup
            .env("LD_PRELOAD", library.to_str().unwrap())
            .env("WITHOUT_OPENAT2", errno);
        let node = setup.serving("hook").await;
        assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".into()));
        let out = node.until("out", "unavailable").await;
        assert!(
            out["problem"]
                .as_str()
                .unwrap()
                .contains("leads out of the plugins directory"),
            "{out}"
        );
    }
}

#[tokio::test]
async fn a_manifest_takes_no_path() {
    let node = running_one().await;
    let greedy = with_manifest(
        &component("answers_two"),
        "path = \"/hook\"\nconcurrency = 999\n",
    );
    node.put("greedy.toml", OPEN);
    node.put("greedy.wasm", greedy);
    let status = node.until("greedy", "serving").await;
    assert_eq!(status["path"], "/greedy");
    let wants = status["wants"].as_str().unwrap();
    assert!(
        wants.contains("path = \"/hook\"") && wants.contains("concurrency = 999"),
        "{wants}"
    );
    assert_eq!(
        node.post("/greedy", &[], "{}").await,
        (200, "two".to_owned())
    );
    says(&node, "one").await;
}

#[tokio::test]
async fn hook_files_change_as_a_whole() {
    let token = "mode = \"sync\"\n[verify]\nscheme = \"token\"\nfrom = { header = \"X-Token\" }\nsecret = \"env:TOKEN\"\n";
    let setup = Setup::new()
        .hook("hook", &guest("answers_one"), token)
        .env("TOKEN", "s3cret-s3cret");
    let node = setup.serving("hook").await;
    let closed = node.post("/hook", &[], "{}").await.0;
    assert_eq!(closed, 401, "{}", node.log());
    assert_eq!(
        node.post("/hook", &[("x-token", "s3cret-s3cret")], "{}")
            .await,
        (200, "one".to_owned())
    );

    // A component that is copied slowly, and a hook file that is meant for it.
    let bytes = component("answers_two");
    let path = node.plugins().join("hook.wasm");
    let mut file = std::fs::File::create(&path).unwrap();
    node.put("hook.toml", OPEN);
    for part in bytes.chunks(bytes.len() / 20) {
        std::io::Write::write_all(&mut file, part).unwrap();
        assert_eq!(
            node.post("/hook", &[], "{}").await.0,
            closed,
            "the old rule stays with the old component"
        );
        assert_eq!(
            node.post("/hook", &[("x-token", "s3cret-s3cret")], "{}")
                .await,
            (200, "one".to_owned())
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    says(&node, "two").await;
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
            .contains("do not begin with `-`"),
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
