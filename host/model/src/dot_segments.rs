//! Dot segments in paths, also in encodings that only some servers decode.

/// Whether a segment of the path is `.` or `..`: as it is, percent-encoded, or followed by
/// parameters (`..;x`), which Java servers remove before they resolve the path.
pub fn has_dot_segment(path: &str) -> bool {
    if !path.contains(['.', '%']) {
        return false;
    }

    let lower = path.to_ascii_lowercase();
    let plain = lower
        .replace("%2e", ".")
        .replace("%3b", ";")
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace('\\', "/");
    plain.split('/').any(|segment| {
        let name = segment.split(';').next();
        matches!(name, Some("." | ".."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_found() {
        for path in [
            "/a/../b",
            "/a/..",
            "/..;/b",
            "/a/..;x=1/b",
            "/a/%2e%2e;/b",
            "/a/.%2E;/b",
            "/a/%2e%2e%3b/b",
            "/a/%2e/b",
            "/a/.;/b",
            "/a/..%2fb",
            "/a/..%5cb",
            "/a\\..\\b",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in [
            "/",
            "/a/b",
            "/a/...",
            "/a/..b/c",
            "/a;..",
            "/a/.well-known/x",
            "/a/x..;y/b",
            "/a/%252e%252e/b",
        ] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
