//! Errors of outbound calls: every case of `http-error` in `wit/http.wit` reaches handlers in TypeScript and Python as the SDKs document
//! it, and everything that names the cases names the same ones.

use landfall_tests::root;
use landfall_tests::sdks::{Sdk, sdk_cases};
use serde_json::json;
use wit_bindgen_core::wit_parser::{Resolve, TypeDefKind};

use crate::offline::{Handler, OPEN, check_names};

const URL: &str = "https://api.example.com";

/// The cases of `http-error`, in their order, and those after which nothing was sent.
struct Contract {
    cases: Vec<String>,
    nothing_sent: Vec<String>,
}

#[test]
fn typescript_handlers_see_every_error() {
    sees_every_error(Sdk::TypeScript);
}

#[test]
fn python_handlers_see_every_error() {
    sees_every_error(Sdk::Python);
}

/// One case of `landfall test` for each error of one call, and one for all of them at once.
fn sees_every_error(sdk: Sdk) {
    let Some(component) = sdk_cases(sdk) else {
        return;
    };
    let contract = Contract::of_wit();
    let mut handler = Handler::of(&component).hook(OPEN);
    let mut answers = String::new();
    let mut urls = Vec::new();
    for kind in &contract.cases {
        let url = format!("{URL}/{kind}");
        let answer = format!("[[http]]\nurl = \"{url}\"\nerror = \"{kind}\"\n");
        let seen = json!({
            "name": "HttpError",
            "kind": kind,
            "message": "the case answers with this error",
            "nothingWasSent": contract.nothing_sent.contains(kind),
        });
        let fetched = match sdk {
            Sdk::TypeScript => json!(kind),
            // A text would be a reply in plain text.
            Sdk::Python => json!([kind]),
        };
        handler = handler
            .case(
                &format!("ok-{kind}"),
                &case(
                    "http-error",
                    &format!("url = \"{url}\""),
                    &answer,
                    &toml(&seen),
                ),
            )
            .case(
                &format!("ok-fetch-{kind}"),
                &case(
                    "fetch",
                    &format!("url = \"{url}\""),
                    &answer,
                    &toml(&fetched),
                ),
            );
        answers.push_str(&answer);
        urls.push(url);
    }
    let all = case(
        "send-all",
        &format!("urls = {}", json!(urls)),
        &answers,
        &json!(contract.cases).to_string(),
    );
    check_names(
        &handler
            .case("ok-all", &all)
            .report(&["--no-provider-cases"]),
    );
}

/// A case whose event asks the component for one of its cases.
fn case(name: &str, more: &str, answers: &str, reply: &str) -> String {
    format!(
        "[event]\njson = {{ case = \"{name}\", {more} }}\n{answers}[expect.reply]\nstatus = 200\njson = {reply}\n"
    )
}

/// A value without nulls, as TOML in one line.
fn toml(value: &serde_json::Value) -> String {
    let value: toml::Value = serde_json::from_value(value.clone()).expect("TOML has these types");
    value.to_string()
}

#[test]
fn http_errors_have_one_list() {
    let contract = Contract::of_wit();
    assert_eq!(contract.cases.len(), 10, "{:?}", contract.cases);
    for (file, start, end, quote) in [
        (
            "host/model/src/delivery.rs",
            "const CALL_ERROR_WORDS: ",
            "];",
            '"',
        ),
        (
            "sdk/js/lib/failure.d.ts",
            "class HttpError",
            ";\n  /**",
            '"',
        ),
        (
            "sdk/python/landfall_sdk/_failure.py",
            "HttpErrorKind = ",
            "]\n",
            '"',
        ),
        (
            "docs/handlers/testing.md",
            "| `error` | in place",
            "|\n",
            '`',
        ),
        (
            "docs/handlers/typescript.md",
            "Its `kind` is",
            "`nothingWasSent`",
            '`',
        ),
        (
            "docs/handlers/python.md",
            "Its `kind` is",
            "`nothing_was_sent`",
            '`',
        ),
    ] {
        let mut names = quoted(file, start, end, quote);
        names.retain(|name| !["HttpError", "kind", "error"].contains(&name.as_str()));
        assert_eq!(names, contract.cases, "{file}");
    }
    for (file, start, end) in [
        ("sdk/js/lib/failure.js", "NOTHING_SENT = ", "];"),
        (
            "sdk/python/landfall_sdk/_failure.py",
            "_NOTHING_SENT = ",
            ")\n",
        ),
    ] {
        assert_eq!(
            quoted(file, start, end, '"'),
            contract.nothing_sent,
            "{file}"
        );
    }
}

/// The quoted words of a part of a file.
fn quoted(file: &str, start: &str, end: &str, quote: char) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(file)).expect("the file exists");
    let (_, part) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("{file}: no {start}"));
    let (part, _) = part
        .split_once(end)
        .unwrap_or_else(|| panic!("{file}: no {end}"));
    between(part, quote)
}

fn between(text: &str, quote: char) -> Vec<String> {
    let words = text.split(quote).skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

// === impl Contract ===

impl Contract {
    fn of_wit() -> Contract {
        let mut resolve = Resolve::default();
        for package in ["event", "http"] {
            let file = root().join("wit").join(format!("{package}.wit"));
            resolve.push_path(file).expect("the file is WIT");
        }
        let (_, error) = resolve
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some("http-error"))
            .expect("the contract has http-error");
        let TypeDefKind::Variant(variant) = &error.kind else {
            panic!("http-error is a variant");
        };
        let docs = error.docs.contents.as_deref().unwrap_or_default();
        let (_, nothing_sent) = docs
            .split_once("Nothing was sent after")
            .expect("the comment says it");
        let (nothing_sent, _) = nothing_sent.split_once('.').expect("a sentence ends");
        Contract {
            cases: variant.cases.iter().map(|case| case.name.clone()).collect(),
            nothing_sent: between(nothing_sent, '`'),
        }
    }
}
