//! A published file of wit/ never changes: `tests/fixtures/wit` has a copy of each, `NAME-VERSION.wit`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landfall_tests::root;

const COPIES: &str = "tests/fixtures/wit";
const WAY_OUT: &str = "Component authors depend on published text. To add a function or an interface, mark it \
    `@since(version = 0.1.n)`, raise the version of the package to 0.1.n, and add a copy of the file as NAME-0.1.n.wit beside \
    the earlier copies. To change anything else, also a comment, leave the file as it is and add a file with a new version of \
    the package, NAME@0.2.0, with a copy of its own. Only a package that no release contains yet may change together with its \
    copy.";

/// A package of wit/, or a copy of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: [u32; 3],
}

impl Package {
    /// From the line `package landfall:NAME@VERSION;`.
    fn of(text: &str) -> Option<Package> {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("package landfall:"))?;
        let (name, version) = line.trim_end_matches(';').split_once('@')?;
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Package {
            name: name.to_owned(),
            version: [next()?, next()?, next()?],
        })
    }

    fn copy(&self) -> String {
        let [major, minor, patch] = self.version;
        format!("{}-{major}.{minor}.{patch}.wit", self.name)
    }

    /// Whether a component that was built for `older` runs on this package.
    fn serves(&self, older: &Package) -> bool {
        self.name == older.name
            && self.version[..2] == older.version[..2]
            && self.version >= older.version
    }
}

/// The packages of a folder, with their files and texts.
fn packages(folder: &Path) -> Result<BTreeMap<Package, (PathBuf, String)>, String> {
    let mut packages = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.display().to_string();
        let package = Package::of(&text)
            .ok_or_else(|| format!("{file} has no line `package landfall:NAME@0.1.0;`"))?;
        if let Some((other, _)) = packages.insert(package, (path, text)) {
            return Err(format!("{file} and {} are one package", other.display()));
        }
    }
    Ok(packages)
}

/// Compares wit/ with the copies, in a repository.
fn check(repository: &Path) -> Result<usize, String> {
    let published = packages(&repository.join("wit"))?;
    let copies = packages(&repository.join(COPIES))?;

    for (package, (file, text)) in &published {
        let (file, copy) = (file.display(), package.copy());
        match copies.get(package) {
            None => return Err(format!("{file} has no copy {COPIES}/{copy}")),
            Some((_, copied)) if copied != text => {
                return Err(format!("{file} differs from {COPIES}/{copy}"));
            }
            Some(_) => {}
        }
    }
    for (package, (file, _)) in &copies {
        let copy = package.copy();
        if file.file_name().is_none_or(|name| *name != *copy) {
            return Err(format!("{} must be named {copy}", file.display()));
        }
        if !published.keys().any(|present| present.serves(package)) {
            return Err(format!(
                "no file of wit/ has the package of {COPIES}/{copy}"
            ));
        }
    }
    Ok(published.len())
}

#[test]
fn published_wit_files_never_change() {
    let checked = check(&root()).unwrap_or_else(|error| panic!("{error}. {WAY_OUT}"));
    assert!(checked >= 6, "{checked} packages");

    let example = root().join("tests/fixtures/checklists/capability");
    assert_eq!(check(&example), Ok(1), "the example of a capability");
}

#[test]
fn edits_of_published_files_are_found() {
    const KV: &str = "package landfall:kv@0.1.0;\ninterface kv {}\n";
    let check_with = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["wit", COPIES] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (file, text) in files {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        check(dir.path())
    };
    let copy = "tests/fixtures/wit/kv-0.1.0.wit";
    assert_eq!(check_with(&[("wit/kv.wit", KV), (copy, KV)]), Ok(1));

    let edited = KV.replace("{}", "{ }");
    let newer = edited.replace("0.1.0", "0.1.1");
    let changed = edited.replace("0.1.0", "0.2.0");
    let newer_copy = ("tests/fixtures/wit/kv-0.1.1.wit", newer.as_str());
    let changed_copy = ("tests/fixtures/wit/kv-0.2.0.wit", changed.as_str());
    let grown = [("wit/kv.wit", newer.as_str()), (copy, KV), newer_copy];
    assert_eq!(check_with(&grown), Ok(1), "an addition");
    let beside = [
        ("wit/kv.wit", KV),
        ("wit/kv-0.2.wit", &changed),
        (copy, KV),
        changed_copy,
    ];
    assert_eq!(
        check_with(&beside),
        Ok(2),
        "a new version beside the old one"
    );

    for (files, expected) in [
        (
            vec![("wit/kv.wit", edited.as_str()), (copy, KV)],
            "differs from",
        ),
        (vec![("wit/kv.wit", KV)], "has no copy"),
        (vec![(copy, KV)], "no file of wit/ has"),
        (
            vec![("wit/kv.wit", &changed), (copy, KV), changed_copy],
            "no file of wit/ has",
        ),
        (
            vec![("wit/kv.wit", KV), ("tests/fixtures/wit/kv.wit", KV)],
            "must be named",
        ),
        (
            vec![("wit/kv.wit", "interface kv {}\n"), (copy, KV)],
            "has no line",
        ),
    ] {
        let error = check_with(&files).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
