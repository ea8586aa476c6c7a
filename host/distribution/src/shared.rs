//! Which hooks of a plugins directory share a component.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use landfall_config::component_file;
use landfall_model::HookName;
use toml_edit::{DocumentMut, Item};

/// What a node reads of a hook file at most.
const HOOK_FILE_BYTES_MAX: u64 = 1 << 20;

/// The hook files, other than `NAME.toml`, that name `NAME.wasm` as their component, sorted. A
/// file with a mistake counts if it may name it: a node serves its former text, and will serve the
/// mended one.
pub fn other_users(dir: &Path, name: &HookName) -> io::Result<Vec<String>> {
    let (component, own) = (format!("{name}.wasm"), format!("{name}.toml"));
    let mut users = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        let is_other = file.ends_with(".toml") && !file.starts_with('.') && file != own;
        if is_other && names(&path, &component) {
            users.push(file.to_owned());
        }
    }
    users.sort();
    Ok(users)
}

/// Whether a hook file names this component, or has a mistake and contains the name.
fn names(path: &Path, component: &str) -> bool {
    let Some(text) = text(path) else {
        return false;
    };
    match text.parse::<DocumentMut>() {
        Ok(document) => document
            .get("component")
            .and_then(Item::as_str)
            .and_then(component_file)
            .is_some_and(|named| named == component),
        Err(_) => {
            let name = component.trim_end_matches(".wasm");
            text.contains(component) || text.contains(&format!("\"{name}\""))
        }
    }
}

/// The text of a hook file, if a node would read it.
fn text(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > HOOK_FILE_BYTES_MAX {
        return None;
    }
    Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_users_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("a.toml", "component = \"a\"\n"),
            (
                "b.toml",
                "component = \"a.wasm\"\n[verify]\nscheme = \"none\"\n",
            ),
            ("c.toml", "component = \"a\" # without its ending\n"),
            ("d.toml", "component = \"b.wasm\"\n"),
            ("e.toml", ""),
            ("f.toml", "component = [\n"),
            (".g.toml", "component = \"a\"\n"),
            ("h.toml", "component = \"a.wasm\"\nx = [\n"),
            ("i.toml", "component = \"a\"\nx = [\n"),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let users = |name: &str| other_users(dir.path(), &name.parse().unwrap()).unwrap();
        assert_eq!(users("a"), ["b.toml", "c.toml", "h.toml", "i.toml"]);
        assert!(users("e").is_empty());
    }
}
