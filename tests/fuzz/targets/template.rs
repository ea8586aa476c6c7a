//! Any text as a setting whose schema says that it is a template: the error shows a part of it on one line.

use std::sync::OnceLock;

use landfall_config::{Manifest, SettingsSchema};
use landfall_model::Allow;

const MANIFEST: &str = r#"
manifest = 1
[settings-schema]
type = "object"
properties.text = { type = "string", x-landfall = "template" }
"#;
const SAID_CHARACTERS_MAX: usize = 2000;

pub(crate) fn run(data: &[u8]) {
    static SCHEMA: OnceLock<SettingsSchema> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let manifest = Manifest::parse("fuzzed.wasm", MANIFEST, &[]);
        let manifest = manifest.expect("the manifest is good");
        manifest.settings_schema.expect("it has a schema")
    });
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };

    let settings = serde_json::Map::from_iter([("text".to_owned(), text.into())]);
    if let Err(mistake) = schema.check(&settings, &Allow::default()) {
        let said = mistake.to_string();
        assert!(said.chars().count() < SAID_CHARACTERS_MAX, "{said}");
        assert!(!said.is_empty(), "{text}");
    }
}
