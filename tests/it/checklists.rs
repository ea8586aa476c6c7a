//! The checklists of CONTRIBUTING.md. Each is followed in a copy of the repository, and what it promises is tried there.

mod handlers_page;
mod scratch;

use std::collections::BTreeSet;

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::{Node, Setup, bundled, eventually, landfall, root, sign};

use self::scratch::{cargo, component, node, repository, target};
use super::conformance;

/// A section of CONTRIBUTING.md, and the folder of the files with which it is followed.
struct Checklist {
    heading: &'static str,
    fixture: &'static str,
    /// What stands for `NAME`.
    name: &'static str,
}

const CHECKLISTS: [Checklist; 5] = [
    Checklist {
        heading: "Add a provider",
        fixture: "provider",
        name: "acme",
    },
    Checklist {
        heading: "Add a bundled handler",
        fixture: "handler",
        name: "shout",
    },
    Checklist {
        heading: "Add a capability",
        fixture: "capability",
        name: "greet",
    },
    Checklist {
        heading: "Add a broker",
        fixture: "broker",
        name: "memory",
    },
    Checklist {
        heading: "Add a setting of the node",
        fixture: "setting",
        name: "greetings",
    },
];

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const ACME: &str = "[verify]\nprovider = \"acme\"\nsecret = \"env:ACME_SECRET\"\n";
const SECRET: &str = "acme_secret_1";

/// The files that the steps of a section begin with. A step that begins with "If" is not always taken.
fn documented(checklist: &Checklist) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let heading = format!("## {}\n", checklist.heading);
    let (_, section) = text.split_once(&heading).expect(checklist.heading);
    let section = section.split("\n## ").next().unwrap();

    let steps = section.lines().filter_map(|line| line.split_once(". `"));
    let steps = steps.filter(|(number, _)| number.parse::<u32>().is_ok());
    let paths = steps.flat_map(|(_, step)| {
        let (paths, _) = step.split_once("`: ").expect(step);
        paths.split("`, `").map(str::to_owned).collect::<Vec<_>>()
    });
    paths
        .map(|path| path.replace("NAME", checklist.name))
        .collect()
}

#[test]
fn checklists_name_every_touched_file() {
    for checklist in &CHECKLISTS {
        let touched = scratch::touched(checklist.fixture);
        assert_eq!(documented(checklist), touched, "{}", checklist.heading);
    }
}

#[test]
fn handlers_page_matches_the_folders() {
    let path = root().join("docs/HANDLERS.md");
    let present = std::fs::read_to_string(&path).unwrap();
    let expected = handlers_page::with_rows(&present, &root().join("plugins"));
    if present == expected {
        return;
    }

    std::fs::write(&path, expected).unwrap();
    panic!("docs/HANDLERS.md did not list the folders of plugins/: it is written anew, commit it");
}

async fn check_acme(setup: Setup) {
    let node = setup
        .env("ACME_SECRET", SECRET)
        .hook("acme", &bundled("echo"), ACME)
        .serving("acme")
        .await;
    let body = "{\"event\":\"anvil.dropped\",\"id\":\"a1\"}";
    let signature = sign(SECRET, body.as_bytes()).replace("sha256=", "");
    let post = async |signature: &str| {
        let headers = [("acme-signature", signature)];
        node.post("/acme", &headers, body).await.0
    };

    assert_eq!(post(&signature).await, 200);
    let forged = sign("another", body.as_bytes()).replace("sha256=", "");
    assert_eq!(post(&forged).await, 401);
}

#[tokio::test]
async fn a_provider_is_one_file() {
    let pack = "host/verify/src/packs/acme.toml";
    let pack = std::fs::read(repository().join(pack)).unwrap();
    let dropped = Setup::new();
    std::fs::create_dir(dropped.plugins().join("providers")).unwrap();
    check_acme(dropped.file("providers/acme.toml", pack)).await;

    check_acme(Setup::new().binary(node())).await;
}

#[test]
fn a_provider_passes_its_vectors() {
    let arguments = ["test", "-p", "landfall-verify", "--lib", "conformance"];
    cargo(repository(), &target(), &arguments);
}

#[tokio::test]
async fn a_handler_is_its_folder() {
    let plugins = repository().join("plugins");
    let page = std::fs::read_to_string(repository().join("docs/HANDLERS.md")).unwrap();
    let row = "| [shout](../plugins/shout/README.md) | Answers with the text of each event in \
               upper case |\n";
    assert!(handlers_page::with_rows(&page, &plugins).contains(row));

    let native = native_target();
    let arguments = ["test", "-p", "shout", "--target", &native];
    cargo(&plugins, &target().join("wasm"), &arguments);

    let shout = component("plugins", &["-p", "shout"], "shout.wasm");
    let node = Setup::new()
        .hook("shout", &shout, OPEN)
        .serving("shout")
        .await;
    assert_eq!(
        node.post("/shout", &[], "hello").await,
        (200, "HELLO".to_owned())
    );
}

fn native_target() -> String {
    let output = std::process::Command::new("rustc").arg("-vV").output();
    let text = String::from_utf8(output.expect("rustc starts").stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc names its host").to_owned()
}

#[tokio::test]
async fn a_capability_works_if_granted() {
    let guest = component(
        "tests/guests",
        &["--example", "greet"],
        "examples/greet.wasm",
    );
    let granted = format!("{OPEN}[allow]\ngreet = [\"ada\"]\n");
    let setup = Setup::new()
        .binary(node())
        .hook("greet", &guest, &granted)
        .hook("closed", &guest, OPEN)
        .file("wrong.toml", format!("{OPEN}[allow]\ngret = [\"ada\"]\n"));
    let node = setup.serving("greet").await;

    assert_eq!(
        node.post("/greet?ada", &[], "").await,
        (200, "hello ada".to_owned())
    );
    assert_eq!(node.post("/greet?bob", &[], "").await.0, 422);
    refused(
        &node,
        "wants `greet`, which the hook file does not grant: add greet = [",
    )
    .await;
    refused(&node, "unknown key `gret`: did you mean `greet`?").await;
}

async fn refused(node: &Node, words: &str) {
    eventually(words, || async { node.log().contains(words).then_some(()) }).await;
}

#[test]
fn hosts_without_a_capability_refuse_it() {
    let guest = component(
        "tests/guests",
        &["--example", "greet"],
        "examples/greet.wasm",
    );
    let output = std::process::Command::new(landfall())
        .arg("inspect")
        .arg(guest)
        .output()
        .expect("the binary starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains("landfall:greet/greet@0.1.0, which this host does not have"),
        "{error}"
    );
}

async fn memory() -> Backend {
    let backend = Backend::start(Kind::Url("memory://conformance")).await;
    let mut backend = backend.expect("nothing is needed but its URL");
    backend.binary = Some(node().into());
    backend
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_one_file() {
    conformance::duplicates_run_once_other_bodies_run(memory().await).await;
    conformance::retries_are_never_early(memory().await).await;
    conformance::waiting_deliveries_run_at_once(memory().await).await;
}

#[tokio::test]
async fn brokers_refuse_keys_of_others() {
    let setup = Setup::new().binary(node());
    let setup = setup
        .env("LANDFALL_QUEUE_URL", "memory://m")
        .env("LANDFALL_QUEUE_STREAM", "s");
    let log = setup.refusal().await;
    assert!(log.contains("queue.stream is a key of nats://"), "{log}");

    let setup = Setup::new().env("LANDFALL_QUEUE_URL", "memory://m");
    let log = setup.refusal().await;
    assert!(log.contains("queue.url is nats://HOST:4222"), "{log}");
}

#[tokio::test]
async fn a_setting_is_one_field() {
    let write = ["run", "-p", "landfall-config", "--example", "config_page"];
    cargo(repository(), &target(), &write);
    let page = std::fs::read_to_string(repository().join("docs/CONFIG.md")).unwrap();
    let row = page.lines().find(|line| line.contains("limits.greetings"));
    let row = row.expect("the page has a row for the setting");
    for part in [
        "LANDFALL_LIMITS_GREETINGS",
        "`3`",
        "Greetings that one attempt may send",
    ] {
        assert!(row.contains(part), "{row}");
    }

    for (variable, value, expected) in [
        ("LANDFALL_LIMITS_GREETINGS", "10", "is out of range: 1 to 9"),
        (
            "LANDFALL_LIMITS_GREETING",
            "1",
            "did you mean LANDFALL_LIMITS_GREETINGS?",
        ),
    ] {
        let setup = Setup::new().binary(node()).env(variable, value);
        let log = setup.refusal().await;
        assert!(log.contains(variable) && log.contains(expected), "{log}");
    }
}
