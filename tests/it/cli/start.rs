//! What `serve` and `up` refuse, warn about and print at their start.

use landfall_tests::{Setup, bundled, guest};

use super::{run, run_with, stderr, stdout};

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
    let why = "plugins = no-such cannot be read: create the directory, or name another with \
         --plugins (LANDFALL_PLUGINS)";
    assert!(stderr(&output).contains(why), "{output:?}");
}

#[test]
fn unknown_variables_get_a_suggestion() {
    let commands = [
        "serve",
        "check",
        "doctor",
        "up",
        "hooks",
        "events list",
        "rows --hook a b",
        "kv a",
        "explain",
        "ready",
    ];
    for (command, value) in commands
        .iter()
        .flat_map(|command| [(command, "postgres://h/d"), (command, "")])
    {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = run_with(&arguments, &[("LANDFALL_LEDGER_ULR", value)]);
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
fn check_warns_of_an_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let plugins = dir.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    for command in ["check", "doctor"] {
        let output = run(&[
            command,
            "--plugins",
            plugins.to_str().unwrap(),
            "--data",
            data.to_str().unwrap(),
        ]);
        let said = stdout(&output);
        assert!(
            said.contains("warning: the plugins directory") && said.contains("is empty"),
            "{command}: {said}"
        );
    }
}

#[test]
fn unwritable_help_is_an_error() {
    for arguments in [&["--help"][..], &["events", "--help"], &["--version"]] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = std::process::Command::new(landfall_tests::landfall())
            .args(arguments)
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            stderr(&output).contains("standard output cannot be written"),
            "{output:?}"
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
    node.logged("a warning", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN"
            && message.starts_with("the plugins directory ")
            && message.contains(" is empty")
    })
    .await;
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
