//! `landfall add FILE`: the hook file, grants, existing hooks.

use std::process::{Command, Stdio};

use landfall_tests::manifest::with_manifest;
use landfall_tests::{Setup, component, eventually, landfall};

use super::{Desk, digest, needy, text};

#[tokio::test]
async fn new_hooks_are_pinned_and_closed() {
    let desk = Desk::new();
    let bytes = component("answers_one");
    desk.write("one.wasm", &bytes);
    let node = Setup::new().start().await;
    let plugins = text(&node.plugins());

    let said = desk
        .run(&["add", "one.wasm", "--plugins", &plugins])
        .await
        .ok();
    let status = node.until("one", "closed").await;
    assert_eq!(
        format!("sha256:{}", status["tried"].as_str().unwrap()),
        digest(&bytes)
    );
    assert!(
        said.contains(&format!("digest   {}", digest(&bytes))),
        "{said}"
    );
    assert!(
        said.contains("until then the hook is closed (503)"),
        "{said}"
    );
    let hook_file = std::fs::read_to_string(node.plugins().join("one.toml")).unwrap();
    assert_eq!(
        hook_file,
        format!(
            "# Added from one.wasm\ncomponent = \"one.wasm\"\ndigest    = \"{}\"\n\n\
             # The hook is closed (503) until this table says who may call:\n# [verify]\n\
             # provider = \"github\"\n# secret   = \"env:GITHUB_SECRET\"\n",
            digest(&bytes)
        )
    );

    node.put("one.toml", hook_file + "[verify]\nscheme = \"none\"\n");
    node.until("one", "serving").await;
    assert_eq!(node.post("/one", &[], "{}").await.0, 200);
}

#[tokio::test]
async fn providers_open_a_new_hook() {
    let desk = Desk::new();
    desk.write("one.wasm", component("answers_one"));
    let add = [
        "add",
        "one.wasm",
        "--as",
        "in",
        "--provider",
        "github",
        "--secret",
        "env:HOOK_SECRET",
    ];
    let said = desk.run(&add).await.ok();
    assert!(!said.contains("closed"), "{said}");
    let hook_file = desk.read("plugins/in.toml");
    assert!(
        hook_file.ends_with("[verify]\nprovider = \"github\"\nsecret   = \"env:HOOK_SECRET\"\n"),
        "{hook_file}"
    );
    let check = desk
        .run_with(&["check"], &[("HOOK_SECRET", "x")])
        .await
        .ok();
    assert!(check.contains("1 of 1 hooks would serve"), "{check}");

    desk.run(&add)
        .await
        .refused("--provider is for new hooks: in.toml exists");
    let literal = [
        "add",
        "one.wasm",
        "--provider",
        "github",
        "--secret",
        "hunter2",
    ];
    assert_eq!(desk.run(&literal).await.code, Some(2));
    let unknown = ["add", "one.wasm", "--provider", "githup"];
    desk.run(&unknown).await.refused("githup");
    assert_eq!(desk.plugins(), ["in.toml", "in.wasm"]);
}

#[tokio::test]
async fn grants_need_a_decision() {
    let desk = Desk::new();
    desk.write("one.wasm", needy());

    desk.run(&["add", "one.wasm"]).await.refused(
        "pass --yes for all of them, or those that you grant: --grant 'http=https://a.example/' \
         --grant 'http=https://b.example/' --grant 'kv'",
    );
    desk.run(&["add", "one.wasm", "--grant", "emit=x"])
        .await
        .refused(
            "--grant emit=x: the component does not need that. It needs: http=https://a.example/",
        );
    assert!(desk.plugins().is_empty());

    let some = [
        "add",
        "one.wasm",
        "--as",
        "some",
        "--grant",
        "kv",
        "--grant",
        "http=https://b.example/",
    ];
    let added = desk.run(&[&some[..], &["--json"]].concat()).await.json();
    assert_eq!(
        added["granted"],
        serde_json::json!(["http=https://b.example/", "kv"])
    );
    assert_eq!(
        added["refused"],
        serde_json::json!(["http=https://a.example/"])
    );
    assert_eq!(added["closed"], true);
    assert_eq!(added["receipt"]["version"], "1.2.0");
    let hook_file = desk.read("plugins/some.toml");
    assert!(
        hook_file.ends_with(
            "\n[allow]\nhttp = [\"https://b.example/\"]\nkv = true\n\
             # The component also needs:\n# http = [\"https://a.example/\"]\n"
        ),
        "{hook_file}"
    );

    desk.run(&some).await.ok();
    assert_eq!(desk.read("plugins/some.toml"), hook_file);
    desk.run(&["add", "one.wasm", "--as", "some", "--yes"])
        .await
        .ok();
    let hook_file = desk.read("plugins/some.toml");
    let granted = "\n[allow]\nhttp = [\"https://b.example/\", \"https://a.example/\"]\nkv = true\n";
    assert!(hook_file.ends_with(granted), "{hook_file}");
    desk.run(&["add", "one.wasm", "--yes"]).await.ok();
    desk.run(&["add", "one.wasm", "--grant", "kv"]).await.ok();
    let hook_file = desk.read("plugins/one.toml");
    let all = "\n[allow]\nhttp = [\"https://a.example/\", \"https://b.example/\"]\nkv = true\n";
    assert!(hook_file.ends_with(all), "{hook_file}");
}

/// `script` runs the command on a terminal of its own.
#[test]
fn terminals_are_asked_each_grant() {
    let desk = Desk::new();
    desk.write("one.wasm", needy());
    let command = format!("{} add one.wasm", text(landfall()));
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(desk.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"y\nn\nYES\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for question in ["http=https://a.example/", "http=https://b.example/", "kv"] {
        assert!(
            said.contains(&format!("grant    {question}? [y/N]")),
            "{said}"
        );
    }
    let hook_file = desk.read("plugins/one.toml");
    let granted =
        "[allow]\nhttp = [\"https://a.example/\"]\nkv = true\n# The component also needs:\n";
    assert!(hook_file.contains(granted), "{hook_file}");
}

#[tokio::test]
async fn existing_hooks_keep_their_rules() {
    let desk = Desk::new();
    let (one, two) = (component("answers_one"), component("answers_two"));
    let before = "# mine\npath = \"/in\"\nmode = \"sync\"\n\n[verify] # open\nscheme = \"none\"\n";
    let node = Setup::new()
        .file("a.wasm", &one)
        .file("a.toml", before)
        .serving("a")
        .await;
    let plugins = text(&node.plugins());
    let file = || std::fs::read_to_string(node.plugins().join("a.toml")).unwrap();

    desk.write("two.wasm", &two);
    let add = ["add", "two.wasm", "--as", "a", "--plugins", &plugins];
    desk.run(&add).await.ok();
    let after = before.replace(
        "\"sync\"\n",
        &format!("\"sync\"\ndigest = \"{}\"\n", digest(&two)),
    );
    assert_eq!(file(), after);
    eventually("the new version answers", || async {
        (node.post("/in", &[], "{}").await == (200, "two".to_owned())).then_some(())
    })
    .await;
    let again = desk.run(&add).await.ok();
    assert!(again.contains("a.toml") && file() == after, "{again}");

    // A new version that needs more than the hook file grants changes nothing without a decision.
    desk.write("needy.wasm", needy());
    let add = ["add", "needy.wasm", "--as", "a", "--plugins", &plugins];
    desk.run(&add).await.refused("--grant 'kv'");
    let some = [&add[..], &["--grant", "kv"]].concat();
    let said = desk
        .run(&some)
        .await
        .refused("a keeps its old version, because the new one also needs: ");
    assert!(
        said.contains("http=https://a.example/, http=https://b.example/"),
        "{said}"
    );
    assert_eq!(file(), after);
    assert_eq!(std::fs::read(node.plugins().join("a.wasm")).unwrap(), two);

    desk.run(&[&add[..], &["--yes"]].concat()).await.ok();
    assert!(
        file().starts_with(&after.replace(&digest(&two), &digest(&needy()))),
        "{}",
        file()
    );
    eventually("the newest version answers", || async {
        (node.post("/in", &[], "{}").await == (200, "one".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn shared_components_are_not_overwritten() {
    let desk = Desk::new();
    let one = component("answers_one");
    desk.write("plugins/shared.wasm", &one);
    desk.write(
        "plugins/a.toml",
        "component = \"shared\"\n[verify]\nscheme = \"none\"\n",
    );
    desk.write("two.wasm", component("answers_two"));
    desk.run(&["add", "two.wasm", "--as", "a"]).await.ok();
    assert!(
        desk.read("plugins/a.toml")
            .starts_with("component = \"a.wasm\"\ndigest = \"sha256:")
    );
    assert_eq!(
        std::fs::read(desk.path("plugins/shared.wasm")).unwrap(),
        one
    );

    // Under the name of the shared file, the other hooks would run the new version.
    desk.write("plugins/b.toml", "component = \"shared.wasm\"\n");
    let said = desk
        .run(&["add", "two.wasm", "--as", "shared"])
        .await
        .refused("shared.wasm is also the component of b.toml, which would run the new version with its own grants");
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(
        desk.plugins(),
        ["a.toml", "a.wasm", "b.toml", "shared.wasm"]
    );
    // The same version changes nothing for them.
    desk.write("shared.wasm", &one);
    desk.run(&["add", "shared.wasm"]).await.ok();
}

#[tokio::test]
async fn manifests_cannot_hide_grants() {
    let desk = Desk::new();
    let manifest = r#"
manifest = 1
description = "good\u202e"
event-types = ["push"]
settings-schema = '''{"type": "object", "properties": {
  "url\u001b[1A": {"type": "string", "description": "\u001b[2Jclean\u2066"}}}'''
[needs]
http = ["https://a.example/"]
"#;
    let evil = with_manifest(&component("answers_one"), manifest);
    desk.write("one.wasm", evil);
    for args in [&["add", "one.wasm", "--yes"][..], &["inspect", "one.wasm"]] {
        let said = desk.run(args).await.ok();
        assert!(
            said.contains("good\\u{202e}") && said.contains("\\u{1b}[2Jclean\\u{2066}"),
            "{said}"
        );
        assert!(said.contains("https://a.example/"), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{2066}']), "{said}");
    }
}

#[tokio::test]
async fn other_files_are_no_signatures() {
    let desk = Desk::new();
    desk.write("one.wasm", component("answers_one"));
    desk.write("one.wasm.minisig", "<html>");
    let why = "one.wasm.minisig is not a signature of minisign: it does not begin with `untrusted comment:`";
    desk.run(&["push", "one.wasm", "oci://127.0.0.1:1/one:1"])
        .await
        .refused(why);
    let added = desk.run(&["add", "one.wasm"]).await;
    assert!(added.errors.contains(why), "{}", added.errors);
    added.ok();
    assert_eq!(desk.plugins(), ["one.toml", "one.wasm"]);

    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    desk.write(
        "landfall.toml",
        format!("[components]\ntrusted_keys = [\"{key}\"]\n"),
    );
    desk.run(&["add", "one.wasm"]).await.refused(why);
}

#[tokio::test]
async fn required_settings_are_listed() {
    let desk = Desk::new();
    let manifest = r#"
manifest = 1
settings-schema = '''{"type": "object", "required": ["url", "table"], "properties": {
  "url": {"type": "string", "x-landfall": "url", "description": "Where events go"},
  "table": {"type": "string"}, "note": {"type": "string", "description": "clear\u001b[2J"}}}'''
[suggests.settings]
table = "events"
"#;
    desk.write(
        "one.wasm",
        with_manifest(&component("answers_one"), manifest),
    );
    let said = desk.run(&["add", "one.wasm"]).await.ok();
    assert!(
        said.contains("plugins/one.toml: [settings]") && said.contains("url"),
        "{said}"
    );
    assert!(said.contains("clear\\u{1b}[2J"), "{said}");
    let hook_file = desk.read("plugins/one.toml");
    assert!(
        hook_file.contains(
            "\n[settings]\n# Required: a text\n# table = \"events\"\n# Required: Where events go ("
        ),
        "{hook_file}"
    );
    assert!(hook_file.ends_with("\n# url = …\n"), "{hook_file}");
}

#[tokio::test]
async fn bad_files_change_nothing() {
    let desk = Desk::new();
    desk.write("module.wasm", b"\0asm\x01\0\0\0");
    desk.write("plugins/broken.toml", "path = [");
    let large = std::fs::File::create(desk.path("large.wasm")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    desk.write("one.wasm", component("answers_one"));

    desk.run(&["add", "module.wasm"])
        .await
        .refused("is a core module");
    desk.run(&["add", "large.wasm"])
        .await
        .refused("is larger than 64 MiB");
    let said = desk
        .run(&["add", "gone.wasm"])
        .await
        .refused("gone.wasm cannot be read");
    assert_eq!(said.matches("os error 2").count(), 1, "{said}");
    desk.run(&["add", "one.wasm", "--as", "One"])
        .await
        .refused("name the hook with --as NAME");
    desk.run(&["add", "one.wasm", "--as", "landfall"])
        .await
        .refused("landfall.toml is the settings file of a node and no hook file");
    desk.run(&["add", "one.wasm", "--as", "broken"])
        .await
        .refused("nothing was changed: mend the hook file first");
    let other = digest(b"other");
    desk.run(&["add", "one.wasm", "--digest", &other])
        .await
        .refused("nothing was changed");
    assert_eq!(desk.plugins(), ["broken.toml"]);
    desk.run(&["add", "one.wasm", "--plugins", "nowhere"])
        .await
        .refused("is not a directory");
}
