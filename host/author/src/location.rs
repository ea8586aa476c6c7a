//! The file and line that an error is about, in the words of compilers and of stack traces.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// `src/lib.rs:3:5`, `src/handler.ts(3,5)`.
static COLON: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"([A-Za-z0-9_./@~-]+\.(?:rs|ts|mts|js|mjs|py|toml|json))(?::(\d+)(?::(\d+))?|\((\d+),(\d+)\))")
        .expect("a valid pattern")
});

/// A frame of a Python traceback.
static FRAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"File "([^"\n]+)", line (\d+)"#).expect("a valid pattern"));

/// Where the errors of a compiler begin; warnings may stand before.
static ERROR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^(?:error\b|.*\[ERROR\]|.*\berror TS\d)").expect("a valid pattern")
});

/// Folders with the code of others.
const FOREIGN: [&str; 6] = [
    "vendor",
    "node_modules",
    ".venv",
    "target",
    "rustc",
    "site-packages",
];

/// The first place in the sources of `dir` that the text names: `src/lib.rs:3:5`. Of a Python
/// traceback it is the last one, where the error was raised.
pub fn location(text: &str, dir: &Path) -> Option<String> {
    let text = &text[ERROR.find(text).map_or(0, |found| found.start())..];
    let frames: Vec<String> = FRAME
        .captures_iter(text)
        .filter_map(|found| place(&found, dir))
        .collect();
    frames.last().cloned().or_else(|| {
        COLON
            .captures_iter(text)
            .find_map(|found| place(&found, dir))
    })
}

/// The path relative to `dir`, the line, and the column if there is one. `None` for code of others.
fn place(found: &Captures<'_>, dir: &Path) -> Option<String> {
    let path = Path::new(&found[1]);
    let path = path.strip_prefix(dir).unwrap_or(path);
    let path = path.strip_prefix(".").unwrap_or(path);
    let is_foreign = path
        .iter()
        .any(|part| FOREIGN.iter().any(|foreign| part == *foreign));
    if path.is_absolute() || is_foreign || !dir.join(path).is_file() {
        return None;
    }

    let number = |first: usize, second: usize| {
        let number = found.get(first).or_else(|| found.get(second));
        number.map(|number| format!(":{}", number.as_str()))
    };
    let line = number(2, 4)?;
    let column = number(3, 5).unwrap_or_default();
    Some(format!("{}{line}{column}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_every_form() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["src/lib.rs", "src/handler.ts", "handler.py", "vendor/x.rs"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }

        let absolute = dir.path().join("src/handler.ts").display().to_string();
        let frames = "Traceback (most recent call last):\n  File \"handler.py\", line 3, in handle\n  \
             File \"handler.py\", line 9, in amount\n  File \"/usr/lib/python3/json.py\", line 1\nKeyError";
        for (text, expected) in [
            (
                "warning: unused\n --> src/lib.rs:1:5\nerror[E0308]: types\n --> src/lib.rs:3:5",
                Some("src/lib.rs:3:5"),
            ),
            ("panicked at src/lib.rs:12:9:\nno", Some("src/lib.rs:12:9")),
            (
                "src/handler.ts(4,7): error TS2304: x",
                Some("src/handler.ts:4:7"),
            ),
            (
                &format!("at handle ({absolute}:5:11)"),
                Some("src/handler.ts:5:11"),
            ),
            (
                "✘ [ERROR] Expected\n\n    src/handler.ts:6:2:\n",
                Some("src/handler.ts:6:2"),
            ),
            (frames, Some("handler.py:9")),
            ("error\n --> vendor/x.rs:1:1", None),
            ("nothing of this: src/none.rs:1:1", None),
        ] {
            assert_eq!(location(text, dir.path()).as_deref(), expected, "{text}");
        }
    }
}
