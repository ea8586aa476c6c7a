//! Official SDKs sign, Landfall judges. `LANDFALL_SDK` names the folder in which `.ci/run` has installed them: a Python
//! environment `venv` and `node_modules`. Without it this says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_tests::{landfall, root};

/// Runs a signing script; none where its SDKs are not installed.
fn vectors(program: &Path, arguments: &[&str], sdk: &Path) -> Option<String> {
    if !program.exists() {
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root().join("tests/sdk")).env("LANDFALL_SDK_NODE", sdk);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("JSON is UTF-8"))
}

fn judge(name: &str, least: usize, vectors: Option<String>) {
    let Some(vectors) = vectors else {
        println!("skipped: the {name} SDKs are not installed (LANDFALL_SDK, see .ci/run)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vectors.json");
    std::fs::write(&file, vectors).unwrap();
    let output = Command::new(landfall()).arg("verify").arg("--vectors").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let passed: usize = said.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(passed >= least, "only {passed} vectors from the {name} SDKs");
}

fn installed() -> PathBuf {
    std::env::var_os("LANDFALL_SDK").map(PathBuf::from).unwrap_or_else(|| "/nowhere".into())
}

#[test]
fn what_the_python_sdks_sign_is_accepted() {
    let sdk = installed();
    judge("Python", 50, vectors(&sdk.join("venv/bin/python"), &["-B", "sign.py"], &sdk));
}

#[test]
fn what_the_node_sdks_sign_is_accepted() {
    let sdk = installed();
    let has_modules = sdk.join("node_modules/@octokit/webhooks").is_dir();
    let node = ["/usr/bin/node", "/usr/local/bin/node"].into_iter().map(Path::new).find(|path| path.exists());
    judge("Node", 25, node.filter(|_| has_modules).and_then(|node| vectors(node, &["sign.mjs"], &sdk)));
}
