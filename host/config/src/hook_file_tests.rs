//! Hook files and manifests: defaults, mistakes, and what a manifest may suggest.

use super::*;
use crate::error::{ABOVE_TABLES, IN_VERIFY};
use crate::manifest::{parse_manifest, requests, suggested_answer_within};
use landfall_model::{GrantForm, LedgerWrites};

const CAPABILITIES: [GrantKey; 2] = [
    GrantKey {
        name: "kv",
        form: GrantForm::Flag,
        writes: LedgerWrites::Always,
    },
    GrantKey {
        name: "emit",
        form: GrantForm::Names("HOOK"),
        writes: LedgerWrites::InSync,
    },
];

fn parse(text: &str) -> Result<HookSpec, String> {
    let name = "github".parse().unwrap();
    let source = HookSource {
        name: &name,
        text,
        manifest: None,
        dir: Path::new("/plugins"),
        capabilities: &CAPABILITIES,
    };
    parse_hook(source).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_has_the_defaults() {
    let spec = parse("").unwrap();
    assert_eq!(
        (spec.path.as_str(), spec.component.as_str()),
        ("/github", "github.wasm")
    );
    assert_eq!((spec.concurrency, spec.sizes), (80, SizeSpec::default()));
    assert_eq!(spec.deadline, Duration::from_secs(60));
    assert!(spec.verify.scheme.is_none() && spec.verify.provider.is_none());
}

#[test]
fn mistakes_name_place_and_remedy() {
    for (text, expected) in [
        (
            "pth = \"/x\"",
            "github.toml:1:1: unknown key `pth`: did you mean `path`?",
        ),
        (
            "\n[verify]\nsecert = \"env:X\"",
            "github.toml:3:1: unknown key `secert`: did you mean `secret`?",
        ),
        (
            "[verify]\nprovider = \"github\"\nmode = \"async\"",
            "github.toml:3:1: `mode` belongs above [verify] and all other tables: a key below a table's header is part of that \
             table; move it up",
        ),
        (
            "secret = \"env:X\"",
            "github.toml:1:1: `secret` belongs below [verify]: move it down",
        ),
        (
            "mode = \"asinc\"",
            "github.toml:1:8: unknown value `asinc`: did you mean `async`?",
        ),
        (
            "[retry]\nattempts = 0",
            "github.toml:2:1: attempts 0 is out of range: 1 to 100",
        ),
        (
            "[retry]\nbackoff = { first = \"5m\", max = \"1m\" }",
            "github.toml:2:1: max is shorter than first",
        ),
        ("[dedup]\nid = \"body\"", "github.toml:2:6: "),
        ("[dedup]\nwindow = \"1000d\"", "github.toml:2:1: "),
        (
            "max_rate = \"fast\"",
            "github.toml:1:12: `fast` is not a rate: write \"50/s\"",
        ),
        (
            "[accepted]\nstatus = 500",
            "github.toml:2:1: status 500 does not say that an event was accepted",
        ),
        (
            "deadline = 5",
            "github.toml:1:12: invalid type: integer `5`, expected a time with its unit",
        ),
        (
            "deadline = \"2h\"",
            "github.toml:1:1: 2h is out of range: 1s to 1h",
        ),
        (
            "concurrency = 0",
            "github.toml:1:1: concurrency 0 is out of range: 1 to 1000",
        ),
        (
            "max_body = \"1TiB\"",
            "github.toml:1:1: 1.0 TiB is out of range",
        ),
        (
            "max_body = \"0B\"",
            "github.toml:1:1: 0 B is out of range: 1 B to",
        ),
        (
            "path = \"x\"",
            "github.toml:1:1: path `x` must begin with `/`",
        ),
        (
            "path = \"/größe\"",
            "github.toml:1:1: path `/größe`: no `ö` in a path",
        ),
        (
            "path = \"/a\\u0007\"",
            "github.toml:1:1: path `/a\\u{7}`: no `\\u{7}` in a path",
        ),
        (
            "path = \"/a%2\"",
            "github.toml:1:1: path `/a%2`: after `%` come two",
        ),
        (
            "path = \"/a//b\"",
            "github.toml:1:1: path `/a//b`: no empty segments",
        ),
        (
            "methods = [\"FETCH\"]",
            "github.toml:1:11: method `FETCH` cannot be used",
        ),
        (
            "[verify]\nsecret = \"hunter2\"",
            "github.toml:2:10: not a secret reference",
        ),
        (
            "component = \"../x.wasm\"",
            "github.toml:1:1: component `../x.wasm` must be the name of a file",
        ),
        (
            "[allow]\nhttp = [\"example.com\"]",
            "github.toml:2:8: `example.com` is not a URL",
        ),
        (
            "[allow]\nhttp = []\nemt = [\"x\"]",
            "github.toml:3:1: unknown key `emt`: did you mean `emit`?",
        ),
        (
            "[allow]\nemit = true",
            "github.toml:2:1: emit has another form: write emit = [\"HOOK\"]",
        ),
        (
            "[allow]\nkv = \"hunter2\"",
            "github.toml:2:1: kv has another form: write kv = true",
        ),
        (
            "[allow]\nemit = [\"A b\"]",
            "github.toml:2:1: `A b` is not a name for emit: use a-z",
        ),
        (
            "[allow]\nmode = \"sync\"",
            "github.toml:2:1: `mode` belongs above [verify]",
        ),
        (
            "[limits]\nmemory = \"2GiB\"",
            "github.toml:2:1: 2.0 GiB is out of range",
        ),
        (
            "[[credentials]]\nfor = \"https://a/\"\nheader = \"X\"\nvalue = \"${env:A}\"\n[[credentials]]\nfor = \"https://a/\"\nheader = \"x\"\nvalue = \"${env:B}\"",
            "github.toml:1:3: two credentials put header `x` for https://a/: leave one",
        ),
        (
            "[[credentials]]\nfor = \"https://a/\"\nheader = \"X\"\nvalue = \"s3cret\"",
            "github.toml:4:9: a credential needs",
        ),
    ] {
        let error = parse(text).expect_err(text);
        assert!(
            error.starts_with(expected),
            "{text}\n got {error}\nwant {expected}"
        );
        assert!(
            !error.contains("hunter2") && !error.contains("s3cret"),
            "{error}"
        );
    }
}

#[test]
fn a_manifest_suggests_but_never_grants() {
    let manifest = r#"
        path = "/m"
        methods = ["PUT"]
        mode = "async"
        answer_within = "2s"
        deadline = "5s"
        concurrency = 1000
        max_body = "64MiB"
        max_rate = "1/s"
        retry = { attempts = 100 }
        dedup = { id = "none" }
        accepted = { status = 204 }
        limits = { memory = "1GiB", kv = "1TiB" }
        [allow]
        http = ["https://a.example/"]
        [verify]
        scheme = "none"
        [settings]
        a = 1
        b = 2
    "#;
    let table = parse_manifest("x.wasm", manifest, &CAPABILITIES).unwrap();
    let parse = |text: &str, manifest: Option<&toml::Table>| {
        let name = "x".parse().unwrap();
        parse_hook(HookSource {
            name: &name,
            text,
            manifest,
            dir: Path::new("/"),
            capabilities: &CAPABILITIES,
        })
        .unwrap()
    };

    let spec = parse("[settings]\nb = 3", Some(&table));
    assert_eq!(
        (&spec.methods[0], spec.mode),
        (&http::Method::PUT, Mode::Async)
    );
    assert_eq!(
        serde_json::Value::Object(spec.settings.clone()),
        serde_json::json!({"a": 1, "b": 3})
    );
    assert_eq!(
        suggested_answer_within(&table),
        Some(Duration::from_secs(2))
    );
    // Everything else is as if there were no manifest.
    let HookSpec {
        methods,
        mode,
        settings,
        ..
    } = spec.clone();
    let without = HookSpec {
        methods,
        mode,
        settings,
        ..parse("", None)
    };
    assert_eq!(format!("{spec:?}"), format!("{without:?}"));

    let requests = requests(manifest).unwrap();
    for key in [
        "path",
        "deadline",
        "concurrency",
        "max_body",
        "max_rate",
        "retry",
        "dedup",
        "accepted",
        "limits",
        "allow",
    ] {
        assert!(requests.contains(key), "{key}: {requests}");
    }
    assert!(
        !requests.contains("answer_within") && !requests.contains("settings"),
        "{requests}"
    );
}

#[test]
fn file_secrets_are_relative() {
    let spec =
        parse("[verify]\nscheme = \"token\"\nsecret = [\"file:s/x\", \"file:/abs\"]").unwrap();
    assert_eq!(spec.verify.secret[0].to_string(), "file:/plugins/s/x");
    assert_eq!(spec.verify.secret[1].to_string(), "file:/abs");
}

#[test]
fn keys_are_named_where_they_belong() {
    let unknown = |text: String| {
        let error = parse_manifest("x.toml", &text, &CAPABILITIES)
            .err()
            .map(|error| error.message)
            .unwrap_or_default();
        error.starts_with("unknown key") || error.contains("belongs")
    };
    for key in ABOVE_TABLES {
        assert!(
            !unknown(format!("{key} = 7")) && unknown(format!("[verify]\n{key} = 7")),
            "{key}"
        );
    }
    for key in IN_VERIFY {
        assert!(
            unknown(format!("{key} = 7")) && !unknown(format!("[verify]\n{key} = 7")),
            "{key}"
        );
    }
}

#[test]
fn manifests_request_known_capabilities() {
    let read = |text: &str| parse_manifest("x.wasm", text, &CAPABILITIES);
    assert!(read("[allow]\nkv = true\nemit = [\"out\"]").is_ok());
    let error = read("[allow]\nemt = [\"out\"]").unwrap_err().to_string();
    assert!(
        error.starts_with("x.wasm:2:1: unknown key `emt`"),
        "{error}"
    );
}
