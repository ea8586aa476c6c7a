//! `landfall dev`: an edit is served, the last event runs again, and the difference is printed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use landfall_tests::require::missing;
use landfall_tests::{Receiver, eventually, landfall};

use super::{empty_folder, has_tools, new_handler};

const ARGUMENTS: [&str; 6] = [
    "dev",
    "--install",
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
];

/// A running `landfall dev`.
struct Dev {
    child: Child,
    printed: Arc<Mutex<String>>,
    /// What `until` has read.
    read: usize,
}

impl Dev {
    fn start(folder: &Path) -> Dev {
        let mut command = Command::new(landfall());
        command.args(ARGUMENTS).current_dir(folder);
        Dev::spawn(&mut command)
    }

    /// On a pseudoterminal, which `script` creates. After `landfall dev`, the state of the terminal is printed. `None`: no `script`.
    fn start_on_terminal(folder: &Path) -> Option<Dev> {
        let mut script = Command::new("script");
        if script.arg("--version").output().is_err() {
            missing("script, of util-linux, is not installed");
            return None;
        }

        let shell = format!(
            "'{}' {}; stty -a",
            landfall().display(),
            ARGUMENTS.join(" ")
        );
        let mut script = Command::new("script");
        script
            .args([
                "--quiet",
                "--echo",
                "always",
                "--command",
                &shell,
                "/dev/null",
            ])
            .current_dir(folder)
            .env("SHELL", "/bin/sh");
        Some(Dev::spawn(&mut script))
    }

    fn spawn(command: &mut Command) -> Dev {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), printed.clone());
        collect(child.stderr.take().unwrap(), printed.clone());
        Dev {
            child,
            printed,
            read: 0,
        }
    }

    /// Waits until these words are printed after those of the last call; the text up to them.
    async fn until(&mut self, words: &str) -> String {
        let (printed, read) = (self.printed.clone(), self.read);
        let end = eventually(&format!("`{words}` is printed"), || {
            let text = printed.lock().unwrap();
            let found = text[read..].find(words).map(|at| read + at + words.len());
            async move { found }
        })
        .await;
        let text = self.printed.lock().unwrap()[self.read..end].to_owned();
        self.read = end;
        text
    }

    fn press(&mut self, key: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{key}").unwrap();
    }

    /// As on a terminal: without the end of a line.
    fn press_alone(&mut self, key: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(key.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("dev ends", || {
            let ended = child.try_wait().unwrap();
            async move { ended }
        })
        .await
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("{}", self.printed.lock().unwrap());
        }
    }
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut into = into.lock().unwrap();
            into.push_str(&line);
            into.push('\n');
        }
    });
}

/// Replaces a text in a source file, as an editor does.
fn edit(path: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{text}");
    std::fs::write(path, text.replace(old, new)).unwrap();
}

/// How many builds have begun in this folder and wait for an edit.
fn builds_ahead(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_ahead = |process: &Path| {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        command
            .split(|byte| *byte == 0)
            .any(|one| one == b"--ahead")
            && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
    };
    processes
        .filter(|process| is_ahead(&process.path()))
        .count()
}

/// A handler that is edited, broken, and mended. Each test has a name of its own for its handler, because the tests may share cargo's
/// target directory.
async fn edits_are_served(language: &str, source: &str, (old, new): (&str, &str), broken: &str) {
    if !has_tools(language) {
        return;
    }
    let dir = empty_folder(&format!("edits-{language}"));
    let folder = new_handler(&dir, "edited", language, &["--provider", "github"]);
    let source_path = folder.join(source);

    let mut dev = Dev::start(&folder);
    if language == "python" {
        // The next build is begun before the first version is live.
        dev.until(" MiB, imports ").await;
        assert_eq!(builds_ahead(&folder), 1);
    }
    // Until the node serves the handler, there is no command to paste.
    let start = dev.until("+ live ").await;
    assert!(!start.contains("curl "), "{start}");
    // No event has arrived yet, so the first version gets the sample.
    let live = dev.until("\"received\": \"push\"").await;
    assert!(
        live.contains("curl -sS") && live.contains("x-hub-signature-256: sha256="),
        "{live}"
    );
    assert!(live.contains("edited done in "), "{live}");
    assert!(live.contains("received push"), "the handler's log: {live}");
    let functions = folder.join(".landfall/data/functions/functions.seal");
    assert!(
        functions.is_file(),
        "functions are kept for the next version"
    );

    edit(&source_path, old, new);
    dev.until("difference to the run before:").await;
    let difference = dev.until("+     \"seen\": \"push\"").await;
    assert!(
        difference.contains("-     \"received\": \"push\""),
        "{difference}"
    );
    if language == "python" {
        // A module that only a build that was begun before the edit has.
        let mut grep = Command::new("grep");
        grep.args(["-qa", "landfall_modules.txt", "build/edited.wasm"]);
        assert!(grep.current_dir(&folder).status().unwrap().success());
    }

    edit(&source_path, new, broken);
    let failed = dev.until("the last good version stays").await;
    assert!(
        failed.contains(&format!(": {source}:")),
        "file and line: {failed}"
    );
    dev.press("s");
    dev.until("\"seen\": \"push\"").await;

    edit(&source_path, broken, new);
    dev.until("no difference to the run before").await;
    dev.press("r");
    dev.until("no difference to the run before").await;
    dev.press("q");
    assert!(dev.ended().await.success());
}

#[tokio::test]
async fn rust_edits_are_served() {
    let edit = ("\"received\": kind", "\"seen\": kind");
    edits_are_served("rust", "src/lib.rs", edit, "\"seen\": kin").await;
}

#[tokio::test]
async fn typescript_edits_are_served() {
    let edit = ("json({ received: kind })", "json({ seen: kind })");
    edits_are_served("ts", "src/handler.ts", edit, "json({ seen: kind )").await;
}

#[tokio::test]
async fn python_edits_are_served() {
    let edit = ("{\"received\": kind}", "{\"seen\": kind}");
    edits_are_served("python", "handler.py", edit, "{\"seen\": kind").await;
}

#[tokio::test]
async fn panics_name_their_line() {
    let dir = empty_folder("panics");
    let folder = new_handler(&dir, "panics", "rust", &["--provider", "github"]);
    edit(
        &folder.join("src/lib.rs"),
        "    log::info(",
        "    assert!(kind.is_empty(), \"why\");\n    log::info(",
    );
    let mut dev = Dev::start(&folder);
    let failed = dev.until("    at src/lib.rs:").await;
    assert!(failed.contains("panics trap in "), "{failed}");
}

#[tokio::test]
async fn settings_are_served_without_a_build() {
    let dir = empty_folder("settings");
    let folder = new_handler(&dir, "served", "rust", &["--provider", "github"]);
    let mut dev = Dev::start(&folder);
    dev.until("\"received\": \"push\"").await;
    edit(
        &folder.join("served.toml"),
        "[verify]",
        "colour = 1\n\n[verify]",
    );
    let problem = dev.until("colour").await;
    assert!(!problem.contains("built in"), "{problem}");
}

/// A hook with a scheme of its own, on a terminal: its samples are signed, keys need no line end, and bodies of calls are compared.
#[tokio::test]
async fn single_keys_work_on_terminals() {
    let dir = empty_folder("terminal");
    let folder = new_handler(&dir, "calling", "rust", &["--template", "trigger"]);
    let receiver = Receiver::start().await;
    let url = receiver.url("/run");
    let hook_file = format!(
        "[verify]\nscheme = \"token\"\nfrom = {{ header = \"X-Token\" }}\nsecret = \"file:secrets/calling\"\n\
         [settings]\nurl = \"{url}\"\n[allow]\nhttp = [\"{url}\"]\n"
    );
    std::fs::write(folder.join("calling.toml"), hook_file).unwrap();

    let Some(mut dev) = Dev::start_on_terminal(&folder) else {
        return;
    };
    dev.until("-H 'x-token: ").await;
    let first = dev.until("\"text\": ").await;
    assert!(
        first.contains(&format!("call POST {url}: 200")),
        "the call and its body: {first}"
    );
    receiver.until_called(1).await;

    dev.press_alone("s");
    dev.until("calling done in ").await;
    receiver.until_called(2).await;

    edit(
        &folder.join("src/lib.rs"),
        "json!({ \"text\"",
        "json!({ \"title\"",
    );
    dev.until("difference to the run before:").await;
    let difference = dev.until("+     \"title\": ").await;
    assert!(difference.contains("-     \"text\": "), "{difference}");

    dev.press_alone("q");
    dev.until(" icanon").await;
    dev.until(" echo ").await;
    assert!(dev.ended().await.success());
}
