//! The shapes of events, learned by a running node from stored events: the types that it writes, what it learns of forms and of
//! several nodes, and the example of docs/SHAPES.md. `watch::shapes` has the alarm.

use std::path::PathBuf;
use std::process::Command;

use landfall_tests::{Node, Setup, bundled, eventually, guest, require, root, sign};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const SECRET: &str = "canary-of-the-shop";

fn fixture(name: &str) -> String {
    let path = root().join("tests/fixtures/shapes").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Learns at once.
fn learning() -> Setup {
    Setup::new().env("LANDFALL_SHAPE_INTERVAL", "100ms")
}

/// What the node has learned of a hook, once it is so.
async fn learned(node: &Node, hook: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v1/hooks/{hook}/shape?type=");
    eventually(&format!("{hook} is learned\n{}", node.log()), || async {
        let answer = node.admin_get(&path).send().await.unwrap();
        let shapes: Value = answer.json().await.unwrap();
        let one = shapes["types"][0].clone();
        (one.is_object() && is_so(&one)).then_some(one)
    })
    .await
}

/// What `landfall shape` prints.
async fn printed(node: &Node, args: &[&str]) -> String {
    let mut command = node.command();
    command.arg("shape").args(args);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `landfall shape` prints this.
async fn prints(node: &Node, args: &[&str], is_it: impl Fn(&str) -> bool) {
    let what = format!("landfall shape {args:?}\n{}", node.log());
    eventually(&what, || async {
        is_it(&printed(node, args).await).then_some(())
    })
    .await;
}

fn pointers(shape: &Value) -> Vec<&str> {
    let fields = shape["fields"].as_array().unwrap().iter();
    fields.map(|one| one["pointer"].as_str().unwrap()).collect()
}

/// Events of mode `sync` are learned after their answers.
#[tokio::test(flavor = "multi_thread")]
async fn types_are_written_from_traffic() {
    let github = "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
    let node = learning()
        .hook("shop", &guest("answers_one"), github)
        .env("SECRET", SECRET)
        .serving("shop")
        .await;
    for _ in 0..4 {
        for body in fixture("bodies.jsonl").lines() {
            let signature = sign(SECRET, body.as_bytes());
            let headers = [
                ("content-type", "application/json"),
                ("x-github-event", "order.paid"),
                ("x-hub-signature-256", signature.as_str()),
            ];
            assert_eq!(node.post("/shop", &headers, body.to_owned()).await.0, 200);
        }
    }

    let (rust, ts) = (fixture("types.rs"), fixture("types.ts"));
    prints(&node, &["shop", "--rust"], |text| text == rust).await;
    prints(&node, &["shop", "--ts"], |text| text == ts).await;
    let expected: Value = serde_json::from_str(&fixture("schema.json")).unwrap();
    let is_expected =
        |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|found| found == expected);
    let one_type = ["shop", "--type", "order.paid", "--schema"];
    prints(&node, &one_type, is_expected).await;

    let listed = printed(&node, &["shop", "--type", "order.paid"]).await;
    assert!(listed.starts_with("order.paid  learning  "), "{listed}");
    assert!(
        listed.contains("\n  /lines/*/qty  integer  (optional)\n"),
        "{listed}"
    );
    assert!(listed.contains("\n  /type  string  (order)\n"), "{listed}");
    assert_eq!(printed(&node, &["shop", "--type", "absent"]).await, "");
    let metrics = node.metrics().await;
    assert!(
        metrics.contains("landfall_shape_types{hook=\"shop\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("landfall_shape_events_skipped_total 0"),
        "{metrics}"
    );
}

/// The folder of the tools, if it has this one.
fn tool(name: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("LANDFALL_SDK").map(PathBuf::from);
    let tool = tools
        .map(|tools| tools.join(name))
        .filter(|tool| tool.exists());
    if tool.is_none() {
        require::missing(&format!("{name} is not installed (LANDFALL_SDK)"));
    }
    tool
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn bodies_have_their_typescript_types() {
    let Some(tsc) = tool("node_modules/.bin/tsc") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("types.ts", &fixture("types.ts"));
    let bodies: Vec<String> = fixture("bodies.jsonl").lines().map(str::to_owned).collect();
    let sample = format!(
        "import type {{ EventTypes }} from \"./types.js\";\nexport const bodies: Array<EventTypes[\"order.paid\"]> = [\n{}\n];\n",
        bodies.join(",\n")
    );
    write("sample.ts", &sample);
    let options = json!({
        "compilerOptions": {
            "strict": true,
            "exactOptionalPropertyTypes": true,
            "noEmit": true,
            "module": "nodenext",
            "target": "es2022",
            "types": [],
        },
        "files": ["sample.ts"],
    });
    write("tsconfig.json", &options.to_string());
    succeeds(Command::new(tsc).args(["-p", "."]).current_dir(dir.path()));
}

/// With a validator that also checks formats.
#[test]
fn bodies_are_valid_for_their_schema() {
    const CHECK: &str = "
import json, sys, jsonschema_rs
schema = json.load(open(sys.argv[1] + '/schema.json'))
assert jsonschema_rs.meta.is_valid(schema)
validator = jsonschema_rs.validator_for(schema, validate_formats=True)
bodies = [json.loads(line) for line in open(sys.argv[1] + '/bodies.jsonl')]
assert len(bodies) == 3
for body in bodies:
    validator.validate(body)
    for name in schema['required']:
        assert not validator.is_valid({key: value for key, value in body.items() if key != name}), name
";
    let Some(python) = tool("venv/bin/python") else {
        return;
    };
    let dir = root().join("tests/fixtures/shapes");
    succeeds(Command::new(python).args(["-c", CHECK]).arg(dir));
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_learned_as_fields() {
    let node = learning()
        .hook("sms", &guest("answers_one"), OPEN)
        .serving("sms")
        .await;
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = "Body=hello&From=%2B15005550006&MediaUrl=a&MediaUrl=b";
    assert_eq!(node.post("/sms", &headers, body).await.0, 200);
    let shape = learned(&node, "sms", |_| true).await;
    assert_eq!(
        pointers(&shape),
        ["/Body", "/From", "/MediaUrl", "/MediaUrl/*"]
    );
    assert_eq!(shape["forms"], 1);

    // What is no JSON is counted, and has no types.
    assert_eq!(node.post("/sms", &[], "<xml/>").await.0, 200);
    learned(&node, "sms", |one| one["others"] == 1).await;
}

/// Hooks whose file says so are not learned, and one can be learned on a node that learns none.
#[tokio::test(flavor = "multi_thread")]
async fn hook_files_switch_learning() {
    let node = learning()
        .hook(
            "on",
            &guest("answers_one"),
            &format!("{OPEN}[shape]\nlearn = true\n"),
        )
        .hook("off", &guest("answers_one"), OPEN)
        .env("LANDFALL_SHAPE_LEARN", "false")
        .serving("on")
        .await;
    node.until("off", "serving").await;
    for hook in ["off", "on"] {
        assert_eq!(
            node.post(&format!("/{hook}"), &[], "{\"a\":1}").await.0,
            200
        );
    }
    learned(&node, "on", |_| true).await;
    let path = "/api/v1/hooks/off/shape";
    assert_eq!(node.admin_get(path).send().await.unwrap().status(), 404);
}

/// What a command that fails says.
async fn refusal(node: &Node, args: &[&str]) -> String {
    let mut command = node.command();
    command.arg("shape").args(args);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_shapes_say_why() {
    let node = learning()
        .hook("shop", &guest("answers_one"), OPEN)
        .hook(
            "off",
            &guest("answers_one"),
            &format!("{OPEN}[shape]\nlearn = false\n"),
        )
        .serving("shop")
        .await;
    node.until("off", "serving").await;
    for (hook, parts) in [
        ("shp", ["no hook has this name", "did you mean `shop`?"]),
        ("other", ["no hook has this name", "`landfall hooks`"]),
        (
            "shop",
            ["nothing was learned of this hook yet", "`landfall send`"],
        ),
        (
            "off",
            [
                "the events of this hook are not learned",
                "`learn` under [shape]",
            ],
        ),
    ] {
        let said = refusal(&node, &[hook]).await;
        for part in parts {
            assert!(said.contains(part), "{hook}: {said}");
        }
    }

    assert_eq!(node.post("/shop", &[], "{\"a\":1}").await.0, 200);
    learned(&node, "shop", |_| true).await;
    let said = refusal(&node, &["shop", "--type", "absent"]).await;
    assert!(said.contains("lists those that are known"), "{said}");
}

/// Twelve event types of about 4,000 places each are listed, and written one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn large_shapes_are_written_by_type() {
    const TYPES: usize = 12;
    let github = "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
    let node = learning()
        .hook("shop", &guest("answers_one"), github)
        .env("SECRET", SECRET)
        .serving("shop")
        .await;
    let fields: Vec<String> = (0..250).map(|field| format!("\"f{field}\":1")).collect();
    let object = format!("{{{}}}", fields.join(","));
    let objects: Vec<String> = (0..15)
        .map(|name| format!("\"o{name}\":{object}"))
        .collect();
    let body = format!("{{{}}}", objects.join(","));
    let signature = sign(SECRET, body.as_bytes());
    for number in 0..TYPES {
        let event_type = format!("type.{number}");
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", event_type.as_str()),
            ("x-hub-signature-256", signature.as_str()),
        ];
        assert_eq!(node.post("/shop", &headers, body.clone()).await.0, 200);
    }

    let path = "/api/v1/hooks/shop/shape";
    let shapes = eventually(&format!("all are learned\n{}", node.log()), || async {
        let answer = node.admin_get(path).send().await.unwrap();
        let shapes: Value = answer.json().await.unwrap();
        let count = shapes["types"].as_array().map_or(0, Vec::len);
        (count == TYPES).then_some(shapes)
    })
    .await;
    assert_eq!(shapes["types"][0]["event_type"], "type.0", "{shapes}");
    assert!(
        shapes["types"][0]["bytes"].as_u64() > Some(50_000),
        "{shapes}"
    );
    assert!(shapes["types"][0].get("fields").is_none());

    let said = refusal(&node, &["shop", "--ts"]).await;
    assert!(said.contains("answers 422"), "{said}");
    assert!(said.contains("--type TYPE"), "{said}");
    let written = printed(&node, &["shop", "--type", "type.7", "--ts"]).await;
    assert!(written.contains("f249: number;"), "{}", written.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_shapes_are_learned_anew() {
    let node = learning()
        .hook("in", &guest("answers_one"), OPEN)
        .serving("in")
        .await;
    assert_eq!(node.post("/in", &[], "{\"old\":1}").await.0, 200);
    learned(&node, "in", |_| true).await;
    assert_eq!(printed(&node, &["in", "--forget"]).await, "in: done\n");
    assert_eq!(node.post("/in", &[], "{\"new\":1}").await.0, 200);
    let shape = learned(&node, "in", |_| true).await;
    assert_eq!(pointers(&shape), ["/new"]);
    let audit = node.ask("/api/v1/audit?action=forget-shape").await;
    assert_eq!(audit["entries"].as_array().unwrap().len(), 1, "{audit}");
}

/// A killed node has lost nothing that it has learned.
#[tokio::test(flavor = "multi_thread")]
async fn shapes_survive_a_kill() {
    let node = learning()
        .hook("in", &bundled("echo"), &format!("mode = \"async\"\n{OPEN}"))
        .serving("in")
        .await;
    assert_eq!(node.post("/in", &[], "{\"a\":1}").await.0, 202);
    learned(&node, "in", |_| true).await;
    let node = node.killed().serving("in").await;
    assert_eq!(node.post("/in", &[], "{\"b\":1}").await.0, 202);
    let shape = learned(&node, "in", |one| {
        one["fields"].as_array().unwrap().len() == 2
    })
    .await;
    assert_eq!(pointers(&shape), ["/a", "/b"]);
}

/// One node learns from the events of both, and both show it.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_their_shapes() {
    let setup = learning().hook("in", &bundled("echo"), &format!("mode = \"async\"\n{OPEN}"));
    let Some(setup) = setup.on_postgres() else {
        return;
    };
    let (one, two) = tokio::join!(setup.copy().serving("in"), setup.copy().serving("in"));
    assert_eq!(one.post("/in", &[], "{\"a\":1}").await.0, 202);
    assert_eq!(two.post("/in", &[], "{\"b\":1}").await.0, 202);
    for node in [&one, &two] {
        let has_both = |one: &Value| one["fields"].as_array().unwrap().len() == 2;
        let shape = learned(node, "in", has_both).await;
        assert_eq!(pointers(&shape), ["/a", "/b"]);
    }

    // Any node takes the order, and the one that learns carries it out.
    for node in [&one, &two] {
        assert_eq!(printed(node, &["in", "--accept"]).await, "in: done\n");
    }
    drop(one);
    assert_eq!(two.post("/in", &[], "{\"c\":1}").await.0, 202);
    learned(&two, "in", |one| {
        one["fields"].as_array().unwrap().len() == 3
    })
    .await;
}

/// The block of docs/SHAPES.md in this language.
fn block(language: &str) -> String {
    let samples = crate::docs::samples(&root().join("docs/SHAPES.md"));
    let block = samples.into_iter().find(|one| one.language == language);
    block.expect("the page has the block").text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_page_works() {
    let node = learning()
        .file("echo.wasm", std::fs::read(bundled("echo")).unwrap())
        .file("shop.toml", block("toml"))
        .env("SHOP_TOKEN", SECRET)
        .serving("shop")
        .await;
    let url = format!("http://{}", node.public);
    let commands = block("sh").replace("http://127.0.0.1:8080", &url);
    let (sent, asked): (Vec<&str>, Vec<&str>) = commands
        .lines()
        .partition(|line| !line.starts_with("landfall "));
    assert!(asked.contains(&"landfall shape shop --ts"), "{asked:?}");
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &sent.join("\n")]);
    shell.env("SHOP_TOKEN", SECRET);
    tokio::task::spawn_blocking(move || succeeds(&mut shell))
        .await
        .unwrap();

    let expected = block("ts");
    prints(&node, &["shop", "--ts"], |text| text == expected).await;
}
