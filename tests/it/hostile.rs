//! Components that do what they should not: each ends with a named outcome, in bounded time and memory, and its neighbours do not
//! notice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use landfall_tests::{Receiver, Setup, bundled, guest, landfall};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

/// What a component does, and the outcomes that its attempt may end with.
const ABUSE_CASES: [(&str, &[&str]); 51] = [
    ("computes", &["timeout"]),
    ("logs for ever", &["timeout"]),
    ("reads settings for ever", &["timeout"]),
    ("reads values for ever", &["retry", "timeout"]),
    ("writes values for ever", &["retry"]),
    ("keeps a huge value", &["retry"]),
    ("keeps many large values", &["retry"]),
    ("has a huge key", &["retry"]),
    ("has a key with SQL in it", &["done"]),
    ("lists keys for ever", &["retry", "timeout"]),
    ("overflows a counter", &["retry", "timeout"]),
    ("emits for ever", &["retry"]),
    ("emits too much", &["retry"]),
    ("emits to others", &["retry"]),
    ("emits a bad header", &["retry"]),
    ("appends for ever", &["retry"]),
    ("appends a huge row", &["retry"]),
    ("names a table in SQL", &["retry"]),
    ("appends to others", &["retry"]),
    ("calls for ever", &["retry", "timeout"]),
    ("smuggles a header", &["retry"]),
    ("sets host", &["retry"]),
    ("sets length", &["retry"]),
    ("smuggles in the path", &["retry", "done"]),
    ("calls another origin in its path", &["retry", "done"]),
    ("has a bad method", &["retry"]),
    ("connects", &["retry"]),
    ("sends a huge body", &["retry", "over-limit"]),
    ("sends many headers", &["retry", "over-limit"]),
    ("answers with many headers", &["bad-reply", "over-limit"]),
    ("answers with a line end in a header", &["bad-reply"]),
    (
        "answers with a huge body",
        &["bad-reply", "over-limit", "out-of-memory"],
    ),
    ("answers with no status", &["bad-reply"]),
    ("answers with a status that is none", &["bad-reply"]),
    ("takes memory in pieces", &["out-of-memory"]),
    ("takes memory at once", &["out-of-memory"]),
    ("recurses", &["trap"]),
    ("panics in drop", &["trap"]),
    ("panics twice", &["trap"]),
    ("aborts", &["trap"]),
    ("exits", &["trap"]),
    ("starts a thread", &["trap", "reject"]),
    ("reads files", &["retry"]),
    ("writes files", &["retry"]),
    ("connects a socket", &["retry"]),
    ("reads the environment", &["done"]),
    ("floods its output", &["timeout"]),
    ("floods its errors", &["timeout"]),
    ("reads clocks for ever", &["timeout"]),
    ("sleeps for ever", &["timeout"]),
    ("wants the event again soon", &["retry"]),
];

/// Only attempts that may time out have a short deadline: a busy machine needs more for the others.
fn hook_file(does: &str, outcomes: &[&str], to: &str) -> String {
    let deadline = if outcomes.contains(&"timeout") {
        "2s"
    } else {
        "60s"
    };
    format!(
        "component = \"abuse_cases.wasm\"\ndeadline = \"{deadline}\"\n{OPEN}[settings]\ndoes = \"{does}\"\nto = \"{to}\"\n[allow]\nkv = true\ntable = [\"t\"]\nemit = [\"neighbour\"]\nhttp = [\"{to}\"]\n[limits]\nmemory = \"32MiB\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn abuse_ends_with_its_outcome() {
    let inside = Receiver::start().await;
    let mut setup = Setup::new().hook("neighbour", &bundled("echo"), OPEN);
    setup = setup.file(
        "abuse_cases.wasm",
        std::fs::read(guest("abuse_cases")).unwrap(),
    );
    for (number, (does, outcomes)) in ABUSE_CASES.iter().enumerate() {
        setup = setup.file(
            &format!("bad-{number}.toml"),
            hook_file(does, outcomes, &inside.url("/")),
        );
    }
    let node = Arc::new(setup.serving("neighbour").await);
    for number in 0..ABUSE_CASES.len() {
        node.until(&format!("bad-{number}"), "serving").await;
    }
    let before = node.resident_kib();
    let mut peak = before;
    let mut others = Vec::new();
    for (number, (does, outcomes)) in ABUSE_CASES.iter().enumerate() {
        let (status, answer) = node.post(&format!("/bad-{number}"), &[], "{}").await;
        let hook = format!("bad-{number}");
        let attempt = node
            .logged(
                &format!("the attempt that {does}: {status} {answer}\n{}", node.log()),
                |line| line["hook"] == hook.as_str() && line["message"] == "attempt",
            )
            .await;
        let outcome = attempt["outcome"].as_str().unwrap();
        if !outcomes.contains(&outcome) {
            others.push(format!("{does}: {outcome}: {}", attempt["reason"]));
        }
        assert!(!answer.contains("set-cookie"), "{does}: {answer}");
        peak = peak.max(node.resident_kib());
        assert_eq!(
            node.post("/neighbour", &[], "{}").await.0,
            200,
            "the neighbour of who {does}"
        );
    }
    assert!(
        others.is_empty(),
        "other outcomes than expected:\n{}",
        others.join("\n")
    );
    println!(
        "resident: {before} KiB before, {peak} KiB at most, {} KiB after",
        node.resident_kib()
    );
    assert!(
        peak - before < 220 << 10,
        "{before} KiB before, {peak} KiB at most"
    );
    // No trick worked: only granted calls arrived.
    let got = inside.got();
    assert!(
        got.iter()
            .all(|one| one.headers.get_all("host").iter().count() == 1),
        "{got:?}"
    );
    assert!(
        got.iter()
            .all(|one| one.headers["host"].to_str().unwrap() == inside.address.to_string()),
        "{got:?}"
    );
    assert!(node.rows("bad-17", "t").await.is_empty());
}

/// With `LANDFALL_ABUSE_CASES=DIR` the files stay there, for `landfall-bench interference DIR`.
#[test]
fn abuse_cases_load_as_hooks() {
    let named = std::env::var_os("LANDFALL_ABUSE_CASES").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let dir = named.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(dir).unwrap();

    write_abuse_cases(dir, ABUSE_CASES.len());

    let check = Command::new(landfall())
        .args(["check", "--json", "--plugins"])
        .arg(dir)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "{report}");
    assert_eq!(
        report.matches("serving").count(),
        ABUSE_CASES.len(),
        "{report}"
    );
}

/// Writes the component and the hook files of the first `count` cases.
pub(crate) fn write_abuse_cases(dir: &Path, count: usize) {
    std::fs::copy(guest("abuse_cases"), dir.join("abuse_cases.wasm")).unwrap();
    for (does, outcomes) in &ABUSE_CASES[..count] {
        let name = does.to_lowercase().replace(' ', "-");
        let text = hook_file(does, outcomes, "http://127.0.0.1:9/");
        std::fs::write(dir.join(format!("{name}.toml")), text).unwrap();
    }
}
