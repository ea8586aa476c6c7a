//! Cases that cannot be run: the error names the file, the key and what to write.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use landfall_tests::landfall;

use super::{Handler, OPEN, check_names, code, stderr, stdout};

/// The error of a case with this text.
fn error_of(text: &str) -> String {
    let handler = Handler::new("contract_cases").case("push", text);
    let output = handler.run(&["test"]);
    assert_eq!(code(&output), Some(2), "{text}: {}", stdout(&output));
    stderr(&output)
}

#[test]
fn mistakes_name_key_and_way_out() {
    for (text, error) in [
        (
            "[evnt]\n[expect]\n",
            "cases/push.toml:1:2: `evnt`: unknown key: did you mean `event`?",
        ),
        (
            "[event]\nsmaple = \"push\"\n[expect]\n",
            "cases/push.toml:2:1: `event.smaple`: unknown key: did you mean `sample`?",
        ),
        (
            "[expect]\noutcom = \"done\"\n",
            "cases/push.toml:2:1: `expect.outcom`: unknown key: did you mean `outcome`?",
        ),
        (
            "[expect]\noutcome = \"fine\"\n",
            "`fine` is not an outcome: done, retry",
        ),
        (
            "[[expect.calls]]\nbdy = \"x\"\n",
            "cases/push.toml:2:1: `expect.calls.0.bdy`: unknown key: did you mean `body`?",
        ),
        (
            "[[expect.rows]]\nheaders = {}\n",
            "`expect.rows.0.headers`: unknown key",
        ),
        (
            "[expect.reply]\njson = {}\nbody = \"\"\n",
            "compare one form of the body",
        ),
        (
            "[expect]\nreply = true\n",
            "`expect.reply`: true is not a table, or false for no reply",
        ),
        (
            "[expect.kv]\na = true\n",
            "`expect.kv.a`: true is not a text, a number, or false",
        ),
        (
            "[[http]]\nstatus = 200\n[expect]\n",
            "`http.0.url`: missing",
        ),
        (
            "[[http]]\nurl = \"https://\"\nerror = \"tiemout\"\n[expect]\n",
            "`tiemout` is not an error of a call: denied, ",
        ),
        (
            "[[http]]\nurl = \"https://\"\nerror = \"timeout\"\nstatus = 200\n[expect]\n",
            "keep `error`, or `status`",
        ),
        (
            "now = \"today\"\n[expect]\n",
            "write a time such as 2026-01-31T08:15:30Z",
        ),
        (
            "[event]\nheaders = { a = [1] }\n[expect]\n",
            "`event.headers.a`: a list is not a text or a list of texts",
        ),
        ("attempt = 0\n[expect]\n", "attempts count from 1"),
        ("seed = -1\n[expect]\n", "`seed`: -1 is not a whole number"),
        (
            "[event]\njson = {}\ntext = \"\"\n[expect]\n",
            "an event has one body",
        ),
        (
            "[event]\nbody = \"none.json\"\n[expect]\n",
            "the path begins at the folder of the case",
        ),
        (
            "[event]\nmethod = \"PUT\"\n[expect]\n",
            "the hook does not take PUT: it takes POST",
        ),
        (
            "[event]\npath = \"/other\"\n[expect]\n",
            "`/other` is not a path of the hook, which has path = \"/hello\"",
        ),
        (
            "[event]\nsample = \"push\"\n[expect]\n",
            "the hook file names no provider",
        ),
        (
            "[event]\ntext = \"x\"\n[event.set]\n\"/a\" = 1\n[expect]\n",
            "the body is not JSON",
        ),
        (
            "[event.set]\n\"a\" = 1\n[expect]\n",
            "`a` is not a JSON pointer",
        ),
        (
            "[kv]\na = true\n[expect]\n",
            "`kv.a`: true is not a text or a number",
        ),
        (
            "[event]\nclient-address = \"here\"\n[expect]\n",
            "cases/push.toml:2:1: `event.client-address`: `here` is not an IP address",
        ),
        (
            "[event]\nhost = \"a\"\nheaders = { Host = \"b\" }\n[expect]\n",
            "keep `host` or `headers`",
        ),
        (
            "[environment]\nTOKEN = \"x\"\n[expect]\n",
            "cases/push.toml:2:1: `environment.TOKEN`: the hook file does not grant this variable: add TOKEN",
        ),
        (
            "[environment]\nA = [1]\n[expect]\n",
            "`environment.A`: a list is not a text, a number, true or false",
        ),
        (
            "[event]\njson = { a = [1, { b = inf }] }\n[expect]\n",
            "cases/push.toml:2:20: `event.json.a.1.b`: JSON has no inf: write a number",
        ),
        (
            "[expect.reply]\njson = { a = -nan }\n",
            "cases/push.toml:2:10: `expect.reply.json.a`: JSON has no nan",
        ),
        (
            "[event]\njson = {}\n",
            "cases/push.toml: [expect] is missing",
        ),
        ("[event\n", "cases/push.toml:1:7:"),
    ] {
        let found = error_of(text);
        assert!(found.contains(error), "{text}\n{found}");
    }
}

#[test]
fn all_mistakes_are_reported() {
    let handler = Handler::new("contract_cases")
        .case("a", "x = 1\n[expect]\n")
        .case("b", "y = 1\n[expect]\n");
    let error = stderr(&handler.run(&["test"]));
    assert!(
        error.contains("cases/a.toml:1:1") && error.contains("cases/b.toml:1:1"),
        "{error}"
    );
}

#[test]
fn untestable_folders_say_why() {
    let missing = Handler::new("contract_cases").case("a", "[expect]\n");
    std::fs::remove_file(missing.path("build/hello.wasm")).unwrap();
    let no_cases = Handler::new("contract_cases");
    let no_hook = Handler::new("contract_cases").case("a", "[expect]\n");
    std::fs::remove_file(no_hook.path("hello.toml")).unwrap();
    let unknown = Handler::new("contract_cases").case("a", "[expect]\n");
    let wrong_hook = Handler::new("contract_cases")
        .hook("pth = 1\n")
        .case("a", "[expect]\n");
    let pinned = Handler::new("contract_cases")
        .hook(&format!("digest = \"sha256:{}\"\n{OPEN}", "0".repeat(64)))
        .case("a", "[expect]\n");
    let two = Handler::new("contract_cases").case("a", "[expect]\n");
    two.write("cases/a.json", "{\"expect\":{}}");

    for (handler, args, error) in [
        (&missing, &["test"][..], "build it with `landfall build"),
        (&no_cases, &["test"], "there are no cases in"),
        (
            &no_hook,
            &["test"],
            "has no hook file: write NAME.toml there",
        ),
        (
            &unknown,
            &["test", "--case", "b"],
            "--case b: there is no such case in ./cases: a",
        ),
        (
            &wrong_hook,
            &["test"],
            "unknown key `pth`: did you mean `path`?",
        ),
        (
            &pinned,
            &["test"],
            "component hello.wasm has the digest sha256:",
        ),
        (&two, &["test"], "have the same name"),
        (
            &unknown,
            &["test", "--update", "--set", "/a=1"],
            "'--update' cannot be used with '--set",
        ),
        (
            &unknown,
            &["test", "--set", "ref=1"],
            "is not a JSON pointer",
        ),
    ] {
        let output = handler.run(args);
        assert_eq!(code(&output), Some(2), "{error}: {}", stdout(&output));
        assert!(
            stderr(&output).contains(error),
            "{error}: {}",
            stderr(&output)
        );
    }
}

/// A named pipe without a writer blocks its reader.
#[test]
fn irregular_files_are_named() {
    let pipe = |handler: &Handler, name: &str| {
        let made = Command::new("mkfifo").arg(handler.path(name)).status();
        assert!(made.unwrap().success());
    };
    let refused = |handler: &Handler, error: &str| {
        let output = Command::new("timeout")
            .arg("60")
            .arg(landfall())
            .arg("test")
            .current_dir(handler.path(""))
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(2), "{error}: {}", stdout(&output));
        let found = stderr(&output);
        assert!(found.contains(error), "{error}: {found}");
    };

    let handler = Handler::new("contract_cases");
    pipe(&handler, "cases/pipe.toml");
    let error = "cases/pipe.toml cannot be read: it is a named pipe, and only regular files";
    refused(&handler, error);

    let handler = Handler::new("contract_cases");
    let _socket = UnixListener::bind(handler.path("cases/socket.json")).unwrap();
    refused(&handler, "cases/socket.json cannot be read: it is a socket");

    let handler = Handler::new("contract_cases");
    std::fs::create_dir(handler.path("cases/folder.toml")).unwrap();
    let error = "cases/folder.toml cannot be read: it is a directory";
    refused(&handler, error);

    let handler = Handler::new("contract_cases");
    symlink("loop.toml", handler.path("cases/loop.toml")).unwrap();
    refused(&handler, "cases/loop.toml cannot be read: Too many levels");

    let body = "[event]\nbody = \"pipe\"\n[expect]\n";
    let handler = Handler::new("contract_cases").case("body", body);
    pipe(&handler, "cases/pipe");
    let error = "cases/body.toml:2:1: `event.body`: ./cases/pipe cannot be read: it is a named";
    refused(&handler, error);
}

/// Bodies can stand beside the cases, and cases can be links.
#[test]
fn other_files_are_left_alone() {
    let handler = Handler::new("contract_cases");
    let text = "[event]\njson = { case = \"text\" }\n[expect.reply]\nbody = \"hello\"\n";
    handler.write("shared/text.toml", text);
    handler.write("cases/bodies/a.json", "{}");
    symlink("../shared/text.toml", handler.path("cases/ok-text.toml")).unwrap();
    symlink("..", handler.path("cases/loop")).unwrap();
    check_names(&handler.report(&[]));
}

#[test]
fn large_bodies_are_refused() {
    let handler = Handler::new("contract_cases")
        .hook("max_body = \"1KiB\"\n[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"https://x.example/\"]\n")
        .case("a", &format!("[event]\ntext = \"{}\"\n[expect]\n", "x".repeat(1025)));
    let output = handler.run(&["test"]);
    assert_eq!(code(&output), Some(2));
    assert!(
        stderr(&output).contains("the body has 1025 bytes and max_body is 1024"),
        "{}",
        stderr(&output)
    );
}
