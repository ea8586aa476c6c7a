//! docs/handlers/try.md: its example works as it stands.

use std::sync::Arc;

use landfall_tests::{Node, Setup, eventually, guest, root};
use serde_json::json;

use super::until_recorded;

const PAGE: &str = "docs/handlers/try.md";

/// The fenced blocks of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(found) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if found == language {
                blocks.push(body.join("\n") + "\n");
            }
        }
    }
    blocks
}

/// The text without the id of the event, and without groups that depend on the machine.
fn stable(text: &str) -> String {
    let is_measured = |group: &&str| group.starts_with("duration ") || group.starts_with("memory ");
    let groups = text.split("\n\n").filter(|group| !is_measured(group));
    let text = groups.collect::<Vec<_>>().join("\n\n");
    let lines = text.lines().map(|line| match line.split_once("event ") {
        Some((before, rest)) if before.trim().is_empty() => {
            let after = rest.split_once(',').map_or("", |(_, after)| after);
            format!("{before}event ID,{after}")
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A command of the page, in the folder of the node. Standard output and exit code.
fn run(node: &Node, command: &str) -> (String, Option<i32>) {
    let arguments = command.trim().strip_prefix("landfall ").unwrap();
    let output = node
        .command()
        .args(arguments.split_whitespace())
        .current_dir(node.plugins().parent().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

#[tokio::test]
async fn example_of_the_page_works() {
    let hook_file = blocks("toml").remove(0);
    let node = Setup::new()
        .hook("orders", &guest("shop"), &hook_file)
        .serving("orders")
        .await;
    let node = Arc::new(node);
    let next = node.plugins().parent().unwrap().join("next.wasm");
    std::fs::copy(guest("shop_next"), next).unwrap();
    for number in 290..310 {
        let body = json!({ "number": number, "void": number % 10 == 7 }).to_string();
        node.post("/orders", &[], body).await;
    }
    until_recorded(&node, "orders", 20).await;

    let commands = blocks("sh");
    let (text, code) = run(&node, &commands[0]);
    assert_eq!(stable(&text), stable(&blocks("text")[0]));
    assert_eq!(code, Some(1));

    let (text, code) = run(&node, &commands[2]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("\npublished: /tries/orders/"), "{text}");
    let listed = node.ask("/api/v1/hooks/orders/tries").await;
    assert_eq!(listed["tries"][0]["component"], "next.wasm", "{listed}");

    let (text, code) = run(&node, &commands[1]);
    assert_eq!(code, Some(0), "{text}");
    eventually("the new version serves", || async {
        let body = json!({ "number": 101 }).to_string();
        let answer = node.post("/orders", &[], body).await;
        answer.1.contains("\"yes\"").then_some(())
    })
    .await;
}
