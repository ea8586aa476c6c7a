//! The built-in cases of a hook's provider.

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
