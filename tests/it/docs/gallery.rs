//! docs/handlers/gallery.md, written from plugins/: what each handler does, its settings, the grants that it needs, and its size.

use std::fmt::Write;

use landfall_tests::{bundled, root};
use serde_json::Value;
use wit_component::DecodedWasm;

use super::{handlers, read};

const PAGE: &str = "docs/handlers/gallery.md";
/// The text before the generated part ends here.
const MARK: &str = "<!-- Generated from plugins/: `LANDFALL_UPDATE_DOCS=1 cargo test --test it docs::gallery`. -->\n";
/// Sizes in the page may differ by this part: they change with each version of the compiler.
const TOLERANCE: f64 = 0.1;
/// The line of `[allow]` for each interface of the host that needs a grant.
const GRANTS: [(&str, &str); 4] = [
    ("landfall:http/http@", "http = [\"URL\"]"),
    ("landfall:kv/kv@", "kv = true"),
    ("landfall:table/table@", "table = [\"TABLE\"]"),
    ("landfall:emit/emit@", "emit = [\"HOOK\"]"),
];

#[test]
fn gallery_shows_the_bundled_handlers() {
    let path = root().join(PAGE);
    let page = read(&path);
    let (head, shown) = page.split_once(MARK).expect("the page has the mark");
    let mut names = handlers();
    names.sort();
    let sections: Vec<String> = names.iter().map(|name| section(name, shown)).collect();
    let expected = format!("{head}{MARK}{}", sections.concat());

    if std::env::var_os("LANDFALL_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page can be written");
    }
    assert!(
        read(&path) == expected,
        "{PAGE} differs from plugins/: write it anew with LANDFALL_UPDATE_DOCS=1"
    );
}

/// The part of the page about one handler.
fn section(name: &str, shown: &str) -> String {
    let folder = root().join("plugins").join(name);
    let component = std::fs::read(bundled(name)).expect("the handler was built");
    let manifest = std::fs::read_to_string(folder.join("manifest.toml")).unwrap_or_default();
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let mut text = format!(
        "\n## {name}\n\n{}\n\n",
        first_sentence(&read(&folder.join("README.md")))
    );

    let schema = folder.join("settings.schema.json");
    if schema.exists() {
        let schema = serde_json::from_str(&read(&schema)).expect("a schema is JSON");
        text.push_str(&settings(&schema));
    } else {
        text.push_str("It has no settings.\n\n");
    }

    if let Some(events) = manifest.get("event-types").and_then(toml::Value::as_array) {
        let events = events.iter().filter_map(toml::Value::as_str).map(code);
        writeln!(
            text,
            "- event types: {}",
            events.collect::<Vec<_>>().join(", ")
        )
        .expect("a String takes any text");
    }
    write!(
        text,
        "- grants: {}\n- size: {} KiB\n- [README](../../plugins/{name}/README.md), \
         [source](../../plugins/{name}/src/lib.rs)\n",
        grants(&component, &manifest),
        size(name, component.len() as u64, shown),
    )
    .expect("a String takes any text");
    text
}

/// The lines of `[allow]` without which the component does not load, or cannot call anything. A manifest can name tables and hooks.
fn grants(component: &[u8], manifest: &toml::Table) -> String {
    let decoded = wit_component::decode(component).expect("a component");
    let DecodedWasm::Component(resolve, world) = decoded else {
        panic!("a component has a world");
    };
    let imports = resolve.worlds[world].imports.keys();
    let imports: Vec<String> = imports.map(|key| resolve.name_world_key(key)).collect();
    let needed = manifest.get("needs").and_then(toml::Value::as_table);
    let needed = needed.map(ToString::to_string).unwrap_or_default();

    let lines: Vec<String> = GRANTS
        .iter()
        .filter(|(interface, _)| imports.iter().any(|import| import.starts_with(interface)))
        .map(|(_, line)| code(needed_line(&needed, line)))
        .collect();
    if lines.is_empty() {
        return "none".to_owned();
    }
    lines.join(", ")
}

/// The line of `[needs]` with the same key, or this one.
fn needed_line<'a>(needed: &'a str, line: &'a str) -> &'a str {
    let key = line.split(' ').next();
    let own = needed.lines().find(|own| own.split(' ').next() == key);
    own.unwrap_or(line)
}

/// The size in KiB, as the page shows it if that is not far from the truth.
fn size(name: &str, bytes: u64, shown: &str) -> u64 {
    let size = bytes.div_ceil(1024);
    let section = shown.split(&format!("\n## {name}\n")).nth(1);
    let line = section.and_then(|section| section.split_once("- size: ")?.1.split(' ').next());
    let present: Option<u64> = line.and_then(|size| size.parse().ok());
    present
        .filter(|present| present.abs_diff(size) as f64 <= TOLERANCE * size as f64)
        .unwrap_or(size)
}

/// Of the first paragraph. Its links begin at the page.
fn first_sentence(readme: &str) -> String {
    let paragraphs = readme.split("\n\n");
    let mut texts = paragraphs.filter(|text| !text.starts_with('#'));
    let first = texts
        .next()
        .expect("a README has a text")
        .replace('\n', " ");
    let sentence = first
        .split_once(". ")
        .map_or(first.trim_end(), |(sentence, _)| sentence);
    let sentence = sentence.trim_end_matches('.');
    format!("{sentence}.").replace("](../", "](../../plugins/")
}

// === Settings ===

/// A table of the settings, those that are needed first.
fn settings(schema: &Value) -> String {
    let properties = schema["properties"]
        .as_object()
        .expect("settings are a table");
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let mut rows: Vec<(bool, String)> = properties
        .iter()
        .map(|(name, setting)| {
            let is_optional = !required.contains(&name.as_str().into());
            let mark = if is_optional { "" } else { " (required)" };
            let about = setting["description"]
                .as_str()
                .unwrap_or_default()
                .replace('|', "\\|");
            let row = format!(
                "| `{name}`{mark} | {} | {about} |\n",
                takes(setting, schema)
            );
            (is_optional, row.replace("|  |", "| |"))
        })
        .collect();
    rows.sort();
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    format!("| setting | type | meaning |\n|---|---|---|\n{rows}\n")
}

/// The values that a setting takes, in words.
fn takes(setting: &Value, root: &Value) -> String {
    if let Some(name) = setting["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"))
    {
        return match name {
            "Condition" => "condition".to_owned(),
            _ => takes(&root["$defs"][name], root),
        };
    }
    if let Some(forms) = setting["anyOf"].as_array() {
        let forms: Vec<String> = forms
            .iter()
            .filter(|form| form["type"] != "null")
            .map(|form| takes(form, root))
            .collect();
        return forms.join(" or ");
    }
    if let Some(values) = setting["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str).map(code);
        return values.collect::<Vec<_>>().join(", ");
    }
    if let Some(forms) = setting["oneOf"].as_array() {
        let values = forms
            .iter()
            .filter_map(|form| form["const"].as_str())
            .map(code);
        return values.collect::<Vec<_>>().join(", ");
    }

    let kind = setting["type"]
        .as_str()
        .or_else(|| setting["type"][0].as_str());
    match (kind, setting["x-landfall"].as_str()) {
        (_, Some("url" | "base-url")) => "URL".to_owned(),
        (_, Some("table")) => "name of a table".to_owned(),
        (_, Some(word)) => word.to_owned(),
        (Some("string"), _) if setting["format"] == "json-pointer" => "JSON pointer".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("integer" | "number"), _) => "number".to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (Some("array"), _) => format!("list{}", of(&setting["items"], root)),
        (Some("object"), _) => format!("table{}", of(&setting["additionalProperties"], root)),
        _ => String::new(),
    }
}

/// The elements of a list or the values of a table, behind the word.
fn of(element: &Value, root: &Value) -> String {
    match takes(element, root) {
        none if none.is_empty() => none,
        some => format!(": {some}"),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
