//! The table of `docs/HANDLERS.md`: a row for each folder of `plugins/` with a hook file.

use std::path::Path;

const HEAD: &str = "| handler | what it does |\n|---|---|\n";

/// The page with the rows of these folders.
pub fn with_rows(page: &str, plugins: &Path) -> String {
    let start = page.find(HEAD).expect("the page has a table") + HEAD.len();
    let rows = &page[start..];
    let after = rows.find("\n\n").map_or("", |end| &rows[end + 1..]);

    let rows: Vec<String> = names(plugins)
        .iter()
        .map(|name| row(plugins, name))
        .collect();
    format!("{}{}{after}", &page[..start], rows.concat())
}

fn names(plugins: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(plugins).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| plugins.join(name).join(format!("{name}.toml")).is_file())
        .collect();
    names.sort();
    names
}

fn row(plugins: &Path, name: &str) -> String {
    let manifest = std::fs::read_to_string(plugins.join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let description = manifest["package"]
        .get("description")
        .and_then(toml::Value::as_str)
        .unwrap_or_else(|| panic!("plugins/{name}/Cargo.toml has no description"));
    format!("| [{name}](../plugins/{name}/README.md) | {description} |\n")
}
