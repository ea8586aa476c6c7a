//! Lists the names in the plugins directory: hook files, components and their signatures, and
//! entries that were probably meant as one.

use std::io;
use std::path::Path;

/// The most files that are read.
pub(crate) const FILES_MAX: usize = 4096;
const INVALID_FILES_MAX: usize = 100;
/// The directory of the operator's own provider packs.
const PROVIDERS: &str = "providers";
const SUBDIRECTORY: &str = "is a directory with components or hook files in it, and only files directly in the plugins directory are \
                            read: move them up";

/// Files that are not read, and why.
pub(crate) type InvalidFiles = Vec<(String, String)>;

/// The names of hook files, components and signatures, sorted, and the entries that look like one
/// and are not read. Hidden files are ignored.
pub(crate) fn names(dir: &Path) -> io::Result<(Vec<String>, InvalidFiles)> {
    let (mut names, mut invalid_files) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = match entry.file_name().into_string() {
            Ok(name) => name,
            Err(name) => {
                let shown = name.to_string_lossy().into_owned();
                if has_our_ending(&shown) {
                    let why = "is not read: its name is not UTF-8; rename it";
                    invalid_files.push((shown, why.into()));
                }
                continue;
            }
        };

        if name.starts_with('.') {
            continue;
        }
        let endings = [".toml", ".wasm", ".wasm.minisig"];
        if endings.iter().any(|ending| name.ends_with(ending)) {
            names.push(name);
        } else if let Some(why) = why_invalid(&entry, &name) {
            invalid_files.push((name, why));
        }
    }

    names.sort();
    invalid_files.truncate(INVALID_FILES_MAX);
    Ok((names, invalid_files))
}

/// Why an entry is not read that was probably meant as a hook file or a component.
fn why_invalid(entry: &std::fs::DirEntry, name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if has_our_ending(name) {
        return Some(format!(
            "is not read: endings are in lower case; rename it to {lower}"
        ));
    }
    if lower.ends_with(".json") {
        return Some("is not read: hook files are TOML; write NAME.toml".into());
    }

    let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let is_meant = name != PROVIDERS && is_dir && contains_our_files(&entry.path());
    is_meant.then(|| SUBDIRECTORY.into())
}

fn has_our_ending(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".toml") || lower.ends_with(".wasm")
}

fn contains_our_files(dir: &Path) -> bool {
    let mut entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .take(FILES_MAX)
        .flatten();
    entries.any(|entry| has_our_ending(&entry.file_name().to_string_lossy()))
}
