//! Hook files and manifests that change while the node runs.

use std::time::Duration;

use landfall_tests::{Node, Setup, component, eventually, guest, with_manifest};

use super::{OPEN, always_answers, running_one, says};

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

/// The smallest component that exports something else: one empty instance named
/// `other:world/thing@1.0.0`.
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

/// A hook whose component has another name than its file, with a path of its own.
async fn running_own(path: &str, component_file: &str) -> (Node, String) {
    let hook = format!("path = \"{path}\"\ncomponent = \"{component_file}\"\n{OPEN}");
    let setup = Setup::new()
        .file(component_file, component("answers_one"))
        .file("zz.toml", &hook);
    (setup.serving("zz").await, hook)
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
        // An edit that moves to a taken path leaves both where they were, until the other goes
        // away.
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
            "manifest = 1\n[needs]\nhttp = [\"https://api.example.com/\"]\nkv = true\n",
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
async fn a_manifest_takes_no_path() {
    let node = running_one().await;
    let greedy = with_manifest(
        &component("answers_two"),
        "manifest = 1\n[suggests]\npath = \"/hook\"\nconcurrency = 999\n",
    );
    node.put("greedy.toml", OPEN);
    node.put("greedy.wasm", greedy);
    let status = node.until("greedy", "serving").await;
    assert_eq!(status["path"], "/greedy");
    let warnings = status["warnings"].to_string();
    assert!(
        warnings.contains("`path` under [suggests] is not used")
            && warnings.contains("`concurrency` under [suggests] is not used"),
        "{warnings}"
    );
    assert_eq!(
        node.post("/greedy", &[], "{}").await,
        (200, "two".to_owned())
    );
    says(&node, "one").await;
}

#[tokio::test]
async fn hook_files_change_as_a_whole() {
    let token = "mode = \"sync\"\n[verify]\nscheme = \"token\"\nfrom = { header = \"X-Token\" }\n\
         secret = \"env:TOKEN\"\n";
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
    let (begin, end) = bytes.split_at(bytes.len() / 20 * 19);
    for part in begin.chunks(bytes.len() / 20) {
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
    std::io::Write::write_all(&mut file, end).unwrap();
    says(&node, "two").await;
}
