//! docs/MCP.md as it stands: the configuration of clients, and the example.

use std::os::unix::fs::symlink;

use landfall_tests::{Node, landfall, root};
use serde_json::{Value, json};

use super::client::{call_server, node_js, run, sdk};
use super::{json, node};
use crate::docs::samples;

/// The samples of the page in this language.
fn in_language(language: &str) -> Vec<String> {
    let samples = samples(&root().join("docs/MCP.md")).into_iter();
    let found = samples.filter(|sample| sample.language == language);
    found.map(|sample| sample.text).collect()
}

async fn with_dead_event() -> Node {
    let node = node().await;
    node.post("/fails", &[], "{\"n\":2}").await;
    node.until_states("fails", &["dead"]).await;
    node
}

/// With the addresses, the token and the binary of the test in the place of the reader's.
#[tokio::test]
async fn documented_configurations_work() {
    let node = with_dead_event().await;
    let samples = in_language("json");
    assert_eq!(samples.len(), 2);
    for sample in samples {
        let config: Value = serde_json::from_str(&sample).expect("JSON");
        let mut server = config["mcpServers"]["landfall"].clone();
        let admin = node.admin.to_string();
        if server["url"].is_string() {
            let url = server["url"]
                .as_str()
                .unwrap()
                .replace("127.0.0.1:8081", &admin);
            let header = server["headers"]["Authorization"].as_str().unwrap();
            assert_eq!(header, "Bearer THE-ADMIN-TOKEN");
            server = json!({ "url": url, "token": node.admin_token() });
        } else {
            let env = &mut server["env"];
            let url = env["LANDFALL_ADMIN"]
                .as_str()
                .unwrap()
                .replace("127.0.0.1:8081", &admin);
            env["LANDFALL_ADMIN"] = url.into();
            let token = env["LANDFALL_ADMIN_TOKEN"].as_str().unwrap();
            assert!(token.ends_with("/admin-token"), "{token}");
            env["LANDFALL_ADMIN_TOKEN"] =
                format!("file:{}", node.data().join("admin-token").display()).into();
            assert_eq!(server["command"], "landfall");
            server["command"] = json!(landfall());
        }
        let seen = call_server(
            &server,
            &json!([{ "name": "search", "arguments": { "state": "dead" } }]),
        );
        let found = json(seen.page(0));
        assert_eq!(found["deliveries"][0]["hook"], "fails", "{found}");
    }
}

#[tokio::test]
async fn documented_example_prints_dead_events() {
    let node = with_dead_event().await;
    let [script] = &in_language("js")[..] else {
        panic!("the page has one script");
    };
    let dir = tempfile::tempdir().unwrap();
    symlink(sdk().join("node_modules"), dir.path().join("node_modules")).unwrap();
    symlink(landfall(), dir.path().join("landfall")).unwrap();
    std::fs::write(dir.path().join("ask.mjs"), script).unwrap();
    let mut command = node_js();
    let path = std::env::var("PATH").unwrap();
    command
        .arg("ask.mjs")
        .current_dir(dir.path())
        .env("PATH", format!("{}:{path}", dir.path().display()));
    for (name, value) in node.command().get_envs() {
        command.env(name, value.unwrap());
    }
    let printed = run(command, "");
    assert!(
        printed.contains("fails") && printed.contains("secret reason"),
        "{printed}"
    );
}

#[test]
fn every_tool_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/MCP.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let sources = std::fs::read_dir(root().join("host/mcp/src/tools")).unwrap();
    let mut names = Vec::new();
    for source in sources {
        let text = std::fs::read_to_string(source.unwrap().path()).unwrap();
        let found = text.split("const NAME: &'static str = \"").skip(1);
        names.extend(found.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert_eq!(names.len(), 13, "{names:?}");
    for name in names {
        assert!(
            rows.contains(&name.as_str()),
            "docs/MCP.md has no row `{name}`"
        );
    }
}
