//! Components that cannot be loaded, and why: their parts, their start, what is tried again and what is not.

mod initialise;
mod messages;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use landfall_tests::{Node, Setup, component, eventually};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

const MEMORY: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\x00\x01";
/// A function without parameters, which is the start and is `unreachable`.
const TRAP: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x08\x01\x00\x0a\x05\x01\x03\x00\x00\x0b";

fn leb(bytes: &[u8]) -> (usize, usize) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let number = bytes[..length]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f));
    (number, length)
}

/// The component with one more module in it, of which it makes an instance.
fn with_instance(component: &[u8], module: &[u8]) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let (mut at, mut modules) = (8, 0_u8);
    while at < component.len() {
        let (size, length) = leb(&component[at + 1..]);
        modules += u8::from(component[at] == CORE_MODULE);
        at += 1 + length + size;
    }
    assert!(modules < 128 && module.len() < 128);
    let module = [&[CORE_MODULE, module.len() as u8], module].concat();
    let instance = [CORE_INSTANCE, 4, 1, 0, modules, 0];
    [component, &module, &instance].concat()
}

async fn problem(node: &Node, hook: &str) -> String {
    node.until(hook, "unavailable").await["problem"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn parts_of_a_component_are_bounded() {
    for (variable, key) in [
        (
            "LANDFALL_LIMITS_COMPONENT_INSTANCES",
            "limits.component_instances",
        ),
        (
            "LANDFALL_LIMITS_COMPONENT_MEMORIES",
            "limits.component_memories",
        ),
        (
            "LANDFALL_LIMITS_COMPONENT_TABLES",
            "limits.component_tables",
        ),
        ("LANDFALL_LIMITS_TABLE_ELEMENTS", "limits.table_elements"),
    ] {
        let bytes = with_instance(&component("answers_one"), MEMORY);
        let setup = Setup::new()
            .file("hook.wasm", bytes)
            .file("hook.toml", OPEN);
        let node = setup.copy().env(variable, "1").start().await;
        let why = problem(&node, "hook").await;
        assert!(
            why.contains("needs more than this node has for a component") && why.contains(key),
            "{key}: {why}"
        );
        drop(node);
        let node = setup
            .env(variable, "64")
            .env("LANDFALL_LIMITS_TABLE_ELEMENTS", "10000")
            .serving("hook")
            .await;
        assert_eq!(
            node.post("/hook", &[], "{}").await,
            (200, "one".into()),
            "{key}"
        );
    }
}

#[tokio::test]
async fn traps_at_the_start_are_named() {
    let bytes = with_instance(&component("answers_one"), TRAP);
    let node = Setup::new()
        .file("hook.wasm", bytes)
        .file("hook.toml", OPEN)
        .start()
        .await;
    let why = problem(&node, "hook").await;
    assert!(
        why.contains("traps when it is started") && why.contains("unreachable"),
        "{why}"
    );
    assert!(!why.contains("does not fit"), "{why}");
}

/// How often a hook was not loaded.
fn refusals(node: &Node, hook: &str) -> usize {
    let lines = node.log();
    let hook = format!("\"hook\":\"{hook}\"");
    lines
        .lines()
        .filter(|line| line.contains("hook not loaded") && line.contains(&hook))
        .count()
}

#[tokio::test]
async fn permanent_refusals_are_not_retried() {
    let node = Setup::new()
        .compiles()
        .env("LANDFALL_SCAN_INTERVAL", "100ms")
        .start()
        .await;
    for (name, bytes) in [
        ("traps", with_instance(&component("answers_one"), TRAP)),
        ("garbage", b"GIF89a..".to_vec()),
    ] {
        node.put(&format!("{name}.wasm"), bytes);
        node.put(&format!("{name}.toml"), OPEN);
        eventually("it is refused", || async {
            (refusals(&node, name) > 0).then_some(())
        })
        .await;
    }
    // What the machine is to blame for is tried several times meanwhile.
    std::fs::remove_dir_all(node.data().join("compiled")).unwrap();
    node.put("later.wasm", component("answers_two"));
    node.put("later.toml", OPEN);
    eventually("it is tried again", || async {
        (refusals(&node, "later") >= 3).then_some(())
    })
    .await;
    assert_eq!(
        [refusals(&node, "traps"), refusals(&node, "garbage")],
        [1, 1]
    );
}

/// Two whole versions of one hook: who may call, in which mode, and which component answers.
const VERSIONS: [(&str, &str, u16, &str); 2] = [
    ("one", "sync", 200, "one"),
    ("two", "async", 202, "\"accepted\""),
];

fn version(at: usize) -> String {
    let (name, mode, ..) = VERSIONS[at];
    let token = format!(
        "scheme = \"token\"\nfrom = {{ header = \"X-Token\" }}\nsecret = \"env:TOKEN_{at}\"\n"
    );
    format!("mode = \"{mode}\"\ncomponent = \"{name}.wasm\"\n[verify]\n{token}")
}

#[tokio::test]
async fn versions_are_never_mixed_under_load() {
    const TOKENS: [&str; 2] = ["t0ken-of-one", "t0ken-of-two"];
    let mut setup = Setup::new().file("hook.toml", version(0));
    for (at, name) in ["one", "two"].into_iter().enumerate() {
        setup = setup.file(
            &format!("{name}.wasm"),
            component(&format!("answers_{name}")),
        );
        setup = setup.env(&format!("TOKEN_{at}"), TOKENS[at]);
    }
    let node = Arc::new(setup.serving("hook").await);
    let stop = Arc::new(AtomicBool::new(false));
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let callers: Vec<_> = (0..6)
        .map(|caller| {
            let (node, stop, counts) = (node.clone(), stop.clone(), counts.clone());
            let at = caller % 2;
            tokio::spawn(async move {
                let (_, _, accepted, words) = VERSIONS[at];
                while !stop.load(Ordering::Relaxed) {
                    let (status, text) = node.post("/hook", &[("x-token", TOKENS[at])], "{}").await;
                    if status != 401 {
                        assert!(
                            status == accepted && text.contains(words),
                            "version {at}: {status} {text}"
                        );
                        counts[at].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for round in 1..=10 {
        let at = round % 2;
        node.put(".new", version(at));
        std::fs::rename(
            node.plugins().join(".new"),
            node.plugins().join("hook.toml"),
        )
        .unwrap();
        let before = counts[at].load(Ordering::Relaxed);
        eventually("the new version answers", || async {
            (counts[at].load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
}
