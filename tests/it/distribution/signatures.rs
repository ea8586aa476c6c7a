//! `components.trusted_keys`: what is not signed does not run. Signatures are made with the program minisign.

use std::path::Path;
use std::process::{Command, Stdio};

use landfall_tests::registry::Registry;
use landfall_tests::require::missing;
use landfall_tests::{Setup, component, eventually};

use super::{Desk, text};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

/// A key pair, in files of a folder.
struct Key {
    dir: tempfile::TempDir,
}

// === impl Key ===

impl Key {
    /// `None`, and a plain line, if minisign is not installed.
    fn new() -> Option<Key> {
        let key = Key {
            dir: tempfile::tempdir().unwrap(),
        };
        let (public, secret) = (key.dir.path().join("key.pub"), key.dir.path().join("key"));
        let made = minisign(&["-G", "-W", "-p", &text(&public), "-s", &text(&secret)]);
        if made.is_none() {
            missing("minisign is not installed");
        }
        made.map(|()| key)
    }

    /// The line of the file `.pub` that settings have.
    fn public(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("key.pub")).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    }

    /// Writes `FILE.minisig`.
    fn sign(&self, file: &Path) {
        let secret = text(&self.dir.path().join("key"));
        minisign(&["-S", "-s", &secret, "-m", &text(file)]).unwrap();
    }

    /// The signature of these bytes.
    fn signature(&self, bytes: &[u8]) -> String {
        let file = self.dir.path().join("signed");
        std::fs::write(&file, bytes).unwrap();
        self.sign(&file);
        std::fs::read_to_string(self.dir.path().join("signed.minisig")).unwrap()
    }
}

fn minisign(args: &[&str]) -> Option<()> {
    let mut command = Command::new("minisign");
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = command.status().ok()?;
    assert!(status.success(), "minisign {args:?}");
    Some(())
}

fn keys() -> Option<(Key, Key)> {
    Some((Key::new()?, Key::new()?))
}

#[tokio::test]
async fn only_signed_components_load() {
    let Some((key, stranger)) = keys() else {
        return;
    };
    let (one, two) = (component("answers_one"), component("answers_two"));
    let mut setup = Setup::new().env("LANDFALL_COMPONENTS_TRUSTED_KEYS", &key.public());
    for name in ["good", "none", "other", "stale"] {
        setup = setup.hook(name, &landfall_tests::guest("answers_one"), OPEN);
    }
    let node = setup
        .file("good.wasm.minisig", key.signature(&one))
        .file("other.wasm.minisig", stranger.signature(&one))
        .file("stale.wasm.minisig", key.signature(&two))
        .serving("good")
        .await;
    assert_eq!(node.post("/good", &[], "{}").await, (200, "one".to_owned()));
    for (name, words) in [
        (
            "none",
            "component none.wasm has no signature none.wasm.minisig, and components.trusted_keys requires one: sign it with `minisign -S -m none.wasm`",
        ),
        (
            "other",
            "component other.wasm is not trusted: other.wasm.minisig is made with a key that is not in components.trusted_keys",
        ),
        (
            "stale",
            "component stale.wasm is not trusted: stale.wasm.minisig is not a signature of this version of the component",
        ),
    ] {
        let status = node.until(name, "unavailable").await;
        assert!(
            status["problem"].as_str().unwrap().starts_with(words),
            "{status}"
        );
        assert_eq!(node.post(&format!("/{name}"), &[], "{}").await.0, 503);
    }

    // A signature that comes later is found, and one that is changed keeps the last good version serving.
    node.put("none.wasm.minisig", key.signature(&one));
    node.until("none", "serving").await;
    node.put("none.wasm.minisig", "untrusted comment: no\n");
    let status = node.until("none", "stale").await;
    assert!(
        status["problem"]
            .as_str()
            .unwrap()
            .contains("is not a signature of minisign"),
        "{status}"
    );
    assert_eq!(node.post("/none", &[], "{}").await.0, 200);
    node.put("good.wasm", &two);
    node.until("good", "stale").await;
    assert_eq!(node.post("/good", &[], "{}").await, (200, "one".to_owned()));
}

#[tokio::test]
async fn bundled_components_need_signatures_too() {
    let Some(key) = Key::new() else {
        return;
    };
    let bundled = tempfile::tempdir().unwrap();
    let file = bundled.path().join("answers.wasm");
    std::fs::write(&file, component("answers_one")).unwrap();
    let setup = || {
        Setup::new()
            .file("a.toml", format!("component = \"answers.wasm\"\n{OPEN}"))
            .arg("--bundled")
            .arg(&text(bundled.path()))
            .env("LANDFALL_COMPONENTS_TRUSTED_KEYS", &key.public())
    };

    let node = setup().start().await;
    let status = node.until("a", "unavailable").await;
    assert!(
        status["problem"]
            .as_str()
            .unwrap()
            .ends_with("or set components.trust_bundled = true to trust what came with the binary"),
        "{status}"
    );
    let node = setup()
        .env("LANDFALL_COMPONENTS_TRUST_BUNDLED", "true")
        .serving("a")
        .await;
    assert_eq!(node.post("/a", &[], "{}").await.0, 200);
    key.sign(&file);
    setup().serving("a").await;
}

#[tokio::test]
async fn added_components_keep_their_signature() {
    let Some((key, stranger)) = keys() else {
        return;
    };
    let Some(registry) = Registry::start().await else {
        return;
    };
    let desk = Desk::new();
    let settings = format!("[components]\ntrusted_keys = [\"{}\"]\n", key.public());
    desk.write("landfall.toml", settings);
    let node = Setup::new()
        .env("LANDFALL_COMPONENTS_TRUSTED_KEYS", &key.public())
        .start()
        .await;
    let plugins = text(&node.plugins());
    let file = desk.write("one.wasm", component("answers_one"));
    let add = ["add", "one.wasm", "--plugins", &plugins];

    desk.run(&add)
        .await
        .refused("one.wasm has no signature, and components.trusted_keys requires one");
    stranger.sign(&file);
    desk.run(&add).await.refused(
        "the signature of one.wasm is made with a key that is not in components.trusted_keys",
    );
    assert!(std::fs::read_dir(node.plugins()).unwrap().next().is_none());
    key.sign(&file);
    desk.run(&add).await.ok();
    node.until("one", "closed").await;

    // Through a registry, and with a new version.
    let target = registry.oci("one:2");
    let two = desk.write("two.wasm", component("answers_two"));
    key.sign(&two);
    let said = desk.run(&["push", "two.wasm", &target]).await.ok();
    assert!(said.contains("signed   yes"), "{said}");
    desk.run(&["add", &target, "--plugins", &plugins])
        .await
        .ok();
    let hook_file = std::fs::read_to_string(node.plugins().join("one.toml")).unwrap();
    node.put(
        "one.toml",
        format!("mode = \"sync\"\n{hook_file}[verify]\nscheme = \"none\"\n"),
    );
    eventually("the new version answers", || async {
        (node.post("/one", &[], "{}").await == (200, "two".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn wrong_keys_end_the_start() {
    let log = Setup::new()
        .env("LANDFALL_COMPONENTS_TRUSTED_KEYS", "untrusted comment")
        .refusal()
        .await;
    assert!(
        log.contains("is not a public key of minisign: write the second line"),
        "{log}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[components]\ntrusted_keys = []\n").unwrap();
    let log = Setup::new()
        .env("LANDFALL_CONFIG", &text(file.path()))
        .refusal()
        .await;
    assert!(
        log.contains("an empty list of keys: name at least one"),
        "{log}"
    );
}
