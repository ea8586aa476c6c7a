//! Each key of a case: one case that passes and one that fails at that key.

use std::process::Command;

use landfall_tests::manifest::with_manifest;
use landfall_tests::{Language, component, contract_cases, landfall};
use serde_json::{Value, json};

use super::{Handler, OPEN, check_names, code, stderr, stdout};

const TEXT: &str = "[event]\njson = { case = \"text\" }\n";

#[test]
fn replies_are_compared() {
    let handler = Handler::new("replies")
        .case(
            "ok-reply",
            "[event]\njson = { seen = 1 }\n[event.headers]\nx-status = \"201\"\nx-type = \"application/json\"\n\
             [expect.reply]\nstatus = 201\nheaders = { Content-Type = \"application/json\", x-other = false }\njson = { seen = 1 }\n",
        )
        .case("ok-reply-text", "[event]\ntext = \"hello\"\n[expect.reply]\nbody = \"hello\"\n")
        .case("ok-event-file", "[event]\nbody = \"../samples/a.json\"\n[expect.reply]\njson = { a = 1 }\n")
        .case("ok-event-set", "[event]\njson = { a = { b = 1 } }\n[event.set]\n\"/a/b\" = \"x\"\n[expect.reply]\njson = { a = { b = \"x\" } }\n")
        .case("no-reply-status", "[event]\ntext = \"x\"\n[expect.reply]\nstatus = 201\n")
        .case("no-reply-header", "[event]\ntext = \"x\"\n[expect.reply.headers]\nx-other = \"1\"\n")
        .case("no-reply-body", "[event]\ntext = \"x\"\n[expect.reply]\nbody = \"y\"\n")
        .case("no-reply-json", "[event]\njson = { a = 1 }\n[expect.reply]\njson = { a = 2 }\n")
        .case("no-reply-none", "[event]\ntext = \"x\"\n[expect]\nreply = false\n");
    handler.write("samples/a.json", r#"{"a":1}"#);
    check_names(&handler.report(&[]));
}

#[test]
fn outcomes_are_compared() {
    let retry = "[event]\njson = { case = \"retry\" }\n";
    let handler = Handler::new("contract_cases")
        .case("ok-none", "[event]\njson = { case = \"none\" }\n[expect]\nreply = false\n")
        .case("ok-retry", &format!("{retry}[expect]\noutcome = \"retry\"\nreason = \"on purpose\"\n"))
        .case("ok-attempt", &format!("attempt = 2\n{retry}[expect.reply]\nbody = \"attempt 2\"\n"))
        .case(
            "ok-reject",
            "[event]\njson = { case = \"reject-reply\" }\n[expect]\noutcome = \"reject\"\nreply = { status = 409, json = { error = \"conflict\" } }\n",
        )
        .case("ok-settings", "[event]\njson = { case = \"defer\" }\n[settings]\nready = true\n[expect.reply]\nbody = \"ready\"\n")
        .case("no-outcome", &format!("{retry}[expect]\n"))
        .case("no-outcome-done", &format!("{TEXT}[expect]\noutcome = \"retry\"\n"))
        .case("no-reason", &format!("{retry}[expect]\noutcome = \"retry\"\nreason = \"by chance\"\n"))
        .case("no-outcome-settings", "[event]\njson = { case = \"defer\" }\n[settings]\nready = false\n[expect]\n")
        .case("no-reply-attempt", &format!("attempt = 3\n{retry}[expect.reply]\nbody = \"attempt 2\"\n"));
    check_names(&handler.report(&[]));
}

#[test]
fn calls_are_answered_and_compared() {
    let url = "https://api.example.com/a";
    let calls = |answer: &str, expect: &str| {
        format!(
            "[event]\njson = {{ case = \"http-error\", url = \"{url}\", method = \"POST\", headers = [[\"x-a\", \"1\"]], body = '{{\"n\":1}}' }}\n{answer}{expect}"
        )
    };
    let answered = "[[http]]\nurl = \"https://api.example.com/\"\nstatus = 201\n";
    let expected = format!(
        "[[expect.calls]]\nmethod = \"POST\"\nurl = \"{url}\"\nheaders = {{ x-a = \"1\" }}\njson = {{ n = 1 }}\n"
    );
    let twice = "[event]\njson = { case = \"send-all\", urls = [\"https://api.example.com/1\", \"https://api.example.com/2\"] }\n";
    let handler = Handler::new("contract_cases")
        .case("ok-calls", &calls(answered, &format!("{expected}[expect.reply]\nbody = \"201\"\n")))
        .case(
            "ok-error",
            &calls("[[http]]\nurl = \"https://api.example.com/\"\nerror = \"timeout\"\n", "[expect.reply]\nbody = \"timeout\"\n"),
        )
        .case(
            "ok-times",
            &format!("{twice}[[http]]\nurl = \"https://api\"\ntimes = 1\n[[http]]\nmethod = \"GET\"\nurl = \"https://api\"\nstatus = 404\n[expect.reply]\njson = [200, 404]\n"),
        )
        .case(
            "ok-denied",
            "[event]\njson = { case = \"http-error\", url = \"https://other.example.com/\" }\n[[http]]\nurl = \"https://\"\n\
             [expect]\ncalls = []\nreply = { body = \"denied\" }\n",
        )
        .case("no-calls-none", &calls(answered, "[expect]\ncalls = []\n"))
        .case("no-calls-method", &calls(answered, &expected.replace("POST", "PUT")))
        .case("no-calls-url", &calls(answered, &expected.replace("com/a", "com/b")))
        .case("no-calls-headers", &calls(answered, &expected.replace("\"1\"", "\"2\"")))
        .case("no-calls-json", &calls(answered, &expected.replace("n = 1", "n = 2")))
        .case("no-call without an answer-method", &calls("[[http]]\nmethod = \"GET\"\nurl = \"https://\"\n", "[expect]\n"));
    check_names(&handler.report(&[]));
}

#[test]
fn effects_are_compared() {
    let event = "[event]\njson = { n = 7 }\n[kv]\n\"7\" = 2\n";
    let rows = "[[expect.rows]]\ntable = \"t\"\nrow = { n = 7 }\n";
    let emitted = "[[expect.emitted]]\nhook = \"sink\"\njson = { n = 7 }\n";
    let handler = Handler::new("side_effects")
        .case(
            "ok-all",
            &format!("{event}{rows}{emitted}[expect.kv]\n\"7\" = 3\nother = false\n"),
        )
        .case("no-rows", &format!("{event}{}", rows.replace('7', "8")))
        .case(
            "no-rows-table",
            &format!("{event}{}", rows.replace("\"t\"", "\"u\"")),
        )
        .case("no-rows-none", &format!("{event}[expect]\nrows = []\n"))
        .case(
            "no-emitted",
            &format!("{event}{}", emitted.replace("sink", "other")),
        )
        .case(
            "no-emitted-json",
            &format!("{event}{}", emitted.replace('7', "8")),
        )
        .case("no-kv", &format!("{event}[expect.kv]\n\"7\" = 4\n"))
        .case(
            "no-kv-other",
            &format!("{event}[expect.kv]\nother = \"x\"\n"),
        );
    check_names(&handler.report(&[]));
}

#[test]
fn emitted_events_have_all_fields() {
    let event = "[event]\ntext = \"sink hello\"\nheaders = { key = \"k1\", kind = \"push\" }\n";
    let expect = "[[expect.emitted]]\nhook = \"sink\"\nevent-type = \"push\"\nkey = \"k1\"\nheaders = { x-from = \"emits\" }\nbody = \"hello\"\n";
    let handler = Handler::new("emits")
        .case("ok-emitted", &format!("{event}{expect}"))
        .case(
            "no-emitted-key",
            &format!("{event}{}", expect.replace("k1", "k2")),
        )
        .case(
            "no-emitted-type",
            &format!("{event}{}", expect.replace("= \"push\"", "= \"pull\"")),
        )
        .case(
            "no-emitted-header",
            &format!("{event}{}", expect.replace("\"emits\"", "\"x\"")),
        )
        .case(
            "no-emitted-body",
            &format!("{event}{}", expect.replace("\"hello\"", "\"x\"")),
        );
    check_names(&handler.report(&["--case", "ok-emitted"]));
    let report = handler.report(&[]);
    let failed: Vec<&str> = report["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["passed"] == false)
        .map(|case| case["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed.len(), 4, "{report:#}");
}

#[test]
fn stored_values_are_read_and_kept() {
    let handler = Handler::new("keeps")
        .case(
            "ok-state",
            "[event]\nquery = \"a.&b=2&c-&p*\"\n[kv]\na = \"1\"\nc = \"3\"\np1 = \"x\"\n\
             [expect]\nreply = { body = \"1\\nset\\ndeleted\\np1\" }\nkv = { a = \"1\", b = \"2\", c = false }\n",
        )
        .case("no-kv-deleted", "[event]\nquery = \"c-\"\n[kv]\nc = \"3\"\n[expect.kv]\nc = \"3\"\n")
        .case("no-kv-discarded", "[event]\nquery = \"a=1!fail\"\n[expect]\noutcome = \"retry\"\nkv = { a = \"1\" }\n");
    let report = handler.report(&[]);
    check_names(&report);
    assert!(
        report.to_string().contains("applies none of its effects"),
        "{report:#}"
    );
}

#[test]
fn clock_and_random_are_given() {
    let expect = |name: &str, value: &str| format!("[expect.reply.json]\n{name} = {value}\n");
    let handler = Handler::new("inspect_clock")
        .case("a", "now = \"2026-01-31T08:15:30Z\"\nseed = 7\n[expect]\n")
        .case("b", "now = 2026-01-31T08:15:30Z\nseed = 7\n[expect]\n")
        .case("c", "seed = 8\n[expect]\n")
        .case("d", "[expect]\n")
        .case("no-reply", &expect("now_s", "1"));
    let [first, again] = [handler.report(&[]), handler.report(&[])];
    let reply =
        |report: &Value, index: usize| report["cases"][index]["run"]["reply"]["json"].clone();
    assert_eq!(reply(&first, 0)["now_s"], 1_769_847_330);
    assert_eq!(reply(&first, 0), reply(&first, 1));
    assert_ne!(reply(&first, 0)["random"], reply(&first, 2)["random"]);
    assert_ne!(reply(&first, 0)["insecure"], reply(&first, 2)["insecure"]);
    assert_eq!(reply(&first, 2)["now_s"], 1_767_225_600);
    for index in 0..4 {
        assert_eq!(reply(&first, index), reply(&again, index), "{index}");
        let event = &first["cases"][index]["run"]["event"];
        assert_eq!(event, &again["cases"][index]["run"]["event"]);
    }
    assert_eq!(first["failed"], 1);
}

#[test]
fn log_lines_are_compared() {
    let handler = Handler::new("inspect_clock")
        .case(
            "ok-log",
            "[expect]\nlog = [\"info: the clock was read\", \"warn: on standard error\"]\n",
        )
        .case("no-log", "[expect]\nlog = [\"info: the clock stopped\"]\n")
        .case(
            "no-log-order",
            "[expect]\nlog = [\"warn: on standard error\", \"info: the clock was read\"]\n",
        );
    check_names(&handler.report(&[]));
}

#[test]
fn events_look_like_the_providers() {
    let hook = "path = \"/in/{team}/{rest...}\"\nmethods = [\"POST\", \"PUT\"]\n[verify]\nprovider = \"github\"\nsecret = \"env:S\"\n";
    let fields = |event: &str, expect: &str| format!("[event]\n{event}\n{expect}");
    let handler = Handler::new("inspect_event").hook(hook).case(
        "a",
        &fields(
            "sample = \"issues\"\nmethod = \"PUT\"\npath = \"/in/a%20b/c/d\"\nquery = \"x=1\"\ndelivery-id = \"d1\"\nheaders = { x-own = [\"1\", \"2\"], user-agent = \"Jörg\" }\n\
             attributes = { verified-by = \"me\", extra = \"2\" }\n",
            "[expect]\n",
        ),
    ).case("b", &fields("sample = \"push\"\nprovider = \"stripe\"\nevent-type = \"other\"\n", "[expect]\n"))
     .case("c", "[expect]\n");
    let report = handler.report(&["--no-provider-cases"]);
    let event = |index: usize| report["cases"][index]["run"]["reply"]["json"]["event"].clone();

    let own = event(0);
    assert_eq!(own["method"], "PUT", "{report:#}");
    assert_eq!(
        (own["path"].clone(), own["query"].clone()),
        ("/in/a%20b/c/d".into(), "x=1".into())
    );
    assert_eq!(own["provider"], "github");
    assert_eq!(own["event_type"], "issues");
    assert_eq!(own["delivery_id"], "d1");
    let text = own.to_string();
    for part in [
        "[\"x-own\",\"1\"],[\"x-own\",\"2\"]",
        "[\"user-agent\",\"Jörg\"]",
        "param:team",
        "\"a b\"",
        "param:rest",
        "\"c/d\"",
        "\"me\"",
        "\"extra\"",
        "\"signature\"",
    ] {
        assert!(text.contains(part), "{part}: {own:#}");
    }
    assert_eq!(
        (event(1)["provider"].clone(), event(1)["event_type"].clone()),
        ("stripe".into(), "other".into())
    );
    assert_eq!(event(2)["event_type"], "push");
    assert_eq!(event(2)["path"], "/in/team/rest");
}

/// What a node finds in every request over HTTP.
#[test]
fn requests_have_host_and_address() {
    let own = "[event]\ntext = \"abc\"\nhost = \"hooks.example.com\"\nuser-agent = \"Sender/1\"\n\
               client-address = \"2001:DB8::7\"\n[expect]\n";
    let emitted = "[event]\ntext = \"abc\"\nattributes = { emitted-by = \"other\" }\n[expect]\n";
    let handler = Handler::new("inspect_event")
        .case("a", "[event]\ntext = \"abc\"\n[expect]\n")
        .case("b", own)
        .case("c", emitted);
    let report = handler.report(&[]);
    let event = |index: usize| report["cases"][index]["run"]["reply"]["json"]["event"].to_string();

    let (default, own, emitted) = (event(0), event(1), event(2));
    for part in [
        "[\"host\",\"localhost\"]",
        "[\"content-length\",\"3\"]",
        "[\"client-address\",\"127.0.0.1\"]",
    ] {
        assert!(default.contains(part), "{part}: {default}");
    }
    assert!(!default.contains("user-agent"), "{default}");
    for part in [
        "[\"host\",\"hooks.example.com\"]",
        "[\"user-agent\",\"Sender/1\"]",
        "[\"client-address\",\"2001:db8::7\"]",
    ] {
        assert!(own.contains(part), "{part}: {own}");
    }
    for name in ["host", "content-length", "client-address"] {
        assert!(!emitted.contains(&format!("[\"{name}\"")), "{emitted}");
    }
}

#[test]
fn environments_have_the_cases_values() {
    let hook = "[verify]\nscheme = \"none\"\n[environment]\nMODE = \"a\"\nTOKEN = \"env:NOT_SET\"\nCOUNT = 1\n";
    let text = "[environment]\nTOKEN = \"env:nothing\"\nCOUNT = 2.0\n[expect]\n";
    let handler = Handler::new("inspect_event")
        .hook(hook)
        .case("a", text)
        .case("b", "[expect]\n");
    let report = handler.report(&[]);
    let environment = |index: usize| report["cases"][index]["run"]["reply"]["json"]["env"].clone();
    let own = json!({ "MODE": "a", "TOKEN": "env:nothing", "COUNT": "2" });
    assert_eq!(environment(0), own, "{report:#}");
    let hooks = json!({ "MODE": "a", "TOKEN": "landfall+placeholder", "COUNT": "1" });
    assert_eq!(environment(1), hooks);

    let handler = handler.case("c", "[environment]\nTOKN = \"x\"\n[expect]\n");
    let output = handler.run(&["test"]);
    assert_eq!(code(&output), Some(2), "{}", stdout(&output));
    let error = "cases/c.toml:2:1: `environment.TOKN`: the hook file does not grant this variable: did you mean `TOKEN`?";
    assert!(stderr(&output).contains(error), "{}", stderr(&output));
}

#[test]
fn cases_can_be_json() {
    let handler = Handler::new("contract_cases");
    handler.write(
        "cases/ok-json.json",
        r#"{ "event": { "json": { "case": "text" } }, "expect": { "reply": { "body": "hello" } } }"#,
    );
    handler.write(
        "cases/no-reply.json",
        r#"{ "event": { "json": { "case": "text" } }, "expect": { "reply": false } }"#,
    );
    check_names(&handler.report(&[]));
}

#[test]
fn flags_select_and_override() {
    let handler = Handler::new("contract_cases")
        .case("one", &format!("{TEXT}[expect.reply]\nbody = \"hello\"\n"))
        .case("two", &format!("{TEXT}[expect]\nreply = false\n"));
    assert_eq!(code(&handler.run(&["test"])), Some(1));
    let one = handler.run(&["test", "--case", "one"]);
    assert_eq!(code(&one), Some(0), "{}", stdout(&one));
    let set = handler.run(&["test", "--case", "two", "--set", "/case=none"]);
    assert_eq!(code(&set), Some(0), "{}", stdout(&set));
}

#[test]
fn differences_are_readable() {
    let handler = Handler::new("contract_cases")
        .case("call", "[event]\njson = { case = \"http-error\", url = \"https://api.example.com/a?token=x\", body = \"hi\" }\n[expect]\n")
        .case("fields", "[event]\njson = { case = \"fields\" }\nprovider = \"p\"\ndelivery-id = \"d\"\n[expect.reply]\njson = { provider = \"q\", event_type = \"e\", delivery_id = \"d\" }\n")
        .case("outcome", "[event]\njson = { case = \"retry\" }\n[expect]\nlog = [\"info: done\"]\n")
        .case("passes", &format!("{TEXT}[expect]\n"));
    assert_eq!(handler.text(&[]), include_str!("differences.txt"));
}

#[test]
fn traps_show_file_and_line() {
    let handler = Handler::new("traps").case("no-outcome", "[expect]\n").case(
        "ok-trap",
        "[expect]\noutcome = \"trap\"\nreason = \"boom from the guest\"\n",
    );
    let text = handler.text(&[]);
    assert!(text.contains("traps.rs:7:5"), "{text}");
    check_names(&handler.report(&[]));
}

#[test]
fn limits_of_a_node_hold() {
    let handler = Handler::new("loops")
        .hook("deadline = \"1s\"\n[verify]\nscheme = \"none\"\n")
        .case("ok-timeout", "[expect]\noutcome = \"timeout\"\n");
    check_names(&handler.report(&[]));

    let manifest = "manifest = 1\n[suggests]\nanswer_within = \"1s\"\n";
    let suggested = handler.hook("mode = \"sync\"\n[verify]\nscheme = \"none\"\n");
    let component = with_manifest(&component("loops"), manifest);
    std::fs::write(suggested.path("build/hello.wasm"), component).unwrap();
    check_names(&suggested.report(&[]));

    let (ninety, more) = ("x".repeat(90), "y".repeat(90));
    let over = "[expect]\noutcome = \"over-limit\"\nreason = \"[limits] kv = 100 B\"\nkv = { b = false }\n";
    let quota = Handler::new("keeps")
        .hook(&format!("{OPEN}[limits]\nkv = \"100B\"\n"))
        .case("ok-over", &format!("[event]\nquery = \"b=1234567890\"\n[kv]\na = \"{ninety}\"\n{over}"))
        .case("ok-same-room", &format!("[event]\nquery = \"a={more}\"\n[kv]\na = \"{ninety}\"\n[expect.kv]\na = \"{more}\"\n"));
    check_names(&quota.report(&[]));

    let denied = Handler::new("keeps")
        .hook("[verify]\nscheme = \"none\"\n")
        .case("a", "[expect]\n");
    let output = denied.run(&["test"]);
    assert_eq!(code(&output), Some(2));
    assert!(
        stderr(&output).contains("add kv = true under [allow]"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn credentials_need_no_value() {
    let hook = format!(
        "{OPEN}[[credentials]]\nfor = \"https://api.example.com/\"\nheader = \"Authorization\"\nvalue = \"Bearer ${{env:NOT_SET_ANYWHERE}}\"\n"
    );
    let call = "[event]\njson = { case = \"http-error\", url = \"https://api.example.com/a\" }\n[[http]]\nurl = \"https://\"\n";
    let handler = Handler::new("contract_cases").hook(&hook).case(
        "ok-call",
        &format!("{call}[[expect.calls]]\nurl = \"https://api.example.com/a\"\nheaders = {{ authorization = false }}\n"),
    );
    check_names(&handler.report(&[]));
}

#[test]
fn other_languages_run_the_same() {
    for language in [Language::TypeScript, Language::Python] {
        let Some(component) = contract_cases(language) else {
            continue;
        };
        let handler = Handler::of(&component)
            .hook(OPEN)
            .case("ok-text", &format!("{TEXT}[expect.reply]\nbody = \"hello\"\n"))
            .case("no-reply", &format!("{TEXT}[expect]\nreply = false\n"))
            .case(
                "ok-call",
                "[event]\njson = { case = \"http-error\", url = \"https://api.example.com/a\" }\n[[http]]\nurl = \"https://\"\nstatus = 418\n[expect.reply]\nbody = \"418\"\n",
            );
        check_names(&handler.report(&[]));
    }
}

/// On many systems the group of a user may write what the user creates.
#[test]
fn group_writable_umasks_are_fine() {
    let handler = Handler::new("contract_cases").case("text", &format!("{TEXT}[expect]\n"));
    let output = Command::new("sh")
        .args(["-c", "umask 002; exec \"$0\" test"])
        .arg(landfall())
        .current_dir(handler.dir.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}
