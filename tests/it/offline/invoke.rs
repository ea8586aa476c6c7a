//! `landfall invoke`.

use std::process::Command;

use landfall_tests::{Receiver, landfall};
use serde_json::Value;

use super::{Handler, code, stderr, stdout};

fn json(handler: &Handler, args: &[&str]) -> Value {
    let output = handler.run(&[&["invoke", "build/hello.wasm", "--json"], args].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

#[test]
fn bodies_and_cases_are_events() {
    let handler = Handler::new("contract_cases").case(
        "call",
        "[event]\njson = { case = \"http-error\", url = \"https://api.example.com/a\" }\n[[http]]\nurl = \"https://\"\nstatus = 204\n",
    );
    handler.write("text.json", r#"{"case":"text"}"#);
    let text = json(&handler, &["--event", "text.json"]);
    assert_eq!(text["outcome"], "done", "{text}");
    assert_eq!(text["reply"]["body"], "hello");
    for number in ["ms", "load_ms", "memory_bytes"] {
        assert!(text[number].as_f64().unwrap() > 0.0, "{number}: {text}");
    }
    let call = json(&handler, &["--event", "cases/call.toml"]);
    assert_eq!(call["calls"][0]["url"], "https://api.example.com/a");
    assert_eq!(call["reply"]["body"], "204");
    let set = json(&handler, &["--event", "text.json", "--set", "/case=reject"]);
    assert_eq!(
        (&set["outcome"], &set["reason"]),
        (&"reject".into(), &"rejected on purpose".into())
    );
}

#[test]
fn what_happened_is_printed() {
    let handler = Handler::new("side_effects");
    handler.write("one.json", r#"{"n":7}"#);
    let output = handler.run(&["invoke", "build/hello.wasm", "--event", "one.json"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for line in [
        "outcome  done\n",
        " ms to load, ",
        "memory   ",
        "row      t {\"n\":7}\n",
        "kv       7 = \"1\"\n",
        "emitted  sink\n         {\"n\":7}\n",
        "reply    none: the host answers\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// The default of many systems: the group can write new files.
#[test]
fn every_umask_and_name_work() {
    let handler = Handler::new("contract_cases");
    handler.write("text.json", r#"{"case":"text"}"#);
    std::fs::rename(handler.path("build/hello.wasm"), handler.path("Foo.wasm")).unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "umask 002 && exec \"$0\" invoke Foo.wasm --event text.json",
        ])
        .arg(landfall())
        .current_dir(handler.path(""))
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("hook     no hook file"));
}

/// What a sender writes must not move the cursor or change the order of the text.
#[test]
fn terminals_get_no_escape_sequences() {
    let handler = Handler::new("replies");
    handler.write("evil.txt", "one\u{1b}[2J\ntwo\u{202e}");
    let output = handler.run(&["invoke", "build/hello.wasm", "--event", "evil.txt"]);
    let text = stdout(&output);
    assert!(
        text.contains("\n         one\\u{1b}[2J\n         two\\u{202e}\n"),
        "{text}{}",
        stderr(&output)
    );

    handler.write(
        "cases/a.toml",
        "[event]\nbody = \"../evil.txt\"\n[expect.reply]\nbody = \"x\"\n",
    );
    let text = stdout(&handler.run(&["test"]));
    assert!(
        text.contains("two\\u{202e}") && !text.contains(['\u{1b}', '\u{202e}']),
        "{text}"
    );
}

#[test]
fn exit_codes_tell_outcomes() {
    let handler = Handler::new("contract_cases");
    handler.write("reject.json", r#"{"case":"reject"}"#);
    let run = |args: &[&str]| handler.run(&[&["invoke"], args].concat());
    let rejected = run(&["build/hello.wasm", "--event", "reject.json"]);
    assert_eq!(code(&rejected), Some(1), "{}", stderr(&rejected));
    let missing = run(&["build/other.wasm", "--event", "reject.json"]);
    assert_eq!(code(&missing), Some(2));
    assert!(
        stderr(&missing).contains("build/other.wasm cannot be read"),
        "{}",
        stderr(&missing)
    );
}

// The receiver answers while the command runs.
#[tokio::test(flavor = "multi_thread")]
async fn the_network_needs_permission() {
    let receiver = Receiver::start().await;
    receiver.say("from the network");
    let url = receiver.url("/a");
    let handler = Handler::new("calls").hook(&format!(
        "[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"{url}\"]\n[settings]\nurl = \"{url}\"\n"
    ));
    handler.write("empty.json", "{}");
    let faked = json(&handler, &["--event", "empty.json"]);
    assert_eq!(faked["reply"]["json"]["error"], "unreachable", "{faked}");
    let real = json(&handler, &["--event", "empty.json", "--allow-network"]);
    assert_eq!(real["reply"]["json"]["text"], "from the network", "{real}");
    assert_eq!(real["calls"][0]["status"], 200);
}
