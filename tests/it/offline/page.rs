//! docs/handlers/testing.md: its cases pass, and its commands do what it says.

use landfall_tests::{Setup, guest, root};

use super::{Handler, code, stderr, stdout, without_times};

/// The fenced blocks of the page: language and text.
fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("docs/handlers/testing.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), body.join("\n") + "\n"));
        }
    }
    blocks
}

/// The TOML samples: each names its file below `hello/` in its first line.
fn files() -> Vec<(String, String)> {
    let samples = blocks()
        .into_iter()
        .filter(|(language, _)| language == "toml");
    let named = samples.map(|(_, text)| {
        let first = text.lines().next().unwrap();
        let name = first.strip_prefix("# hello/").unwrap().to_owned();
        (name, text)
    });
    named.collect()
}

#[tokio::test]
async fn samples_of_the_page_work() {
    let open = "[verify]\nscheme = \"none\"\n";
    let node = Setup::new()
        .hook("hello", &guest("contract_cases"), open)
        .serving("hello")
        .await;
    node.post("/hello", &[], r#"{"case":"text"}"#).await;
    let events = super::save::stored(&node).await;
    let id = events[0]["event"].as_str().unwrap();

    let handler = Handler::new("contract_cases");
    handler.write("samples/text.json", r#"{"case":"text"}"#);
    // The page shows the output before it adds the case with a call.
    let files = files();
    for (name, text) in files.iter().filter(|(name, _)| name != "cases/call.toml") {
        handler.write(name, text);
    }
    let shown = blocks()
        .into_iter()
        .find(|(language, _)| language == "text");
    assert_eq!(handler.text(&[]), without_times(&shown.unwrap().1));

    for (name, text) in &files {
        handler.write(name, text);
    }
    let mut commands = 0;
    for (_, text) in blocks().iter().filter(|(language, _)| language == "sh") {
        for line in text.lines() {
            let line = line.replace("save ID", &format!("save {id}"));
            let args: Vec<&str> = line.split_whitespace().skip(1).collect();
            let output = node
                .command()
                .args(&args)
                .current_dir(handler.path(""))
                .output()
                .unwrap();
            assert_eq!(
                code(&output),
                Some(0),
                "{line}: {}{}",
                stdout(&output),
                stderr(&output)
            );
            commands += 1;
        }
    }
    assert!(commands >= 7, "{commands}");
}
