//! Style sheet, script and icon, in the binary. Their names contain a digest, so that browsers may
//! keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The paths of the assets, as pages link them.
pub(crate) struct Assets {
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icon: String,
    all: Vec<Asset>,
}

struct Asset {
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

/// The assets of this binary.
pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    // One module: a second request for the fragment updates would need a name in the script.
    let script = [
        include_bytes!("../assets/idiomorph.min.js").as_slice(),
        include_bytes!("../assets/dashboard.js").as_slice(),
    ];
    let style = Asset::new(
        "dashboard",
        "css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/dashboard.css"),
    );
    let script = Asset::new(
        "dashboard",
        "js",
        "text/javascript; charset=utf-8",
        &script.concat(),
    );
    let icon = Asset::new(
        "icon",
        "svg",
        "image/svg+xml",
        include_bytes!("../assets/icon.svg"),
    );
    Assets {
        style: style.path(),
        script: script.path(),
        icon: icon.path(),
        all: vec![style, script, icon],
    }
});

// === impl Asset ===

impl Asset {
    fn new(stem: &str, ending: &str, content_type: &'static str, bytes: &[u8]) -> Asset {
        let digest = hex::encode(&Sha256::digest(bytes)[..8]);
        Asset {
            name: format!("{stem}.{digest}.{ending}"),
            content_type,
            bytes: bytes.to_vec(),
        }
    }

    fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// Serves an asset. Assets contain no data, so that the login page can use them.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.all.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };

    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.bytes.as_slice()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a browser loads with the first page, but the page.
    const BYTES_MAX: usize = 100_000;

    #[test]
    fn assets_are_small() {
        let bytes: usize = ASSETS.all.iter().map(|asset| asset.bytes.len()).sum();
        assert!(bytes < BYTES_MAX, "{bytes}");
    }

    #[test]
    fn names_contain_a_digest() {
        let name = ASSETS.script.strip_prefix("/assets/dashboard.").unwrap();
        let digest = name.strip_suffix(".js").unwrap();
        assert!(digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn templates_escape_all_data() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut templates = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            templates += 1;
            let forbidden = [
                "|safe",
                "| safe",
                "escape=",
                "style=",
                "<style",
                " onclick",
                "javascript:",
            ];
            for word in forbidden {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
            for script in text.split("<script").skip(1) {
                assert!(
                    script.starts_with(" type=\"module\" src="),
                    "{}",
                    path.display()
                );
            }
        }
        assert!(templates > 10, "{templates}");
    }
}
