//! The table of settings in docs/CONFIG.md.

use super::node_settings::NodeSettings;
use super::setting::{Setting, SettingsTable};

const HEADER: &str = "| key | environment | flag | default and meaning |";

/// The text of docs/CONFIG.md with the table of the settings as they are declared. `None`: the text
/// has no such table.
pub fn rewrite_config_page(page: &str) -> Option<String> {
    let start = page.find(HEADER)?;
    let end = page[start..]
        .find("\n\n")
        .map_or(page.len(), |end| start + end);

    let rows: Vec<String> = NodeSettings::all().iter().map(Setting::row).collect();
    let table = format!("{HEADER}\n|---|---|---|---|\n{}", rows.join("\n"));
    Some([&page[..start], &table, &page[end..]].concat())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::variables;
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIG.md");

    #[test]
    fn page_lists_every_setting() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        assert!(
            rewrite_config_page(&page).as_ref() == Some(&page),
            "docs/CONFIG.md differs from the settings: run `cargo run -p landfall-config --example config_page`"
        );
    }

    #[test]
    fn page_names_existing_variables() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let known: BTreeSet<String> = variables::known().into_iter().collect();
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        for word in page.split(|c: char| !is_part(c)) {
            let is_variable = word.starts_with("LANDFALL_") && word != "LANDFALL_";
            assert!(!is_variable || known.contains(word), "{word}");
        }
    }

    #[test]
    fn meanings_fit_into_a_row() {
        for setting in NodeSettings::all() {
            let meaning = setting.meaning.trim();
            let is_plain = !meaning.is_empty() && !meaning.contains(['|', '\n']);
            assert!(is_plain && !meaning.ends_with('.'), "{}", setting.key);
        }
    }
}
