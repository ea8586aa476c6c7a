//! Any text as the manifest of a component: its schema lists and checks settings.

use landfall_config::Manifest;
use landfall_engine::CAPABILITIES;
use landfall_model::Allow;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Manifest::parse("fuzzed.wasm", text, CAPABILITIES) {
        Err(error) => assert!(error.to_string().contains("fuzzed.wasm"), "{text}"),
        Ok(manifest) => {
            let allow = Allow::default();
            if let Some(schema) = &manifest.settings_schema {
                schema.listed();
                schema.check(&serde_json::Map::new(), &allow).ok();
            }
            manifest.lacking_lines(&allow);
        }
    }
}
