//! The cache of machine code: who may have written it, how large it gets, what the operator sees of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_tests::{Setup, bundled, guest, landfall};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

fn compiled(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("compiled"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn directories_writable_by_others_are_refused() {
    let setup = Setup::new().compiles().hook("echo", &bundled("echo"), OPEN);
    let dir = setup.data().join("compiled");
    fs::create_dir_all(&dir).unwrap();
    set_mode(&dir, 0o777);
    let said = setup.refusal().await;
    assert!(
        said.contains("machine code is not loaded from")
            && said.contains("can be written by other users"),
        "{said}"
    );
}

#[tokio::test]
async fn keys_readable_by_others_are_refused() {
    let node = Setup::new()
        .compiles()
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    let key = node.data().join("compiled.key");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let setup = node.killed();
    set_mode(&key, 0o644);
    let said = setup.refusal().await;
    assert!(
        said.contains("can be read or written by other users"),
        "{said}"
    );
}

#[tokio::test]
async fn changed_code_is_compiled_again() {
    let node = Setup::new()
        .compiles()
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    let path = compiled(&node.data()).pop().unwrap();
    let setup = node.killed();
    let mut code = fs::read(&path).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&path, &code).unwrap();

    let node = setup.serving("echo").await;
    node.logged("the file is refused", |line| {
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains("does not have the seal of this node"))
    })
    .await;
    assert_eq!(node.post("/echo", &[], "{}").await.0, 200);
    assert_ne!(fs::read(&path).unwrap(), code, "it was compiled again");
    // Sealed code is loaded without a compiler.
    let written = fs::metadata(&path).unwrap();
    let node = node.killed().serving("echo").await;
    assert_eq!(
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap()),
        std::os::unix::fs::MetadataExt::ino(&written)
    );
    assert!(!node.log().contains("compiled again"), "{}", node.log());
}

/// Only `landfall dev` keeps functions: here, components of several authors are compiled.
#[tokio::test]
async fn nodes_keep_no_functions() {
    let node = Setup::new()
        .compiles()
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    let before = node.hook("echo").await.unwrap()["digest"].clone();
    node.put("echo.wasm", fs::read(guest("replies")).unwrap());
    node.until_changed("echo", &before).await;
    assert!(!node.data().join("functions").exists());
    let files = fs::read_dir(node.data().join("compiled")).unwrap();
    let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.all(|name| name.ends_with(".cwasm") || name.ends_with(".seal")));
}

#[tokio::test]
async fn old_code_makes_room_for_new() {
    let setup = Setup::new()
        .compiles()
        .hook("echo", &bundled("echo"), OPEN)
        .env("LANDFALL_CACHE_MAX_SIZE", "1KiB");
    let node = setup.serving("echo").await;
    let before = node.hook("echo").await.unwrap()["digest"].clone();
    let first = compiled(&node.data());
    node.put("echo.wasm", fs::read(guest("replies")).unwrap());
    node.until_changed("echo", &before).await;
    let second = compiled(&node.data());
    assert!(
        first.len() == 1 && second.len() == 1 && first != second,
        "{first:?} {second:?}"
    );
    let metrics = node.metrics().await;
    assert!(
        metrics
            .lines()
            .any(|line| line == "landfall_cache_evictions_total 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn doctor_reports_the_cache() {
    let node = Setup::new()
        .compiles()
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    let output = Command::new(landfall())
        .args(["doctor", "--plugins"])
        .arg(node.plugins())
        .arg("--data")
        .arg(node.data())
        .current_dir(node.data())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("compiled components: 1 in ") && said.contains("(cache.max_size)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_full_disk_names_its_users() {
    let setup = Setup::new().compiles().hook(
        "echo",
        &bundled("echo"),
        &format!("mode = \"async\"\n{OPEN}"),
    );
    let node = setup
        .env("LANDFALL_LEDGER_MIN_FREE_SPACE", "1048576TiB")
        .serving("echo")
        .await;
    assert_eq!(node.post("/echo", &[], "{}").await.0, 503);
    let report = node
        .logged("the report", |line| line["largest"].is_string())
        .await;
    let largest = report["largest"].as_str().unwrap();
    assert!(largest.contains("ledger.db "), "{report}");
}
