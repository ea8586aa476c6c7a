//! What `landfall build` says about missing tools, and about components that a node would refuse.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use landfall_tests::landfall;

use super::{has_tools, new_handler, said};

/// `landfall build` with only these programs; each is a shell script.
fn build_with(folder: &Path, programs: &[(&str, &str)]) -> Output {
    let bin = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let path = bin.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    Command::new(landfall())
        .arg("build")
        .current_dir(folder)
        .env("PATH", bin.path())
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .output()
        .unwrap()
}

#[test]
fn missing_tools_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (language, programs, words) in [
        (
            "rust",
            &[][..],
            "Rust is missing: cargo does not start: install it from https://rustup.rs",
        ),
        (
            "rust",
            &[("cargo", "echo cargo 1.95.0"), ("rustc", "echo /nowhere")],
            "Rust has no target wasm32-unknown-unknown: run `rustup target add wasm32-unknown-unknown`",
        ),
        (
            "rust",
            &[
                ("cargo", "echo cargo 1.95.0"),
                (
                    "rustc",
                    "echo /; echo /nowhere; echo x86_64-unknown-linux-gnu",
                ),
            ],
            "this Rust has no wasm-component-ld, which the toolchains of https://rustup.rs have: run `cargo install --locked wasm-component-ld`",
        ),
        (
            "ts",
            &[],
            "Node.js is missing: node does not start: install Node.js 20",
        ),
        (
            "ts",
            &[("node", "echo v18.19.0")],
            "Node.js v18.19.0 is too old: install Node.js 20",
        ),
        (
            "js",
            &[("node", "echo v20.5.1")],
            "Node.js v20.5.1 is too old: install Node.js 20.6 or newer",
        ),
        ("js", &[("node", "echo v22.1.0")], "run `npm install` in"),
        (
            "python",
            &[],
            "Python is missing: python3 does not start: install Python 3.11",
        ),
        (
            "python",
            &[("python3", "echo Python 3.9.2")],
            "Python 3.9.2 is too old",
        ),
        (
            "python",
            &[("python3", "echo Python 3.12.1")],
            "run `python3 -m venv .venv && .venv/bin/pip install",
        ),
    ] {
        let name = format!("h{}", std::fs::read_dir(dir.path()).unwrap().count());
        let folder = new_handler(dir.path(), &name, language, &[]);
        let output = build_with(&folder, programs);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said(&output).contains(words),
            "{language}: {}",
            said(&output)
        );
    }
}

/// An interrupted `npm install` has left out a package of the SDK.
#[test]
fn half_installed_packages_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "js", &[]);
    std::fs::create_dir(folder.join("node_modules")).unwrap();
    let link = folder.join("node_modules/landfall-sdk");
    std::os::unix::fs::symlink("../vendor/landfall-sdk", link).unwrap();
    let output = build_with(&folder, &[("node", "echo v22.1.0")]);
    let words = "the package componentize-qjs is not installed: run `npm install` in";
    assert!(said(&output).contains(words), "{}", said(&output));
}

#[test]
fn a_lock_file_is_installed_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "js", &[]);
    std::fs::write(folder.join("package-lock.json"), "{}").unwrap();
    let output = build_with(&folder, &[("node", "echo v22.1.0")]);
    assert!(
        said(&output).contains("run `npm ci` in"),
        "{}",
        said(&output)
    );
}

/// The build itself succeeds, and what it writes is no component of this contract.
#[test]
fn refused_components_fail_the_build() {
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "js", &[]);
    let sdk = folder.join("node_modules/landfall-sdk");
    std::fs::create_dir_all(&sdk).unwrap();
    std::fs::write(sdk.join("package.json"), "{}").unwrap();
    let npm = "/bin/mkdir -p build; printf '\\000asm\\001\\000\\000\\000' > build/mine.wasm";
    let output = build_with(&folder, &[("node", "echo v22.1.0"), ("npm", npm)]);
    let words = "a node would refuse its component";
    assert!(
        !output.status.success() && said(&output).contains(words),
        "{}",
        said(&output)
    );
    assert!(
        said(&output).contains("is a core module, not a component"),
        "{}",
        said(&output)
    );
}

#[test]
fn failed_builds_name_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "js", &[]);
    let sdk = folder.join("node_modules/landfall-sdk");
    std::fs::create_dir_all(&sdk).unwrap();
    std::fs::write(sdk.join("package.json"), "{}").unwrap();
    let npm = "echo 'src/handler.js:3:7: error: Expected \";\"' >&2; exit 1";
    let output = build_with(&folder, &[("node", "echo v22.1.0"), ("npm", npm)]);
    assert!(
        said(&output).contains("could not build") && said(&output).contains(": src/handler.js:3:7"),
        "{}",
        said(&output)
    );
}

/// pip copies a package that is a folder: the build would contain the old code.
#[test]
fn outdated_copies_are_named() {
    if !has_tools("python") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "python", &[]);
    std::fs::write(folder.join("requirements.txt"), "").unwrap();
    let packages = folder.join(".venv/packages");
    let copy = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let library = dir.path().join("library");
    copy("library/library/a.py", "A = 2\n");
    for (file, text) in [
        ("landfall_sdk/__init__.py", ""),
        ("landfall_sdk/build.py", ""),
        ("library/a.py", "A = 1\n"),
        (
            "library-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: library\nVersion: 1.0\n",
        ),
        ("library-1.0.dist-info/RECORD", "library/a.py,,\n"),
        (
            "library-1.0.dist-info/direct_url.json",
            &format!(
                "{{\"url\": \"file://{}\", \"dir_info\": {{}}}}",
                library.display()
            ),
        ),
    ] {
        copy(&format!("mine/.venv/packages/{file}"), text);
    }
    let python = format!(
        "#!/bin/sh\nPYTHONPATH='{}' exec '{}' \"$@\"\n",
        packages.display(),
        real_python()
    );
    copy("mine/.venv/bin/python", &python);
    let script = folder.join(".venv/bin/python");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();

    let installed = format!("exec '{}' \"$@\"", real_python());
    let said = said(&build_with(&folder, &[("python3", &installed)]));
    assert!(
        said.contains(".venv has an older copy of library: run `.venv/bin/pip install ")
            && said.contains(&format!("--force-reinstall '{}'` in", library.display())),
        "{said}"
    );
}

/// The path of the interpreter, not of a script that looks for one.
fn real_python() -> String {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable, end='')"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
