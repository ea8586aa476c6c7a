//! The example of docs/CANDIDATES.md, as it stands there.

use std::process::Command;

use landfall_tests::{Node, Setup, component, eventually, landfall, root};

use super::report;
use crate::docs::samples;

const TOKEN: &str = "canary-token";

/// The first hook file of the page, and its commands.
fn example() -> (String, Vec<String>) {
    let samples = samples(&root().join("docs/CANDIDATES.md"));
    let file = samples.iter().find(|sample| sample.language == "toml");
    let commands = samples.iter().filter(|sample| sample.language == "sh");
    let commands = commands.flat_map(|sample| sample.text.lines().map(str::to_owned));
    let file = file.expect("the page has a hook file").text.clone();
    (file, commands.collect())
}

/// Runs a command of the page, as an operator of this node.
async fn run(node: &Node, line: &str) -> String {
    let words = line.strip_prefix("landfall ").expect("a command");
    let mut command = Command::new("sh");
    command.args(["-ec", &format!("\"$LANDFALL\" {words}")]);
    command.env("LANDFALL", landfall());
    for (name, value) in node.command().get_envs() {
        command.env(name, value.unwrap());
    }
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = ended.await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {printed}\n{errors}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_works() {
    let (file, commands) = example();
    let node = Setup::new()
        .file("orders.toml", &file)
        .file("echo.wasm", component("answers_one"))
        .file("echo-new.wasm", component("answers_two"))
        .env("ORDERS_TOKEN", TOKEN)
        .serving("orders")
        .await;
    let until = async |phase: &str| {
        eventually(&format!("the candidate is {phase}"), || async {
            (report(&node).await["phase"] == phase).then_some(())
        })
        .await;
    };
    until("canary").await;

    let words = ["status", "promote", "rollback"];
    let expected: Vec<String> = words
        .iter()
        .map(|word| format!("landfall candidate {word} orders"))
        .collect();
    assert_eq!(commands, expected);
    let printed = run(&node, &commands[0]).await;
    assert!(printed.starts_with("orders  canary\n"), "{printed}");
    assert!(printed.contains("5 % of the events"), "{printed}");
    run(&node, &commands[1]).await;
    until("promoted").await;
    run(&node, &commands[2]).await;
    until("rolled-back").await;
    let answer = node.post("/orders", &[("x-token", TOKEN)], "{}").await;
    assert!((200..300).contains(&answer.0), "{answer:?}");
}
