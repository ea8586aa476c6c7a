//! The plugins directory itself: links, copies, removal, too many files.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall_tests::faults::faults;
use landfall_tests::{Setup, bundled, component, eventually, guest};

use super::{OPEN, running_one, says};

#[tokio::test]
async fn files_being_copied_are_not_read() {
    let node = running_one().await;
    let whole = component("answers_two");
    let mut file = std::fs::File::create(node.plugins().join("hook.wasm")).unwrap();
    let (begin, end) = whole.split_at(whole.len() / 20 * 19);
    for chunk in begin.chunks(whole.len() / 20) {
        file.write_all(chunk).unwrap();
        file.sync_all().unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
    }
    file.write_all(end).unwrap();
    drop(file);
    says(&node, "two").await;
}

#[tokio::test]
async fn delete_and_re_create() {
    let node = running_one().await;
    std::fs::remove_file(node.plugins().join("hook.wasm")).unwrap();
    node.until("hook", "unavailable").await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 503);
    node.put("hook.wasm", component("answers_two"));
    says(&node, "two").await;
    std::fs::remove_file(node.plugins().join("hook.toml")).unwrap();
    node.until("hook", "closed").await;
    std::fs::remove_file(node.plugins().join("hook.wasm")).unwrap();
    eventually("the hook is gone", || async {
        (node.post("/hook", &[], "{}").await.0 == 404).then_some(())
    })
    .await;
    node.put("hook.toml", OPEN);
    node.put("hook.wasm", component("answers_one"));
    says(&node, "one").await;
}

#[tokio::test]
async fn config_maps_swap_their_data_link() {
    let setup = Setup::new();
    let plugins = setup.plugins();
    version(&plugins, "..v1", "answers_one");
    std::os::unix::fs::symlink("..v1", plugins.join("..data")).unwrap();
    for file in ["hook.wasm", "hook.toml"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), plugins.join(file)).unwrap();
    }
    let node = setup.serving("hook").await;
    says(&node, "one").await;
    version(&plugins, "..v2", "answers_two");
    std::os::unix::fs::symlink("..v2", plugins.join("..data_tmp")).unwrap();
    std::fs::rename(plugins.join("..data_tmp"), plugins.join("..data")).unwrap();
    std::fs::remove_dir_all(plugins.join("..v1")).unwrap();
    says(&node, "two").await;
}

fn version(plugins: &Path, name: &str, component: &str) {
    std::fs::create_dir(plugins.join(name)).unwrap();
    std::fs::copy(guest(component), plugins.join(name).join("hook.wasm")).unwrap();
    std::fs::write(plugins.join(name).join("hook.toml"), OPEN).unwrap();
}

#[tokio::test]
async fn the_directory_may_return() {
    let node = running_one().await;
    let (here, away) = (node.plugins(), node.plugins().with_file_name("away"));
    std::fs::rename(&here, &away).unwrap();
    node.logged("nothing is dropped", |_| true).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(node.post("/hook", &[], "{}").await.0, 200);
    assert!(node.hook("plugins directory").await.is_some());
    std::fs::rename(&away, &here).unwrap();
    node.put("hook.wasm", component("answers_two"));
    says(&node, "two").await;
}

#[tokio::test]
async fn passing_problems_are_tried_again() {
    let node = Setup::new()
        .compiles()
        .env("LANDFALL_SCAN_INTERVAL", "100ms")
        .start()
        .await;
    let compiled = node.data().join("compiled");
    eventually("the node has its folders", || async {
        compiled.is_dir().then_some(())
    })
    .await;
    std::fs::remove_dir(&compiled).unwrap();
    node.put("hook.toml", OPEN);
    node.put("hook.wasm", component("answers_one"));
    eventually("the failure is said", || async {
        let problem = node.hook("hook").await?["problem"].as_str()?.to_owned();
        problem.contains("cannot be loaded").then_some(())
    })
    .await;
    std::fs::create_dir(&compiled).unwrap();
    says(&node, "one").await;
}

#[tokio::test]
async fn steady_changes_do_not_stop_polling() {
    let setup = Setup::new()
        .hook("hook", &guest("answers_one"), OPEN)
        .env("LANDFALL_SCAN_INTERVAL", "200ms");
    let node = setup.serving("hook").await;
    // What no notice tells of: the folder behind a link.
    let (away, here) = (node.plugins().with_file_name("away"), node.plugins());
    std::fs::rename(&here, &away).unwrap();
    std::os::unix::fs::symlink(&away, &here).unwrap();
    let stop = AtomicBool::new(false);
    let noise = async {
        while !stop.load(Ordering::Relaxed) {
            std::fs::write(away.join("noise.txt"), "x").unwrap();
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    let change = async {
        std::fs::write(here.join("hook.wasm"), component("answers_two")).unwrap();
        says(&node, "two").await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(noise, change);
}

#[tokio::test]
async fn too_many_files_stop_nothing() {
    let node = running_one().await;
    for number in 0..4200 {
        node.put(&format!("{number:04}.toml"), "");
    }
    node.logged("the flood is said", |line| {
        line["message"]
            .as_str()
            .unwrap_or_default()
            .contains("too many files")
    })
    .await;
    node.settle().await;
    assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
}

#[tokio::test]
async fn names_of_own_paths_stop_nothing() {
    let node = running_one().await;
    node.put("_landfall2.toml", OPEN);
    node.put("other.toml", format!("path = \"/_landfall/other\"\n{OPEN}"));
    let other = node.until("other", "unavailable").await;
    assert!(
        other["problem"]
            .as_str()
            .unwrap()
            .contains("is the node's own"),
        "{other}"
    );
    node.put("later.toml", OPEN);
    node.until("later", "unavailable").await;
    assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".to_owned()));
}

#[tokio::test]
async fn dangling_links_count_as_deleted() {
    let setup = Setup::new();
    let store = setup.plugins().join("..store");
    std::fs::create_dir(&store).unwrap();
    for (name, bytes) in [
        ("a.wasm", component("answers_one")),
        ("a.toml", OPEN.into()),
    ] {
        std::fs::write(store.join(name), bytes).unwrap();
        std::os::unix::fs::symlink(format!("..store/{name}"), setup.plugins().join(name)).unwrap();
    }
    let node = setup.serving("a").await;
    std::fs::remove_file(store.join("a.wasm")).unwrap();
    eventually("it answers 503", || async {
        (node.post("/a", &[], "{}").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(
        node.hook("a.wasm").await.unwrap()["problem"],
        "is a link to nothing"
    );
    std::fs::remove_file(store.join("a.toml")).unwrap();
    eventually("it is gone", || async {
        (node.post("/a", &[], "{}").await.0 == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn hangups_read_the_directory_again() {
    let node = Setup::new()
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    node.signal("HUP");
    node.until_log("hooks and secrets are read again").await;
    assert_eq!(node.post("/echo", &[], "{}").await.0, 200);
}

/// gVisor, an old kernel (ENOSYS) and some seccomp profiles (EPERM) do not have it.
#[tokio::test]
async fn hooks_load_without_openat2() {
    let Some(library) = faults() else { return };
    for errno in ["38", "1"] {
        let setup = Setup::new()
            .file("..2024.wasm", component("answers_one"))
            .file("hook.toml", OPEN);
        std::os::unix::fs::symlink("..2024.wasm", setup.plugins().join("hook.wasm")).unwrap();
        std::os::unix::fs::symlink("../data/compiled.key", setup.plugins().join("out.wasm"))
            .unwrap();
        let setup = setup
            .env("LD_PRELOAD", library.to_str().unwrap())
            .env("WITHOUT_OPENAT2", errno);
        let node = setup.serving("hook").await;
        assert_eq!(node.post("/hook", &[], "{}").await, (200, "one".into()));
        let out = node.until("out", "unavailable").await;
        assert!(
            out["problem"]
                .as_str()
                .unwrap()
                .contains("leads out of the plugins directory"),
            "{out}"
        );
    }
}
