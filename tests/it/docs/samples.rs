//! Hook files and provider packs in the pages are valid.

use std::path::Path;
use std::process::Command;

use landfall_tests::{bundle, landfall, root};

use super::{Sample, handlers, pages, read, samples};

/// The file that a TOML sample is: its first line says so.
fn file_name(sample: &Sample) -> Option<&str> {
    sample
        .text
        .lines()
        .next()?
        .strip_prefix("# ")
        .filter(|name| name.ends_with(".toml") && !name.contains(' '))
}

#[test]
fn hook_files_in_docs_are_valid() {
    let mut count = 0;
    for page in pages() {
        let dir = tempfile::tempdir().unwrap();
        for sample in samples(&page)
            .iter()
            .filter(|sample| sample.language == "toml")
        {
            let name = file_name(sample).unwrap_or_else(|| {
                panic!("{}: a TOML sample names its file first", page.display())
            });
            if let Some(pack) = name.strip_prefix("providers/") {
                std::fs::create_dir_all(dir.path().join("providers")).unwrap();
                std::fs::write(dir.path().join("providers").join(pack), &sample.text).unwrap();
                let hook = format!(
                    "component = \"echo.wasm\"\n[verify]\nprovider = \"{}\"\nsecret = \"env:X\"\n",
                    pack.trim_end_matches(".toml")
                );
                std::fs::write(dir.path().join(pack), hook).unwrap();
                count += 1;
            } else if name != "landfall.toml" && !name.contains('/') {
                std::fs::write(dir.path().join(name), &sample.text).unwrap();
                count += 1;
            }
        }
        check_all(&page, dir.path());
    }
    assert!(count >= 6, "{count} hook files");
}

/// Components come from `--bundled`.
fn check_all(page: &Path, dir: &Path) {
    let mut command = Command::new(landfall());
    command
        .arg("check")
        .arg("--plugins")
        .arg(dir)
        .arg("--bundled")
        .arg(bundle());
    // The samples' secrets have values: without one a hook is closed, and `check` says so.
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for text in files
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| read(&path))
    {
        let names = text
            .split("env:")
            .skip(1)
            .map(|rest| rest.split(['"', '}']).next().unwrap_or_default().to_owned());
        command.envs(names.map(|name| (name, "user:password")));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}:\n{text}{}",
        page.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The samples in the README files are checked; the file beside is the same one.
#[test]
fn bundled_hook_files_match_their_readmes() {
    let handlers = handlers();
    assert!(handlers.len() >= 13, "{handlers:?}");
    for name in handlers {
        let dir = root().join("plugins").join(&name);
        let (hook, readme) = (
            read(&dir.join(format!("{name}.toml"))),
            read(&dir.join("README.md")),
        );
        assert!(
            readme.contains(hook.trim()),
            "{name}.toml is not what the README shows"
        );
    }
}
