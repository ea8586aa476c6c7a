//! `[settings]` against the schema that a component carries: found at load, with the place and the way out.

use std::process::Command;

use landfall_tests::{
    Node, Setup, bundled, component, eventually, guest, landfall, root, with_manifest,
};
use serde_json::Value;

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

async fn problem(node: &Node, hook: &str, state: &str) -> String {
    node.until(hook, state).await["problem"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn mistakes_are_found_at_load() {
    let allow = "[allow]\nhttp = [\"https://a.example/in/\"]\n";
    for (settings, words) in [
        (
            "ulr = \"https://a.example/in/x\"",
            "hook.toml:5:1: [settings] unknown key `ulr`: did you mean `url`?",
        ),
        ("", "[settings] missing key `url` (a URL)"),
        (
            "url = \"https://b.example/\"",
            "hook.toml:5:1: [settings] `url` is not in [allow] http",
        ),
        ("url = \"a.example\"", "`url` is not a whole URL"),
        (
            "url = \"https://a.example/in/x\"\nbody = \"{{ event.\"",
            "hook.toml:6:1: [settings] `body` is not a template",
        ),
        (
            "url = \"https://a.example/in/x\"\n[[settings.when]]\nheadr = \"X\"\nexists = true",
            "hook.toml:7:1: [settings] unknown key `headr` in when[0]: did you mean `header`?",
        ),
    ] {
        let file = format!("[verify]\nscheme = \"none\"\n[settings]\n{settings}\n{allow}");
        let node = Setup::new()
            .hook("hook", &bundled("trigger"), &file)
            .start()
            .await;
        let why = problem(&node, "hook", "unavailable").await;
        assert!(why.contains(words), "{settings}\n got {why}\nwant {words}");
        assert_eq!(node.post("/hook", &[], "{}").await.0, 503);
    }
}

#[tokio::test]
async fn settings_without_grants_are_found() {
    let get = "[allow]\nhttp = [\"GET https://a.example/\"]\n";
    let tables = "[allow]\ntable = [\"t\"]\n";
    for (handler, settings, allow, words) in [
        (
            "forward",
            "targets = []",
            get,
            "`targets` has to be at least 1 items",
        ),
        (
            "forward",
            "targets = [\"https://a.example/\"]",
            get,
            "`targets[0]` is not in [allow] http for POST",
        ),
        (
            "store",
            "table = \"t2\"",
            tables,
            "`table` is \"t2\", which is not in [allow] table",
        ),
        (
            "store",
            "table = \"t\"\nfields = { a = \"x\" }",
            tables,
            "`fields.a` is not a JSON pointer: write \"/x\"",
        ),
        (
            "trigger",
            "url = \"https://a.example/\"\nmethod = \"GET\"\nwhen = [{ json = \"ref\", exists = true }]",
            get,
            "`when[0].json` is not a JSON pointer: write \"/ref\"",
        ),
        (
            "fan-out",
            "hooks = [\"next\"]",
            "[allow]\nemit = [\"other\"]\n",
            "`hooks[0]` is \"next\", which is not in [allow] emit",
        ),
        (
            "filter",
            "hooks = [\"other\"]\notherwise = [\"next\"]\nwhen = [{ field = \"method\", exists = true }]",
            "[allow]\nemit = [\"other\"]\n",
            "`otherwise[0]` is \"next\", which is not in [allow] emit",
        ),
        (
            "filter",
            "hooks = [\"other\"]\nwhen = []",
            "[allow]\nemit = [\"other\"]\n",
            "`when` has to be at least 1 items",
        ),
        (
            "archive",
            "url = \"https://b.example/bucket\"",
            get,
            "`url` is not in [allow] http",
        ),
        (
            "teams-notify",
            "url = \"https://a.example/flow\"\ntext = \"hi\"",
            get,
            "`url` is not in [allow] http for POST",
        ),
        (
            "agent",
            "model = \"m\"\nprompt = \"hi\"\ntarget = \"https://a.example/\"",
            get,
            "`target` is not in [allow] http for POST",
        ),
        (
            "email",
            "service = \"smtp\"\nfrom = \"a@b\"\nto = \"c@d\"\nsubject = \"x\"",
            get,
            "`service`",
        ),
    ] {
        let file = format!("[verify]\nscheme = \"none\"\n[settings]\n{settings}\n{allow}");
        let node = Setup::new()
            .hook("hook", &bundled(handler), &file)
            .start()
            .await;
        let why = problem(&node, "hook", "unavailable").await;
        assert!(why.contains(words), "{settings}\n got {why}\nwant {words}");
    }
}

#[tokio::test]
async fn bad_settings_keep_last_good_version() {
    let good = |url: &str| {
        format!("{OPEN}[settings]\nurl = \"{url}\"\n[allow]\nhttp = [\"https://a.example/\"]\n")
    };
    let node = Setup::new()
        .hook("hook", &bundled("trigger"), &good("https://a.example/1"))
        .serving("hook")
        .await;
    node.put("hook.toml", good("https://b.example/1"));
    let why = problem(&node, "hook", "stale").await;
    assert!(why.contains("is not in [allow] http"), "{why}");
    node.put("hook.toml", good("https://a.example/2"));
    node.until("hook", "serving").await;
}

#[tokio::test]
async fn references_in_settings_are_warnings() {
    let settings = "[settings]\ntoken = \"Bearer ${env:TOKEN}\"\nshell = \"${HOME}\"\nown = \"${event.id} {{ x }}\"\n";
    let file = format!("{OPEN}{settings}");
    let node = Setup::new()
        .hook("hook", &guest("answers_one"), &file)
        .serving("hook")
        .await;
    let expected = [
        "[settings] `token` contains `${env:TOKEN}`, which the host does not replace",
        "[settings] `shell` contains `${HOME}`",
    ];
    let status = node.hook("hook").await.unwrap();
    let check = Command::new(landfall())
        .args(["check", "--plugins"])
        .arg(node.plugins())
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
    let check = String::from_utf8(check.stdout).unwrap();
    for warning in expected {
        node.until_log(warning).await;
        assert!(status["warnings"].to_string().contains(warning), "{status}");
        assert!(check.contains(warning), "{check}");
    }
    assert!(!check.contains("`own`"), "{check}");
}

#[tokio::test]
async fn any_component_may_carry_a_schema() {
    let in_toml = "[settings-schema]\nrequired = [\"branch\"]\n[settings-schema.properties.branch]\ntype = \"string\"\n";
    let in_json = r#"settings-schema = '{"properties": {"branch": {"enum": ["main", "next"]}}}'"#;
    let remote =
        r#"settings-schema = '{"properties": {"branch": {"$ref": "http://127.0.0.1:9/"}}}'"#;
    let endless = r##"settings-schema = '{"allOf": [{"$ref": "#"}, {"$ref": "#"}]}'"##;
    let setup = Setup::new();
    let hook = |setup: Setup, name: &str, manifest: &str, settings: &str| {
        let manifest = format!("manifest = 1\n{manifest}");
        let bytes = with_manifest(&component("answers_one"), &manifest);
        setup.file(&format!("{name}.wasm"), bytes).file(
            &format!("{name}.toml"),
            format!("{OPEN}[settings]\n{settings}\n"),
        )
    };
    let setup = hook(setup, "good", in_toml, "branch = \"x\"");
    let setup = hook(setup, "number", in_toml, "branch = 7");
    let setup = hook(setup, "other", in_json, "branch = \"mian\"");
    let setup = hook(setup, "remote", remote, "branch = \"x\"");
    let setup = hook(setup, "endless", endless, "branch = \"x\"");
    let setup = hook(setup, "broken", "settings-schema = '{'", "branch = \"x\"");
    // Without a schema anything goes.
    let free = format!("{OPEN}[settings]\nnobody_knows = 1\n");
    let node = setup
        .hook("free", &guest("answers_one"), &free)
        .start()
        .await;
    node.until("good", "serving").await;
    node.until("free", "serving").await;
    for (hook, words) in [
        ("number", "`branch` is a number, where a text is expected"),
        (
            "other",
            "`branch` is not one of \"main\", \"next\": did you mean \"main\"?",
        ),
        ("remote", "only parts of itself can be used"),
        (
            "endless",
            "takes too much work to check, or refers to itself",
        ),
        ("broken", "settings-schema is not JSON"),
    ] {
        let why = problem(&node, hook, "unavailable").await;
        assert!(why.contains(words), "{why}");
    }
    assert!(
        node.hook("good").await.unwrap()["wants"].is_null(),
        "a schema asks for nothing"
    );
    eventually("it answers", || async {
        (node.post("/good", &[], "{}").await.0 == 200).then_some(())
    })
    .await;
}

#[test]
fn every_bundled_handler_has_a_schema() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("plugins")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if root()
            .join("plugins")
            .join(&name)
            .join(format!("{name}.toml"))
            .exists()
        {
            let file = format!("{OPEN}[settings]\nnobody_knows = 1\n");
            std::fs::write(dir.path().join(format!("{name}.toml")), file).unwrap();
            names.push(name);
        }
    }
    let bundle = bundled("echo").parent().unwrap().to_owned();
    let output = Command::new(landfall())
        .arg("check")
        .arg("--plugins")
        .arg(dir.path())
        .arg("--bundled")
        .arg(&bundle)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && names.len() >= 13, "{text}");
    for name in names {
        assert!(
            text.contains(&format!(
                "{name}.toml:5:1: [settings] unknown key `nobody_knows`"
            )),
            "{name}\n{text}"
        );
    }
}

#[test]
fn inspect_lists_the_settings() {
    let inspect = |json: bool| {
        let mut command = Command::new(landfall());
        command
            .arg("inspect")
            .arg(bundled("trigger"))
            .args(json.then_some("--json"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let text = inspect(false);
    let line = text
        .lines()
        .find(|line| line.starts_with("setting  url "))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.contains("a URL") && line.contains("required"),
        "{line}"
    );
    assert!(!text.contains("settings_schema"), "{text}");
    let receipt: Value = serde_json::from_str(&inspect(true)).unwrap();
    assert_eq!(
        receipt["settings_schema"]["properties"]["url"]["x-landfall"],
        "url"
    );
}
