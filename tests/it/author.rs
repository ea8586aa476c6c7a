//! Folders of handlers: `landfall new`, `landfall build` and `landfall dev`, as an author uses them away from the repository.

mod dev;
mod dev_faults;
mod new;
mod newcomer;
mod target;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use landfall_tests::require::missing;
use landfall_tests::{Setup, landfall};

const LANGUAGES: [&str; 4] = ["rust", "ts", "js", "python"];
const TEMPLATES: [&str; 4] = ["empty", "forward", "store", "trigger"];

/// Runs `landfall` in a folder.
fn landfall_in(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(landfall());
    command.args(args).current_dir(dir).output().unwrap()
}

/// As `landfall_in`; what it printed. It must succeed.
fn succeeds(dir: &Path, args: &[&str]) -> String {
    let output = landfall_in(dir, args);
    let text = said(&output);
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

fn said(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    out + &err
}

/// A new handler; its folder.
fn new_handler(parent: &Path, name: &str, language: &str, more: &[&str]) -> PathBuf {
    let args = [&["new", name, "--lang", language], more].concat();
    succeeds(parent, &args);
    parent.join(name)
}

/// An empty folder of this name. It is the same in each run, so that cargo does not keep what it builds of each temporary folder.
fn empty_folder(name: &str) -> PathBuf {
    let folder = landfall().with_file_name("author").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether the tools of a language are installed. With `LANDFALL_REQUIRE_ALL=1` a missing one fails the test.
pub(crate) fn has_tools(language: &str) -> bool {
    let tools: &[&str] = match language {
        "ts" | "js" => &["node", "npm"],
        "python" => &["python3"],
        _ => &["cargo"],
    };
    let starts = |tool: &&&str| {
        let output = Command::new(tool).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let all = tools.iter().filter(starts).count() == tools.len();
    if !all {
        missing(&format!(
            "{tools:?} do not start: handlers in {language} cannot be built"
        ));
    }
    all
}

/// new → build → serve → signed request → 200, in a folder away from the repository.
async fn answers_a_signed_request(language: &str) {
    if !has_tools(language) {
        return;
    }
    let dir = empty_folder(&format!("answers-{language}"));
    let folder = new_handler(&dir, "pushes", language, &["--provider", "github"]);

    let printed = succeeds(&folder, &["build", "--install"]);
    assert!(
        printed.contains("exports  landfall:hook/handler@0.1.0") && printed.contains("size "),
        "{printed}"
    );
    let component = folder.join("build/pushes.wasm");
    let hook_file = std::fs::read_to_string(folder.join("pushes.toml")).unwrap();
    let setup = Setup::new().hook("pushes", &component, &hook_file);
    std::fs::create_dir(setup.plugins().join("secrets")).unwrap();
    std::fs::copy(
        folder.join("secrets/pushes"),
        setup.plugins().join("secrets/pushes"),
    )
    .unwrap();

    let node = setup.serving("pushes").await;
    let url = node.url("/pushes");
    let sent = [
        "send",
        "github",
        "push",
        "--to",
        &url,
        "--secret",
        "file:secrets/pushes",
        "--body",
        "samples/push.json",
    ];
    let printed = succeeds(&folder, &sent);
    assert_eq!(printed.trim(), "200\n{\"received\":\"push\"}");
    let unsigned = node.post("/pushes", &[], "{}").await;
    assert_eq!(unsigned.0, 401, "{unsigned:?}");
}

#[tokio::test]
async fn rust_handlers_answer_signed_requests() {
    answers_a_signed_request("rust").await;
}

#[tokio::test]
async fn typescript_handlers_answer_signed_requests() {
    answers_a_signed_request("ts").await;
}

#[tokio::test]
async fn javascript_handlers_answer_signed_requests() {
    answers_a_signed_request("js").await;
}

#[tokio::test]
async fn python_handlers_answer_signed_requests() {
    answers_a_signed_request("python").await;
}
