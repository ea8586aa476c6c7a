//! `tests/newcomer` plays the author of a first handler. Here it only has to reach the end: how long it may take is checked with
//! `--limits`, on a quiet machine.

use std::process::Command;

use landfall_tests::require::missing;
use landfall_tests::{landfall, root};

use super::{has_tools, said};

/// Plays one language. Returns what was printed. None if a tool is not installed.
fn play(language: &str, word: &str) -> Option<String> {
    if !has_tools(word) || !has_tools("python") {
        return None;
    }
    if Command::new("curl").arg("--version").output().is_err() {
        missing("curl is not installed");
        return None;
    }

    let mut newcomer = Command::new(root().join("tests/newcomer"));
    let output = newcomer.arg(landfall()).arg(language).output().unwrap();
    let printed = said(&output);
    assert!(output.status.success(), "{printed}");

    let table = printed.split_once("\nseconds ").expect("a table").1;
    assert!(table.contains(&format!("\n{language} ")), "{printed}");
    println!("{printed}");
    Some(printed)
}

#[test]
fn rust_newcomers_get_an_answer() {
    play("rust", "rust");
}

#[test]
fn javascript_newcomers_get_an_answer() {
    play("javascript", "js");
}

#[test]
fn python_newcomers_get_an_answer() {
    play("python", "python");
}

/// The commands are those of the page.
#[test]
fn typescript_newcomers_follow_the_page() {
    let Some(printed) = play("typescript", "ts") else {
        return;
    };
    let page = std::fs::read_to_string(root().join("docs/handlers/start.md")).unwrap();
    let commands = page
        .lines()
        .filter(|line| line.starts_with("landfall ") && !line.contains('`'));
    let mut count = 0;
    for command in commands {
        assert!(
            printed.contains(&format!("$ {command}")),
            "{command}\n{printed}"
        );
        count += 1;
    }
    assert!(count >= 3, "{count} commands");
}
