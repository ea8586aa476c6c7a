//! Who gets a path, and what ends: edits that collide, hooks that wait, files that are deleted. No rule that the operator has
//! taken back lets anybody in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall_tests::{Node, Setup, bundled, component, eventually, guest};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

/// Hooks that all share one component, each at a path.
async fn at_paths(paths: &[(&str, &str)]) -> Node {
    let mut setup = Setup::new().file("one.wasm", component("answers_one"));
    for (name, path) in paths {
        setup = setup.file(&format!("{name}.toml"), at_path(path));
    }
    let node = setup.start().await;
    for (name, _) in paths {
        node.until(name, "serving").await;
    }
    node
}

fn at_path(path: &str) -> String {
    format!("path = \"{path}\"\ncomponent = \"one.wasm\"\n{OPEN}")
}

/// Where a hook stands, and its state.
async fn stands(node: &Node, name: &str, path: &str, state: &str) {
    eventually(&format!("{name} is {state} at {path}"), || async {
        let status = node.hook(name).await?;
        (status["path"] == path && status["state"] == state).then_some(())
    })
    .await;
}

#[tokio::test]
async fn colliding_edits_move_no_hook() {
    let node = at_paths(&[("a", "/1"), ("b", "/2"), ("c", "/3")]).await;
    node.put("b.toml", at_path("/3"));
    stands(&node, "b", "/2", "stale").await;
    node.put("a.toml", at_path("/2"));
    stands(&node, "a", "/1", "stale").await;
    stands(&node, "b", "/2", "stale").await;
    // A closing edit applies at once, at any path: the old rules admit no caller any more.
    node.put("a.toml", "path = \"/3\"\ncomponent = \"one.wasm\"\n");
    stands(&node, "a", "/1", "unavailable").await;
    assert_eq!(node.post("/1", &[], "{}").await.0, 503);
    node.put("a.toml", at_path("/1"));
    stands(&node, "a", "/1", "serving").await;
    node.put("a.toml", at_path("/2"));
    stands(&node, "a", "/1", "stale").await;
    // A bad present file keeps a hook where it serves, even when the path that it once wanted becomes free.
    node.put("a.toml", "path = \"/1");
    eventually("the mistake is said", || async {
        node.hook("a").await?["problem"]
            .as_str()?
            .starts_with("a.toml:1")
            .then_some(())
    })
    .await;
    node.put("b.toml", at_path("/2"));
    stands(&node, "b", "/2", "serving").await;
    std::fs::remove_file(node.plugins().join("c.toml")).unwrap();
    eventually("c is gone", || async {
        node.hook("c").await.is_none().then_some(())
    })
    .await;
    stands(&node, "a", "/1", "stale").await;
    assert_eq!(node.post("/1", &[], "{}").await.0, 200);
    // Three may go round.
    node.put("a.toml", at_path("/1"));
    node.put("d.toml", at_path("/4"));
    node.until("d", "serving").await;
    for (name, path) in [("a", "/2"), ("b", "/4"), ("d", "/1")] {
        node.put(&format!("{name}.toml"), at_path(path));
    }
    for (name, path) in [("a", "/2"), ("b", "/4"), ("d", "/1")] {
        stands(&node, name, path, "serving").await;
    }
}

#[tokio::test]
async fn what_was_deleted_goes_on_nowhere() {
    let node = at_paths(&[("a", "/1"), ("c", "/3")]).await;
    node.put("two.wasm", component("answers_two"));
    node.put("a.toml", at_path("/3").replace("one.wasm", "two.wasm"));
    stands(&node, "a", "/1", "stale").await;
    // The wanted component goes, and the file breaks: what stands needs neither.
    std::fs::remove_file(node.plugins().join("two.wasm")).unwrap();
    node.put("a.toml", "[[[");
    eventually("the mistake is said", || async {
        node.hook("a").await?["problem"]
            .as_str()?
            .starts_with("a.toml:1")
            .then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stands(&node, "a", "/1", "stale").await;
    assert_eq!(node.post("/1", &[], "{}").await.0, 200);
    // The component that stands goes.
    node.put("a.toml", at_path("/3"));
    stands(&node, "a", "/1", "stale").await;
    std::fs::remove_file(node.plugins().join("one.wasm")).unwrap();
    stands(&node, "a", "/1", "unavailable").await;
    assert_eq!(node.post("/1", &[], "{}").await.0, 503);
}

#[tokio::test]
async fn a_deleted_hook_file_ends_access() {
    let setup = Setup::new().hook(
        "a",
        &guest("answers_one"),
        &format!("path = \"/1\"\n{OPEN}"),
    );
    let node = setup
        .hook(
            "c",
            &guest("answers_two"),
            &format!("path = \"/a\"\n{OPEN}"),
        )
        .serving("a")
        .await;
    node.until("c", "serving").await;
    std::fs::remove_file(node.plugins().join("a.toml")).unwrap();
    eventually("the rules are gone", || async {
        (node.post("/1", &[], "{}").await.0 == 404).then_some(())
    })
    .await;
    assert_eq!(node.post("/a", &[], "{}").await, (200, "two".to_owned()));
}

#[tokio::test]
async fn path_conflicts_resolve_alike_every_start() {
    for _ in 0..3 {
        let setup = Setup::new().hook(
            "z",
            &guest("answers_one"),
            &format!("path = \"/x\"\n{OPEN}"),
        );
        let node = setup
            .hook("b", &bundled("echo"), &format!("path = \"/x\"\n{OPEN}"))
            .start()
            .await;
        node.until("b", "serving").await;
        let status = node.until("z", "unavailable").await;
        assert!(
            status["problem"]
                .as_str()
                .unwrap()
                .contains("taken by hook `b`"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn unserved_hooks_follow_their_file() {
    let node = Setup::new()
        .file("z.wasm", "garbage")
        .file("z.toml", "path = \"/p1\"\n")
        .start()
        .await;
    stands(&node, "z", "/p1", "unavailable").await;
    node.put("z.toml", "path = \"/p2\"\n");
    stands(&node, "z", "/p2", "unavailable").await;
    assert_eq!(
        (
            node.post("/p1", &[], "{}").await.0,
            node.post("/p2", &[], "{}").await.0
        ),
        (404, 503)
    );
}

#[tokio::test]
async fn a_deleted_component_stops_the_hook() {
    for edit in [
        "component = \"nope.wasm\"",
        "component = \"two.wasm\"\nbogus = 1",
        "component = \"bad.wasm\"",
    ] {
        let node = at_paths(&[("a", "/1")]).await;
        node.put("two.wasm", component("answers_two"));
        node.put("bad.wasm", "garbage");
        node.put("a.toml", format!("path = \"/1\"\n{edit}\n{OPEN}"));
        stands(&node, "a", "/1", "stale").await;
        std::fs::remove_file(node.plugins().join("one.wasm")).unwrap();
        stands(&node, "a", "/1", "unavailable").await;
        assert_eq!(node.post("/1", &[], "{}").await.0, 503, "{edit}");
        // It comes back, and serves again.
        node.put("one.wasm", component("answers_one"));
        stands(&node, "a", "/1", "stale").await;
        assert_eq!(node.post("/1", &[], "{}").await.0, 200, "{edit}");
    }
}

#[tokio::test]
async fn deleting_the_file_ends_broken_hooks() {
    let setup = Setup::new().hook(
        "a",
        &guest("answers_one"),
        &format!("path = \"/x\"\n{OPEN}"),
    );
    let node = setup.serving("a").await;
    node.put("a.wasm", "garbage");
    node.until("a", "stale").await;
    std::fs::remove_file(node.plugins().join("a.toml")).unwrap();
    eventually("the rules are gone", || async {
        (node.post("/x", &[], "{}").await.0 == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn closing_edits_hand_over_the_path() {
    let node = at_paths(&[("a", "/1")]).await;
    node.put("two.wasm", component("answers_two"));
    node.put("b.toml", at_path("/1").replace("one.wasm", "two.wasm"));
    node.until("b", "unavailable").await;
    node.put("a.toml", "path = \"/1\"\ncomponent = \"one.wasm\"\n");
    says_at(&node, "/1", "two").await;
    node.until("a", "unavailable").await;
    // And a waiting one does not block an edit in place: the same route with another name of its parameter.
    node.put("k.toml", at_path("/p/{x}"));
    stands(&node, "k", "/p/{x}", "serving").await;
    node.put("l.toml", at_path("/p/{z}"));
    node.until("l", "unavailable").await;
    node.put("k.toml", at_path("/p/{y}"));
    stands(&node, "k", "/p/{y}", "serving").await;
}

async fn says_at(node: &Node, path: &str, text: &str) {
    eventually(&format!("{path} says {text}"), || async {
        (node.post(path, &[], "{}").await == (200, text.to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn broken_files_without_component_answer_503() {
    let node = at_paths(&[("a", "/1")]).await;
    node.put("a.toml", "path = [");
    stands(&node, "a", "/1", "stale").await;
    std::fs::remove_file(node.plugins().join("one.wasm")).unwrap();
    stands(&node, "a", "/1", "unavailable").await;
    assert_eq!(node.post("/1", &[], "{}").await.0, 503);
}

#[tokio::test]
async fn closing_edits_apply_during_component_changes() {
    let node = at_paths(&[("a", "/1")]).await;
    let stop = AtomicBool::new(false);
    let noise = async {
        let bytes = component("answers_one");
        while !stop.load(Ordering::Relaxed) {
            node.put("one.wasm", &bytes);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    let edit = async {
        node.settle().await;
        node.put("a.toml", "path = \"/1\"\ncomponent = \"one.wasm\"\n");
        eventually("the hook is closed", || async {
            (node.post("/1", &[], "{}").await.0 == 503).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(noise, edit);
}

#[tokio::test]
async fn closing_edits_apply_without_their_component() {
    let node = at_paths(&[("a", "/1")]).await;
    node.put("a.toml", "path = \"/1\"\ncomponent = \"nope.wasm\"\n");
    eventually("the hook is closed", || async {
        (node.post("/1", &[], "{}").await.0 == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_hooks_may_swap_their_paths() {
    let shared = format!("component = \"answers.wasm\"\n{OPEN}");
    let hook = |path: &str| format!("path = \"{path}\"\n{shared}");
    let setup = Setup::new().file("answers.wasm", component("answers_one"));
    let node = setup
        .file("a.toml", hook("/x"))
        .file("b.toml", hook("/y"))
        .serving("b")
        .await;
    node.put("a.toml", hook("/y"));
    node.put("b.toml", hook("/x"));
    eventually("both have moved", || async {
        let (a, b) = (node.hook("a").await?, node.hook("b").await?);
        (a["path"] == "/y"
            && b["path"] == "/x"
            && a["state"] == "serving"
            && b["state"] == "serving")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_component_serves_many_hooks() {
    let shared = "component = \"answers.wasm\"\n";
    let node = Setup::new()
        .file("answers.wasm", component("answers_one"))
        .file("a.toml", format!("{shared}{OPEN}"))
        .file("b.toml", format!("path = \"/shop/{{id}}\"\n{shared}{OPEN}"))
        .file("c.toml", format!("path = \"/a\"\n{shared}{OPEN}"))
        .file("Bad Name.toml", OPEN)
        .serving("b")
        .await;
    node.until("a", "serving").await;
    assert_eq!(node.post("/a", &[], "{}").await.0, 200);
    assert_eq!(node.post("/shop/7", &[], "{}").await.0, 200);
    let taken = node.until("c", "unavailable").await;
    assert!(
        taken["problem"]
            .as_str()
            .unwrap()
            .contains("path `/a` is taken by hook `a`"),
        "{taken}"
    );
    assert!(node.hook("answers").await.is_none());
    assert!(node.hook("Bad Name.toml").await.is_some());
}

#[tokio::test]
async fn unreadable_hook_file_keeps_its_path() {
    let broken = "path = \"/in/{id}\"\ncomponent = \"one.wasm\"\nmode = \"async\n[verify]\nscheme = \"none\"\n";
    let node = Setup::new()
        .file("one.wasm", component("answers_one"))
        .file("a.toml", broken)
        .start()
        .await;
    node.until("a", "unavailable").await;
    assert_eq!(
        node.post("/in/7", &[], "{}").await.0,
        503,
        "the sender tries again"
    );
    assert_eq!(node.post("/a", &[], "{}").await.0, 404);
}
