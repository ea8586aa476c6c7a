//! Writes the table of settings in docs/CONFIG.md from the fields of `host/config/src/node_settings.rs`.

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIG.md");

fn main() -> std::io::Result<()> {
    let page = std::fs::read_to_string(PAGE)?;
    let page = landfall_config::rewrite_config_page(&page)
        .ok_or_else(|| std::io::Error::other("docs/CONFIG.md has no table of settings"))?;
    std::fs::write(PAGE, page)
}
