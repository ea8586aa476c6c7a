//! docs/HTTP.md, written from the tables in tests/fixtures/http.

use std::fmt::Write;

use landfall_tests::http_table::{Group, HTTP1, HTTP2, Row, groups};
use landfall_tests::root;

use super::read;

const PAGE: &str = "docs/HTTP.md";
/// The text before the generated part ends here.
const MARK: &str = "<!-- Generated from tests/fixtures/http/: `LANDFALL_UPDATE_DOCS=1 cargo test --test it docs::http`. -->\n";

#[test]
fn page_shows_the_request_tables() {
    let path = root().join(PAGE);
    let page = read(&path);
    let (head, _) = page.split_once(MARK).expect("the page has the mark");
    let parts = [("HTTP/1.1", HTTP1), ("HTTP/2", HTTP2)].map(|(title, file)| {
        let sections: Vec<String> = groups(file).iter().map(section).collect();
        format!("\n## {title}\n{}", sections.concat())
    });
    let expected = format!("{head}{MARK}{}", parts.concat());

    if std::env::var_os("LANDFALL_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page can be written");
    }
    assert!(
        read(&path) == expected,
        "{PAGE} differs from tests/fixtures/http: write it anew with LANDFALL_UPDATE_DOCS=1"
    );
}

fn section(group: &Group) -> String {
    let mut text = format!("\n### {}\n\n{}.", group.title, link(&group.rfc));
    let is_row_alone = group.template == ["@"];
    if is_row_alone {
        text += "\n";
    } else {
        let template = group.template.join("\n");
        write!(
            text,
            " `@` is the text of the row:\n\n```text\n{template}\n```\n"
        )
        .unwrap();
    }

    text += "\n| what | sent | answer | another section |\n|---|---|---|---|\n";
    for row in &group.rows {
        text += &line(row);
    }
    text
}

fn line(row: &Row) -> String {
    let note = if row.stays_open { ", at once" } else { "" };
    format!(
        "| {} | {} | {}{note} | {} |\n",
        row.what,
        code(&row.sent),
        row.answers.join(", "),
        row.rfc.as_deref().map(link).unwrap_or_default()
    )
}

/// `RFC 9112 3.2` as a link to the section.
fn link(rfc: &str) -> String {
    let words: Vec<&str> = rfc.split(' ').collect();
    let ["RFC", number, section] = words[..] else {
        panic!("{rfc} is not RFC NUMBER SECTION");
    };
    format!(
        "[RFC {number} section {section}](https://www.rfc-editor.org/rfc/rfc{number}#section-{section})"
    )
}

/// A span of code in a cell of a table.
fn code(text: &str) -> String {
    if text.is_empty() {
        return "nothing".into();
    }

    let text = text.replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}
