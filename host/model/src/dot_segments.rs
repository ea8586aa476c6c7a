//! Segments that climb out of a path, also in the spellings that some servers undo and others do not.

/// Whether a segment of the path is `.` or `..`: as it is, percent-encoded, or with parameters behind it (`..;x`), which servers of Java
/// leave out before they resolve it.
pub fn has_dot_segment(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let plain = lower
        .replace("%2e", ".")
        .replace("%3b", ";")
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace('\\', "/");
    let name = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    plain
        .split('/')
        .any(|segment| matches!(name(segment).as_str(), "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn climbing_segments_are_found() {
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
