//! `--update` and `--junit`: what the command writes.

use super::{Handler, check_names, code, stderr, stdout};

#[test]
fn updates_write_a_whole_snapshot() {
    let handler = Handler::new("side_effects").case(
        "all",
        "# What the case is about.\nattempt = 1\n\n[event]\njson = { n = 7 }   # seven\n\n[kv]\n\"7\" = \"2\"\n",
    );
    let output = handler.run(&["test", "--update"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("updated all ("),
        "{}",
        stdout(&output)
    );
    let written = handler.read("cases/all.toml");
    assert_eq!(written, include_str!("snapshot.toml"));

    // It passes, and a second update changes nothing.
    let again = handler.run(&["test", "--update"]);
    assert!(
        stdout(&again).starts_with("ok      all ("),
        "{}",
        stdout(&again)
    );
    assert_eq!(handler.read("cases/all.toml"), written);
}

#[test]
fn updates_keep_what_a_case_names() {
    let text = "[expect.reply] # only the status\nstatus = 500\n\n[event]\njson = { case = \"reject-reply\" }\n";
    let handler = Handler::new("contract_cases").case("reply", text);
    let output = handler.run(&["test", "--update"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let written = handler.read("cases/reply.toml");
    assert!(written.contains("status = 409"), "{written}");
    assert!(written.contains("outcome = \"reject\""), "{written}");
    assert!(
        !written.contains("conflict") && !written.contains("calls"),
        "{written}"
    );
    assert!(
        written.contains("[event]\njson = { case = \"reject-reply\" }\n"),
        "{written}"
    );
    assert_eq!(code(&handler.run(&["test"])), Some(0));
}

/// A lone line feed in TOML is another value than CRLF, so texts of several lines are escaped.
#[test]
fn updates_keep_line_ends() {
    let named = "# note\r\n[event]\r\njson = { case = \"text\" }\r\n\r\n[expect]\r\n\r\n\
                 [expect.reply]\r\nstatus = 500";
    let handler = Handler::new("contract_cases").case("named", named);
    assert_eq!(code(&handler.run(&["test", "--update"])), Some(0));
    let expected = named.replace("500", "200");
    assert_eq!(handler.read("cases/named.toml"), expected);

    let lines = "[event]\r\ntext = \"\"\"\r\na\r\nb\\nc\"\"\"\r\n";
    let handler = Handler::new("replies").case("lines", lines);
    handler.write(
        "cases/json.json",
        "{\r\n  \"event\": { \"text\": \"a\\nb\" }\r\n}",
    );
    assert_eq!(code(&handler.run(&["test", "--update"])), Some(0));
    for name in ["cases/lines.toml", "cases/json.json"] {
        let written = handler.read(name);
        assert!(!written.replace("\r\n", "").contains('\n'), "{written:?}");
    }
    assert!(handler.read("cases/lines.toml").starts_with(lines));
    assert!(handler.read("cases/json.json").ends_with('}'));
    check_names(&handler.report(&[]));
}

#[test]
fn updates_write_calls_and_logs() {
    let url = "https://api.example.com/a";
    let handler = Handler::new("contract_cases")
        .case(
            "calls",
            &format!(
                "[event]\njson = {{ case = \"http-error\", url = \"{url}\", body = '{{\"a\":null}}' }}\n[[http]]\nurl = \"https://\"\n\
                 [[expect.calls]]\nurl = \"{url}/old\"\nheaders = {{ x-a = \"1\" }}\njson = {{}}\n"
            ),
        )
        .case("json", "[event]\njson = { case = \"send-all\", urls = [] }\n[expect]\n");
    let output = handler.run(&["test", "--update"]);
    assert_eq!(
        code(&output),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let written = handler.read("cases/calls.toml");
    for line in [
        "[[expect.calls]]\n".to_owned(),
        format!("url = \"{url}\"\n"),
        "headers = { x-a = false }\n".to_owned(),
        // TOML has no null.
        "{\"a\":null}".to_owned(),
    ] {
        assert!(written.contains(&line), "{line}: {written}");
    }
    let again = handler.run(&["test"]);
    assert_eq!(code(&again), Some(0), "{}", stdout(&again));
}

#[test]
fn updates_of_json_cases_pass() {
    let handler = Handler::new("contract_cases");
    handler.write(
        "cases/a.json",
        r#"{ "event": { "json": { "case": "fields" } } }"#,
    );
    assert_eq!(code(&handler.run(&["test", "--update"])), Some(0));
    let written = handler.read("cases/a.json");
    assert!(written.contains("\"event_type\": null"), "{written}");
    check_names(&handler.report(&[]));
}

#[test]
fn unanswered_calls_are_not_updated() {
    let text =
        "[event]\njson = { case = \"http-error\", url = \"https://api.example.com/\" }\n[expect]\n";
    let handler = Handler::new("contract_cases").case("a", text);
    let output = handler.run(&["test", "--update"]);
    assert_eq!(code(&output), Some(1), "{}", stdout(&output));
    assert_eq!(handler.read("cases/a.toml"), text);
}

/// The results of another event are not those of the case.
#[test]
fn updates_need_the_cases_own_event() {
    let text = "[event]\njson = { case = \"text\" }\n[expect]\n";
    let handler = Handler::new("contract_cases").case("a", text);
    let output = handler.run(&["test", "--update", "--set", "/case=reject"]);
    assert_eq!(code(&output), Some(2), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("cannot be used with"),
        "{}",
        stderr(&output)
    );
    assert_eq!(handler.read("cases/a.toml"), text);
}

#[test]
fn junit_is_well_formed() {
    let handler = Handler::new("inspect_clock")
        .case("good", "[expect]\n")
        .case("bad <&\">", "[expect]\nreply = false\n");
    let output = handler.run(&["test", "--junit", "out.xml"]);
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    let text = handler.read("out.xml");
    assert!(text.starts_with("<?xml"), "{text}");
    check_well_formed(&text);
    for part in [
        "<testsuite name=\"hello\" tests=\"2\"",
        "failures=\"1\"",
        "<testcase name=\"good\" classname=\"hello\"",
        "name=\"bad &lt;&amp;&quot;&gt;\"",
        "message=\"differs: reply\"",
        "info: the clock was read",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let missing = handler.run(&["test", "--junit", "none/out.xml"]);
    assert_eq!(code(&missing), Some(2));
    assert!(
        stderr(&missing).contains("none/out.xml cannot be written"),
        "{}",
        stderr(&missing)
    );
}

/// Each element is closed, in order, and no text has a bare `<`.
fn check_well_formed(text: &str) {
    let mut open = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, rest) = part
            .split_once('>')
            .unwrap_or_else(|| panic!("no end: {part}"));
        assert!(!rest.contains('>') || rest.contains("-->"), "{rest}");
        let name = |tag: &str| tag.split_whitespace().next().unwrap_or_default().to_owned();
        match tag.chars().next() {
            Some('?' | '!') => {}
            Some('/') => assert_eq!(open.pop(), Some(name(&tag[1..])), "{text}"),
            _ if tag.ends_with('/') => {}
            _ => open.push(name(tag)),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
