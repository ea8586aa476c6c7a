//! The command line as a person meets it: what it prints, what it refuses, how it exits.

use std::process::{Command, Output};

use landfall_tests::{Setup, bundled, guest, landfall, root};

fn run(args: &[&str]) -> Output {
    run_with(args, &[])
}

fn run_with(args: &[&str], env: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    Command::new(landfall())
        .args(args)
        .envs(env.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_plugins_directory_fails() {
    assert!(
        stderr(&run(&["check", "--plugins", "no-such"]))
            .contains("plugins = no-such is not a folder")
    );
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--plugins",
        "no-such",
    ];
    let output = run(&serve);
    assert!(!output.status.success());
    let why = "plugins = no-such cannot be read: create the directory, or name another with --plugins (LANDFALL_PLUGINS)";
    assert!(stderr(&output).contains(why), "{output:?}");
}

#[test]
fn unknown_variables_get_a_suggestion() {
    for command in ["serve", "check", "doctor", "up"] {
        let output = run_with(&[command], &[("LANDFALL_LEDGER_ULR", "postgres://h/d")]);
        let said = stderr(&output);
        assert!(!output.status.success(), "{command}");
        assert!(
            said.contains("environment variable LANDFALL_LEDGER_ULR: no setting has this name"),
            "{command}: {said}"
        );
        assert!(
            said.contains("did you mean LANDFALL_LEDGER_URL?"),
            "{command}: {said}"
        );
    }
}

#[test]
fn old_flags_name_the_new_ones() {
    for (old, present) in [
        ("--accept-data-loss", "--recover-with-data-loss"),
        ("--accept-losing-events", "--allow-ephemeral-ledger"),
    ] {
        let output = run(&["serve", old]);
        let said = stderr(&output);
        assert!(
            !output.status.success() && said.contains(&format!("now {present}")),
            "{said}"
        );
    }
}

#[test]
fn old_variables_name_the_new_ones() {
    let output = run_with(&["check"], &[("LANDFALL_POLL", "1s")]);
    let said = stderr(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains(
            "environment variable LANDFALL_POLL: it is now LANDFALL_SCAN_INTERVAL: rename it"
        ),
        "{said}"
    );
}

/// What Kubernetes sets for a Service named `landfall`, and addresses as people write them.
#[tokio::test]
async fn service_links_and_short_addresses_serve() {
    let setup = Setup::new()
        .hook(
            "hook",
            &guest("answers_one"),
            "[verify]\nscheme = \"none\"\n",
        )
        .env("LANDFALL_SERVICE_HOST", "10.0.0.7")
        .env("LANDFALL_PORT", "tcp://10.0.0.7:80")
        .env("LANDFALL_PORT_80_TCP_ADDR", "10.0.0.7")
        .listen(":0", "localhost:0");
    let node = setup.serving("hook").await;
    assert!(
        node.public.ip().is_unspecified() && node.admin.ip().is_loopback(),
        "{} {}",
        node.public,
        node.admin
    );
}

#[tokio::test]
async fn an_empty_plugins_directory_warns() {
    let node = Setup::new().start().await;
    let line = node
        .logged("a warning", |line| {
            line["level"] == "WARN" && line["plugins"].is_string()
        })
        .await;
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .contains("the plugins directory is empty"),
        "{line}"
    );
}

#[test]
fn replay_asks_which_events() {
    let output = run(&["events", "replay"]);
    assert!(
        !output.status.success() && stderr(&output).contains("--hook NAME"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn check_fails_without_verify_token() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = dir.path().to_str().unwrap();
    std::fs::copy(bundled("echo"), dir.path().join("meta.wasm")).unwrap();
    std::fs::write(dir.path().join("secret"), "an app secret").unwrap();
    let file = "[verify]\nprovider = \"meta\"\nsecret = \"file:secret\"\nchallenge_secret = \"file:token\"\n";
    std::fs::write(dir.path().join("meta.toml"), file).unwrap();
    let output = run(&["check", "--plugins", plugins]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("ownership checks are refused"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("1 of them would refuse the provider's ownership check"),
        "{}",
        stdout(&output)
    );

    std::fs::write(dir.path().join("token"), "a verify token").unwrap();
    assert!(run(&["check", "--plugins", plugins]).status.success());
}

#[test]
fn check_reports_each_hooks_status() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::copy(bundled("echo"), dir.path().join("good.wasm")).unwrap();
    put("good.toml", "[verify]\nscheme = \"none\"\n");
    let plugins = dir.path().to_str().unwrap();
    let output = run(&["check", "--plugins", plugins]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("1 of 1 hooks would serve"),
        "{}",
        stdout(&output)
    );
    assert!(!stdout(&output).contains("denied"), "{}", stdout(&output));
    // What would only show when it is done is told too.
    std::fs::copy(guest("calls"), dir.path().join("calls.wasm")).unwrap();
    put("calls.toml", "[verify]\nscheme = \"none\"\n");
    let told =
        "its component imports http, and [allow] http grants nothing: each call would be denied";
    assert!(stdout(&run(&["check", "--plugins", plugins])).contains(told));
    put(
        "calls.toml",
        "[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"https://a.example/\"]\n",
    );
    assert!(!stdout(&run(&["check", "--plugins", plugins])).contains(told));
    std::fs::remove_file(dir.path().join("calls.toml")).unwrap();
    std::fs::remove_file(dir.path().join("calls.wasm")).unwrap();
    put("closed.toml", "component = \"good.wasm\"\n");
    put("typo.toml", "component = \"good.wasm\"\n[verfy]\n");
    put(
        "gone.toml",
        "component = \"nowhere.wasm\"\n[verify]\nscheme = \"none\"\n",
    );
    let output = run(&["check", "--plugins", plugins]);
    assert_eq!(output.status.code(), Some(1));
    for words in [
        "closed: the hook has no [verify] table; write into closed.toml [verify]",
        "typo.toml:2:2: unknown key `verfy`: did you mean `verify`?",
        "component nowhere.wasm is missing: put it into the plugins directory, or name its folder with --bundled",
        "1 of 4 hooks would serve",
    ] {
        assert!(
            stdout(&output).contains(words),
            "{words}\n{}",
            stdout(&output)
        );
    }
}

#[test]
fn inspect_shows_identity_and_requested_grants() {
    let output = run(&["inspect", bundled("store").to_str().unwrap()]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    for words in [
        "digest   sha256:",
        "memory   ",
        "exports  landfall:hook/handler@0.1.0",
        "imports  landfall:hook/table@0.1.0",
        "needs [allow] table = [\"NAME\"]",
        "of WASI, with nothing behind them",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let receipt = stdout(&run(&[
        "inspect",
        "--json",
        guest("emits").to_str().unwrap(),
    ]));
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["responder"], true);
    assert!(
        receipt["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["needs"] == "[allow] emit = [\"HOOK\"]"),
        "{receipt}"
    );
    assert!(receipt["memory_bytes"].as_u64().unwrap() >= 1 << 16);
    let text = stdout(&run(&["inspect", guest("answers_one").to_str().unwrap()]));
    for not_called in ["table@", "http@", "settings@", "log@"] {
        assert!(
            !text.contains(not_called),
            "a component imports what it calls, not {not_called}\n{text}"
        );
    }
    let output = run(&["inspect", root().join("Cargo.toml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is not WebAssembly"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn failed_starts_print_one_sentence() {
    for (args, env, words) in [
        (
            vec!["--config", "nowhere.toml"],
            vec![],
            "nowhere.toml: cannot be read",
        ),
        (
            vec![],
            vec![("PORT", "http")],
            "environment variable PORT: `http` is not a port",
        ),
        (
            vec!["--listen", "192.0.2.1:1"],
            vec![],
            "listen = 192.0.2.1:1 cannot be bound",
        ),
        (
            vec!["--admin-listen", "0.0.0.0:0"],
            vec![],
            "set admin.token",
        ),
        (
            vec![
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--log",
                "a=b=c",
            ],
            vec![],
            "log level `a=b=c`",
        ),
    ] {
        let args: Vec<&str> = std::iter::once("serve").chain(args).collect();
        let output = run_with(&args, &env);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(words),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
}

#[test]
fn build_says_what_is_missing() {
    let output = run(&["build", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/nowhere has no Cargo.toml"),
        "{}",
        stderr(&output)
    );
}

/// A handler whose build is quick: its component comes from the test.
fn crate_of(dir: &std::path::Path) {
    let text = "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::create_dir_all(dir.join("src")).unwrap();
    std::fs::write(dir.join("Cargo.toml"), text).unwrap();
    std::fs::write(dir.join("src/lib.rs"), "").unwrap();
}

#[tokio::test]
async fn build_waits_for_the_node() {
    let dir = tempfile::tempdir().unwrap();
    crate_of(dir.path());
    let node = Setup::new()
        .file("small.toml", "[verify]\nscheme = \"none\"\n")
        .start()
        .await;
    node.until("small", "unavailable").await;
    let build = |out: &std::path::Path, more: &[&str]| {
        let mut command = node.command();
        command
            .arg("build")
            .arg(dir.path())
            .arg("--out")
            .arg(out)
            .args(more)
            .output()
            .unwrap()
    };

    // It is no handler: the node refuses it, and the command says why.
    let refused = build(&node.plugins(), &[]);
    assert!(!refused.status.success());
    let said = stderr(&refused);
    assert!(
        said.contains("the node does not serve small.wasm: hook small: "),
        "{said}"
    );
    assert!(
        build(&node.plugins(), &["--wait", "0"]).status.success(),
        "nothing is waited for"
    );

    let elsewhere = dir.path().join("elsewhere");
    let other = build(&elsewhere, &[]);
    assert!(
        other.status.success() && stderr(&other).contains("not waiting for a node: the node at"),
        "{other:?}"
    );
    let no_node = build(&elsewhere, &["--admin", "http://127.0.0.1:9"]);
    assert!(
        no_node.status.success()
            && stderr(&no_node).contains("not waiting for a node: no node has"),
        "{no_node:?}"
    );

    // No flag says that a node runs.
    let silent = Command::new(landfall())
        .arg("build")
        .arg(dir.path())
        .args(["--json", "--out"])
        .arg(&elsewhere)
        .env_remove("LANDFALL_ADMIN")
        .output()
        .unwrap();
    assert!(
        silent.status.success() && !stderr(&silent).contains("landfall:"),
        "{silent:?}"
    );
    let built: serde_json::Value = serde_json::from_str(&stdout(&silent)).unwrap();
    assert_eq!(
        (built["file"].as_str(), &built["hooks"]),
        (
            elsewhere.join("small.wasm").to_str(),
            &serde_json::Value::Null
        ),
        "{built}"
    );
    assert_eq!(built["digest"].as_str().map(str::len), Some(64), "{built}");
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

#[tokio::test]
async fn bundled_components_are_not_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundled");
    std::fs::create_dir(&bundle).unwrap();
    std::fs::copy(bundled("echo"), bundle.join("echo.wasm")).unwrap();
    let place = bundle.to_str().unwrap();
    let output = run(&[
        "precompile",
        "--json",
        "--out",
        place,
        bundle.join("echo.wasm").to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let facts: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let compiled = std::path::Path::new(facts["compiled"].as_str().unwrap());
    assert!(
        compiled.starts_with(&bundle) && compiled.is_file(),
        "{facts}"
    );
    let hook = "component = \"echo.wasm\"\n[verify]\nscheme = \"none\"\n";
    let node = Setup::new()
        .file("in.toml", hook)
        .env("LANDFALL_BUNDLED", place)
        .serving("in")
        .await;
    assert_eq!(node.post("/in", &[], "{}").await.0, 200);
    assert_eq!(
        std::fs::read_dir(node.data().join("compiled"))
            .unwrap()
            .count(),
        0
    );
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
        code == Some(0) && said.contains("0 deliveries with their events"),
        "{said}"
    );
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
