//! The process that compiles components: what it may do, and what it may use.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use landfall_tests::{Setup, bundled, eventually, landfall};

const SIGXFSZ: i32 = 25;

/// Waits for a component on its standard input.
fn compiler(target: &Path) -> Child {
    Command::new(landfall())
        .arg("compile")
        .arg(target)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn compile(target: &Path, component: &Path) -> Output {
    Command::new(landfall())
        .arg("compile")
        .arg(target)
        .stdin(fs::File::open(component).unwrap())
        .output()
        .unwrap()
}

/// As `compile`, with the file of functions that are compiled already: how many functions were in it, and how many were not.
fn compile_with(functions: &Path, target: &Path, component: &Path) -> (usize, usize) {
    let output = Command::new(landfall())
        .arg("compile")
        .arg(target)
        .arg("--functions")
        .arg(functions)
        .stdin(fs::File::open(component).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let counts = said
        .trim()
        .strip_suffix(" new")
        .and_then(|said| said.split_once(" reused, "))
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    (counts.0.parse().unwrap(), counts.1.parse().unwrap())
}

/// The value of a line of a file in /proc.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

#[tokio::test]
async fn compilers_end_with_their_node() {
    let dir = tempfile::tempdir().unwrap();
    // A shell in the place of the node. The compiler waits for a component that does not come.
    let mut node = Command::new("sh")
        .args(["-c", "exec 3<&0; \"$0\" compile \"$1\" <&3 & echo $!; wait"])
        .arg(landfall())
        .arg(dir.path().join("code"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = node.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let status = Path::new("/proc").join(line.trim()).join("status");
    let state = || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        value(&text, "Seccomp:")
            .map(str::to_owned)
            .zip(value(&text, "State:").map(str::to_owned))
    };
    eventually("the compiler is confined", async || {
        state().filter(|(seccomp, _)| seccomp == "2").map(drop)
    })
    .await;

    node.kill().unwrap();
    eventually("the compiler has ended", async || {
        state()
            .is_none_or(|(_, state)| state.starts_with('Z'))
            .then_some(())
    })
    .await;
    node.wait().unwrap();
}

#[tokio::test]
async fn compiler_gives_up_its_rights() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = compiler(&dir.path().join("code"));
    let proc = Path::new("/proc").join(child.id().to_string());
    let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap();
    // The filter is what it installs last, before it reads the component.
    eventually("the compiler is confined", async || {
        (value(&read("status"), "Seccomp:") == Some("2")).then_some(())
    })
    .await;

    assert_eq!(value(&read("status"), "NoNewPrivs:"), Some("1"));
    assert_eq!(read("oom_score_adj").trim(), "1000");
    let limits = read("limits");
    for (name, bound) in [
        ("Max file size", 1_u64 << 30),
        ("Max address space", 4 << 30),
        ("Max core file size", 0),
        ("Max cpu time", 125),
    ] {
        let mut words = value(&limits, name).unwrap().split_whitespace();
        for kind in ["soft", "hard"] {
            let found: u64 = words.next().unwrap().parse().unwrap();
            assert!(found <= bound, "{name}, {kind}: {found}");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn compiler_writes_nowhere_else() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ended = compile(&dir.path().join("code"), &bundled("echo"));
    assert!(ended.status.success(), "{ended:?}");

    let kept = outside.path().join("kept");
    fs::write(&kept, "kept").unwrap();
    for (link, elsewhere) in [("new", outside.path().join("new")), ("old", kept.clone())] {
        let link = dir.path().join(link);
        symlink(&elsewhere, &link).unwrap();
        let ended = compile(&link, &bundled("echo"));
        assert!(!ended.status.success(), "{ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("Permission denied"), "{said}");
    }
    assert!(!outside.path().join("new").exists());
    assert_eq!(fs::read(&kept).unwrap(), b"kept");
}

#[test]
fn file_size_limit_ends_the_compiler() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("code");
    let ended = Command::new("bash")
        .args(["-c", "ulimit -f 16; exec \"$0\" compile \"$1\""])
        .args([landfall(), &target])
        .stdin(fs::File::open(bundled("echo")).unwrap())
        .status()
        .unwrap();
    assert_eq!(ended.signal(), Some(SIGXFSZ), "{ended}");
    assert!(fs::metadata(&target).unwrap().len() <= 16 << 10);
}

#[tokio::test]
async fn doctor_tells_how_compiling_is_confined() {
    let setup = Setup::new().compiles();
    let output = Command::new(landfall())
        .args(["doctor", "--json", "--plugins"])
        .arg(setup.plugins())
        .arg("--data")
        .arg(setup.data())
        .output()
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let facts = said["facts"].as_array().unwrap();
    let compiler = facts
        .iter()
        .find(|fact| fact["what"] == "compiler")
        .unwrap();
    let lines = compiler["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{compiler}");
    let summary = lines[0].as_str().unwrap();
    assert!(summary.starts_with("files by Landlock (ABI "), "{summary}");
    assert!(summary.ends_with(", system calls by seccomp"), "{summary}");
}

#[test]
fn functions_are_compiled_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let functions = at("functions");
    let (reused, new) = compile_with(&functions, &at("1.partial"), &bundled("echo"));
    assert!(reused == 0 && new > 100, "{reused} {new}");
    fs::rename(at("1.functions"), &functions).unwrap();

    // The same component again. Cranelift orders parts of a few functions otherwise each time.
    let (reused, new) = compile_with(&functions, &at("2.partial"), &bundled("echo"));
    assert!(reused > 100 && new < reused / 4, "{reused} {new}");
    assert_eq!(
        fs::read(at("1.partial")).unwrap(),
        fs::read(at("2.partial")).unwrap()
    );

    // One with the same standard library.
    let (reused, new) = compile_with(&functions, &at("3.partial"), &bundled("filter"));
    assert!(reused > 10 && new > 10, "{reused} {new}");
    assert!(compile(&at("alone"), &bundled("filter")).status.success());
    assert_eq!(
        fs::read(at("3.partial")).unwrap(),
        fs::read(at("alone")).unwrap()
    );

    // Half of the file.
    let written = fs::read(at("3.functions")).unwrap();
    fs::write(&functions, &written[..written.len() / 2]).unwrap();
    let (reused, new) = compile_with(&functions, &at("4.partial"), &bundled("filter"));
    assert!(reused > 0 && new > 0, "{reused} {new}");
    assert_eq!(
        fs::read(at("4.partial")).unwrap(),
        fs::read(at("alone")).unwrap()
    );
}
