//! What commands print, and where they may print it.

use std::process::Command;

use landfall_tests::{Setup, bundled, guest, landfall};

use super::{run, run_with, stderr, stdout};

#[test]
fn replay_asks_which_events() {
    let output = run(&["events", "replay"]);
    assert!(
        !output.status.success() && stderr(&output).contains("--hook NAME"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn requests_are_printed_as_json() {
    let secret = [("S", "secret")];
    let sign = |more: &[&str]| {
        let words = ["sign", "github", "--secret", "env:S", "--json"];
        run_with(&[&words[..], more].concat(), &secret)
    };
    let output = sign(&["--to", "http://localhost:8080/github"]);
    let request: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (&request["method"], &request["url"]),
        (&"POST".into(), &"http://localhost:8080/github".into()),
        "{request}"
    );
    assert!(
        request["headers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|header| header[0] == "x-hub-signature-256"),
        "{request}"
    );
    assert!(request["body"]["text"].is_string(), "{request}");

    let node = Setup::new()
        .hook("github", &bundled("echo"), "[verify]\nscheme = \"none\"\n")
        .serving("github")
        .await;
    let to = node.url("/github");
    let send = |to: &str| {
        let words = ["send", "github", "--secret", "env:S", "--json", "--to"];
        run_with(&[&words[..], &[to]].concat(), &secret)
    };
    let output = send(&to);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (output.status.code(), &answer["status"]),
        (Some(0), &200.into()),
        "{answer}"
    );
    assert!(answer["body"].is_string(), "{answer}");
    let output = send(&node.url("/nowhere"));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (output.status.code(), &answer["status"]),
        (Some(1), &404.into()),
        "{answer}"
    );
}

#[test]
fn bad_urls_are_refused() {
    for (flag, url, words) in [
        ("--to", "httpx", "write a URL such as"),
        ("--to", "localhost:8080/x", "no http or https URL"),
        ("--to", "ftp://host/x", "no http or https URL"),
        ("--to", "http:host", "no http or https URL with a host"),
        ("--to", "http:///host", "no http or https URL with a host"),
        ("--to", "http://", "empty host"),
        ("--to", "http://x:99999/", "invalid port number"),
        ("--to", "http://me:pw@host/", "has a user or password"),
        ("--to", "http://host/#part", "leave out what follows #"),
        ("--public-url", "example.com", "--public-url example.com"),
    ] {
        for command in ["send", "sign"] {
            let mut words_of = vec![command, "github", "--secret", "env:S", flag, url];
            if flag != "--to" {
                words_of.extend(["--to", "http://127.0.0.1:9/"]);
            }
            let output = run_with(&words_of, &[("S", "secret")]);
            let said = stderr(&output);
            assert!(
                output.status.code() == Some(1) && said.contains(words) && !said.contains("me:pw"),
                "{words_of:?}: {said}"
            );
        }
    }
    let upper = [
        "sign",
        "github",
        "--secret",
        "env:S",
        "--to",
        "HTTP://host/x",
    ];
    assert!(run_with(&upper, &[("S", "secret")]).status.success());
}

#[test]
fn help_lists_the_commands() {
    let text = stdout(&run(&["--help"]));
    for command in ["up", "serve", "check", "inspect", "build"] {
        assert!(text.contains(command), "{command}\n{text}");
    }
}

#[test]
fn unwritable_output_ends_commands() {
    let command = |words: &[&str]| {
        let mut command = Command::new(landfall());
        command.args(words).stderr(std::process::Stdio::piped());
        command
    };
    for words in [
        &["providers"][..],
        &["providers", "github"],
        &["sign", "github", "--to", "http://x/", "--secret", "env:S"],
    ] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = command(words)
            .env("S", "secret")
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("standard output cannot be written"),
            "{words:?}: {said}"
        );

        let mut child = command(words)
            .env("S", "secret")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stderr.len()),
            (Some(0), 0),
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn operators_see_what_a_command_does() {
    let file = "mode = \"async\"\n[verify]\nscheme = \"none\"\n[retry]\nattempts = 1\n";
    let node = landfall_tests::Setup::new()
        .hook("traps", &guest("traps"), file)
        .serving("traps")
        .await;
    let mut events = Vec::new();
    for _ in 0..2 {
        events.push(landfall_tests::event_id(
            &node.post("/traps", &[], "{}").await,
        ));
    }
    node.until_states("traps", &["dead", "dead"]).await;
    let command = |line: &str| {
        let output = node.command().args(line.split(' ')).output().unwrap();
        (output.status.code(), stdout(&output) + &stderr(&output))
    };

    let (code, said) = command(&format!("events discard {}", events[0]));
    assert!(code == Some(2) && said.contains("--reason"), "{said}");
    let (code, said) = command("events discard --hook traps --reason old --dry-run");
    assert!(
        code == Some(0)
            && said.contains(&events[1][..18])
            && said.contains("2 deliveries would be discarded"),
        "{said}"
    );
    let (code, said) = command(&format!("events discard {} --reason old", events[0]));
    assert!(
        code == Some(0) && said.contains("1 delivery discarded"),
        "{said}"
    );
    let (code, said) = command(&format!("events discard {} --reason old", events[0]));
    assert!(
        code == Some(1) && said.contains("no delivery of these events is dead or pending"),
        "{said}"
    );
    let (_, said) = command("events list --hook traps");
    assert!(said.contains("discarded: old"), "{said}");
    let (_, said) = command("events stats");
    assert!(
        said.contains("discarded") && said.contains("dead"),
        "{said}"
    );

    let (_, said) = command("events replay --hook traps --dry-run");
    assert!(said.contains("1 event would be replayed"), "{said}");
    let (_, said) = command("events replay --hook traps --again --dry-run --json");
    let sum: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&sum["events"], &sum["dry_run"]),
        (&2.into(), &true.into()),
        "{said}"
    );
    let (code, said) = command(&format!("events retry-now {}", events[1]));
    assert!(
        code == Some(1) && said.contains("0 deliveries due now; 1 left alone"),
        "{said}"
    );
    let (code, said) = command("events purge --hook traps --dry-run");
    assert!(
        code == Some(1) && said.contains("hook `traps` exists"),
        "{said}"
    );
    let (code, said) = command("events purge --hook gone");
    assert!(
        code == Some(1) && said.contains("there is no hook `gone`"),
        "{said}"
    );
    for unknown in [
        "list",
        "tail",
        "replay",
        "replay --dry-run",
        "discard --reason x",
        "retry-now",
        "purge --dry-run",
    ] {
        let (code, said) = command(&format!("events {unknown} --hook nope"));
        assert!(
            code == Some(1) && said.contains("there is no hook `nope`"),
            "{unknown}: {said}"
        );
        assert!(!said.contains("RECEIVED"), "{unknown}: {said}");
    }
    let (code, said) = command("events list --outcome nope");
    assert!(
        code == Some(1) && said.contains("`nope` is not an outcome: done, retry, defer"),
        "{said}"
    );
    // A hook without events is known.
    let (code, said) = command("events list --hook traps --outcome done");
    assert!(code == Some(0) && said.starts_with("RECEIVED"), "{said}");
}

#[test]
fn facts_are_printed_as_json() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.toml"), "component = \"gone.wasm\"\n").unwrap();
    let plugins = dir.path().to_str().unwrap();
    for (command, code) in [("check", 1), ("doctor", 1)] {
        let data = dir.path().join("data");
        let output = run(&[
            command,
            "--json",
            "--plugins",
            plugins,
            "--data",
            data.to_str().unwrap(),
        ]);
        let facts: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(
            (output.status.code(), &facts["ok"]),
            (Some(code), &false.into()),
            "{facts}"
        );
        assert_eq!(facts["hooks"][0]["name"], "a", "{facts}");
    }
    let version: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["version", "--json"]))).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn hidden_commands_are_never_suggested() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&run(&["completions", shell]));
        assert!(
            script.contains("retry-now") && !script.contains("plain-server"),
            "{shell}"
        );
    }
    let page = stdout(&run(&["man"]));
    assert!(
        page.contains(".TH landfall")
            && page.contains("events")
            && !page.contains("plain\\-server"),
        "{page}"
    );
    let dir = tempfile::tempdir().unwrap();
    assert!(
        run(&["man", "--out", dir.path().to_str().unwrap()])
            .status
            .success()
    );
    assert!(dir.path().join("landfall-events-discard.1").exists());
    for (typo, hidden) in [("plain-serve", "'plain-server'"), ("compil", "'compile'")] {
        let said = stderr(&run(&[typo]));
        assert!(
            said.contains("unrecognized subcommand") && !said.contains(hidden),
            "{said}"
        );
    }
}
