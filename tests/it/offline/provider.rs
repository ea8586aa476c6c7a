//! The built-in cases of a hook's provider.

use std::process::Command;

use landfall_tests::{landfall, root};
use serde_json::Value;

use super::{Handler, code, stderr};

fn names(report: &Value) -> Vec<(String, bool)> {
    let cases = report["cases"].as_array().unwrap();
    cases
        .iter()
        .map(|case| {
            (
                case["name"].as_str().unwrap().to_owned(),
                case["passed"] == true,
            )
        })
        .collect()
}

fn report(hook: &str) -> Value {
    Handler::new("answers_one").hook(hook).report(&[])
}

#[test]
fn providers_are_imitated() {
    let slack = report("[verify]\nprovider = \"slack\"\nsecret = \"env:NOT_SET_ANYWHERE\"\n");
    let all = [
        "slack: good signature",
        "slack: bad signature",
        "slack: stale timestamp",
        "slack: oversized body",
        "slack: ownership check",
        "slack: duplicate",
    ];
    let passed: Vec<_> = all.iter().map(|name| ((*name).to_owned(), true)).collect();
    assert_eq!(names(&slack), passed, "{slack:#}");

    // GitHub signs no time and has no ownership check.
    let github = report("[verify]\nprovider = \"github\"\nsecret = \"env:NOT_SET_ANYWHERE\"\n");
    let found: Vec<_> = names(&github).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        found,
        [
            "github: good signature",
            "github: bad signature",
            "github: oversized body",
            "github: duplicate"
        ]
    );
    assert_eq!(github["failed"], 0, "{github:#}");
}

#[test]
fn hooks_that_refuse_their_provider_fail() {
    let small =
        report("max_body = \"1MiB\"\n[verify]\nprovider = \"github\"\nsecret = \"env:S\"\n");
    let oversized = &small["cases"][2];
    assert_eq!(
        (&oversized["name"], &oversized["passed"]),
        (&"github: oversized body".into(), &false.into()),
        "{small:#}"
    );
    assert!(
        oversized.to_string().contains("raise max_body"),
        "{oversized}"
    );

    // The time is in the identity, so a redelivery has another one.
    let dedup = report(
        "[verify]\nprovider = \"slack\"\nsecret = \"env:S\"\n[dedup]\nid = [{ header = \"X-Slack-Request-Timestamp\" }]\n",
    );
    let (name, passed) = names(&dedup).pop().unwrap();
    assert_eq!(
        (name.as_str(), passed),
        ("slack: duplicate", false),
        "{dedup:#}"
    );
}

/// The packs whose ownership check needs no operator.
fn packs_with_ownership_check() -> Vec<String> {
    let is_tried =
        |rule: &toml::Value| rule.get("pair").is_none() && rule.get("needs_open").is_none();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("host/verify/src/packs")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let pack: toml::Table = text.parse().unwrap();
        let rules = pack
            .get("verify")
            .and_then(|verify| verify.get("challenge"));
        let rules = rules.and_then(toml::Value::as_array);
        if rules.is_some_and(|rules| rules.iter().any(is_tried)) {
            names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    names
}

/// The hook file is the one that `landfall new` writes.
#[test]
fn new_hooks_pass_ownership_checks() {
    let handler = Handler::new("answers_one");
    let (mut passed, mut left_out) = (0, Vec::new());
    for pack in packs_with_ownership_check() {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(landfall())
            .args([
                "new",
                "hello",
                "--lang",
                "js",
                "--template",
                "empty",
                "--provider",
                &pack,
            ])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(code(&made), Some(0), "{pack}: {}", stderr(&made));
        let hook = std::fs::read_to_string(dir.path().join("hello/hello.toml")).unwrap();
        handler.write("hello.toml", &hook);

        let output = handler.run(&["test", "--json"]);
        if stderr(&output).contains("there are no cases") {
            left_out.push(pack);
            continue;
        }
        assert_eq!(code(&output), Some(0), "{hook}\n{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let name = format!("{pack}: ownership check");
        if names(&report).contains(&(name, true)) {
            passed += 1;
        } else {
            left_out.push(pack);
        }
    }
    // They sign their ownership check too, with a key that only they have.
    assert_eq!(left_out, ["discord", "discord-events"]);
    assert!(passed >= 30, "{passed}");
}

#[test]
fn provider_keys_leave_a_note() {
    let handler = Handler::new("answers_one")
        .hook("[verify]\nprovider = \"paypal\"\nconfig = { webhook_id = \"x\" }\n")
        .case("a", "[expect]\n");
    let report = handler.report(&[]);
    assert_eq!(report["cases"].as_array().unwrap().len(), 1, "{report:#}");
    assert!(
        report["notes"][0]
            .as_str()
            .unwrap()
            .contains("provider paypal are left out"),
        "{report:#}"
    );
}

#[test]
fn provider_cases_can_be_left_out() {
    let handler = Handler::new("answers_one")
        .hook("[verify]\nprovider = \"github\"\nsecret = \"env:S\"\n")
        .case("a", "[expect]\n");
    assert_eq!(names(&handler.report(&["--no-provider-cases"])).len(), 1);
    assert_eq!(names(&handler.report(&["--case", "a"])).len(), 1);
    assert_eq!(names(&handler.report(&[])).len(), 5);
    std::fs::remove_file(handler.path("cases/a.toml")).unwrap();
    let output = handler.run(&["test", "--no-provider-cases"]);
    assert_eq!(code(&output), Some(2));
    assert!(
        stderr(&output).contains("there are no cases in"),
        "{}",
        stderr(&output)
    );
}
