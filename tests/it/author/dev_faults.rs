//! `landfall dev` when something is in the way: the settings of production, hook files that are missing or closed, builds that hang. The
//! tools are scripts, and the component is built already.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use landfall_tests::{Receiver, eventually, guest, landfall};

use super::{landfall_in, new_handler, said};

/// What `npm run build` does, unless the folder has a file `hang`. With a file `generate` it writes
/// into the sources.
const NPM: &str = "#!/bin/sh
mkdir -p build
if [ -f generate ]; then date +%s%N > src/generated.js; echo 1 >> build/starts; sleep 1; fi
if [ -f hang ]; then sleep 600 & echo $! > build/hung; wait; fi
cp \"$COMPONENT\" build/mine.wasm
";

/// `landfall dev` in a handler's folder of its own. What it prints goes to a file.
struct Dev {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

// === impl Dev ===

impl Dev {
    /// The folder, before the start.
    fn folder() -> Dev {
        let dir = tempfile::tempdir().unwrap();
        let folder = new_handler(dir.path(), "mine", "js", &["--provider", "github"]);
        let sdk = folder.join("node_modules/landfall-sdk");
        std::fs::create_dir_all(&sdk).unwrap();
        std::fs::write(sdk.join("package.json"), "{}").unwrap();
        for (name, script) in [("node", "#!/bin/sh\necho v22.1.0\n"), ("npm", NPM)] {
            let path = dir.path().join("bin").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Dev { dir, child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("mine").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn start(&mut self, variables: &[(&str, &str)]) {
        self.start_with(&[], variables);
    }

    fn start_with(&mut self, args: &[&str], variables: &[(&str, &str)]) {
        let output = File::create(self.dir.path().join("printed")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let bin = self.dir.path().join("bin").display().to_string();
        let mut command = Command::new(landfall());
        command
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(args)
            .current_dir(self.path(""))
            .env("PATH", format!("{bin}:{path}"))
            .env("COMPONENT", guest("answers_one"))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        self.child = Some(command.spawn().unwrap());
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("printed")).unwrap_or_default()
    }

    /// Waits until these words are printed.
    async fn until(&self, words: &str) {
        eventually(&format!("`{words}` is printed"), || {
            let found = self.printed().contains(words).then_some(());
            async move { found }
        })
        .await;
    }

    /// Waits for a file, and reads it.
    async fn until_file(&self, name: &str) -> String {
        eventually(&format!("{name} exists"), || {
            let text = std::fs::read_to_string(self.path(name)).ok();
            async move { text.filter(|text| text.ends_with('\n')) }
        })
        .await
    }

    async fn ended(&mut self) {
        let child = self.child.as_mut().unwrap();
        eventually("dev ends", || {
            let ended = child.try_wait().unwrap();
            async move { ended }
        })
        .await;
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.printed());
        }
    }
}

#[tokio::test]
async fn production_settings_are_not_used() {
    let mut dev = Dev::folder();
    dev.write(
        "landfall.toml",
        "[components]\ntrusted_keys = []\nnone = 1\n",
    );
    dev.start(&[
        ("LANDFALL_LEDGER_URL", "postgres://127.0.0.1:1/x"),
        ("LANDFALL_QUEUE_URL", "nats://127.0.0.1:1"),
        ("LANDFALL_ADMIN_LISTEN", "0.0.0.0:0"),
    ]);
    dev.until("landfall.toml are not used").await;
    dev.until("+ live ").await;
    dev.until("mine done in ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_deliveries_are_not_searched() {
    let service = Receiver::start().await;
    let mut dev = Dev::folder();
    let file = std::fs::read_to_string(dev.path("mine.toml")).unwrap();
    let search = format!(
        "{file}\n[dedup]\nmatch = \"id\"\n[reconcile]\nowner = \"octo\"\nrepo = \"site\"\nhook = 42\n\
         credential = \"env:API_TOKEN\"\napi = \"{}\"\n",
        service.url("/")
    );
    dev.write("mine.toml", &search);
    dev.start(&[("API_TOKEN", "token")]);
    dev.until("mine done in ").await;
    // A node looks at its schedule every second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(service.got().len(), 0);
}

#[tokio::test]
async fn hook_files_may_come_and_go() {
    let mut dev = Dev::folder();
    let hook_file = std::fs::read_to_string(dev.path("mine.toml")).unwrap();
    dev.write("mine.toml", "");
    dev.start(&[]);
    dev.until("the new version does not serve: closed: the hook has no [verify] table")
        .await;

    dev.write("mine.toml", "component = \"other.wasm\"\n");
    dev.until(
        "mine.toml is for other.wasm, and a build writes mine.wasm: remove the line `component`",
    )
    .await;
    std::fs::remove_file(dev.path("mine.toml")).unwrap();
    dev.until("mine.toml cannot be read").await;

    dev.write("mine.toml", &hook_file);
    dev.until("+ live").await;
    dev.until("mine done in ").await;
}

/// A process that has ended stays a zombie until its parent asks.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn hung_builds_are_replaced() {
    let mut dev = Dev::folder();
    dev.write("hang", "");
    dev.start(&[]);
    let first = dev.until_file("build/hung").await;

    // The first build hangs before anything is served, the second one while the first version is.
    std::fs::remove_file(dev.path("hang")).unwrap();
    dev.until("+ live ").await;
    std::fs::remove_file(dev.path("build/hung")).unwrap();
    dev.write("hang", "");
    let second = dev.until_file("build/hung").await;
    assert!(!is_running(&first));

    let mut stdin = dev.child.as_mut().unwrap().stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"q\n").unwrap();
    dev.ended().await;
    eventually("the build ends with dev", || {
        let ended = (!is_running(&second)).then_some(());
        async move { ended }
    })
    .await;
}

#[tokio::test]
async fn builds_may_write_into_sources() {
    let mut dev = Dev::folder();
    dev.write("generate", "");
    dev.start(&[]);
    dev.until("src/generated.js has changed: the build starts again")
        .await;
    let last = "! src/generated.js has changed during a build";
    eventually("the last build is served", || {
        let printed = dev.printed();
        // On a slow machine, the last build is the first one that is served.
        let after = printed.split_once(last).map(|(_, after)| after);
        let built = after.and_then(|after| after.split_once("built in "));
        let is_served = built.is_some_and(|(_, after)| after.contains("+ live "));
        async move { is_served.then_some(()) }
    })
    .await;
    let starts = dev.until_file("build/starts").await;
    assert!(starts.lines().count() <= 5, "{starts}");

    // The next change of the author is built.
    let before = dev.printed().matches("built in ").count();
    std::fs::remove_file(dev.path("generate")).unwrap();
    eventually("the handler is built again", || {
        let builds = dev.printed().matches("built in ").count();
        async move { (builds > before).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn methods_and_secrets_are_the_hooks() {
    let mut dev = Dev::folder();
    let hook_file = std::fs::read_to_string(dev.path("mine.toml")).unwrap();
    let secret = "\"file:secrets/mine\"";
    assert!(hook_file.contains(secret), "{hook_file}");
    let secrets = "[\"env:NO_SUCH_SECRET\", \"file:secrets/mine\"]";
    let hook_file = hook_file.replace(secret, secrets);
    dev.write("mine.toml", &format!("methods = [\"PUT\"]\n{hook_file}"));
    dev.start(&[]);
    dev.until("curl -sS -X PUT '").await;
    dev.until("mine done in ").await;
}

#[tokio::test]
async fn a_folder_has_one_dev() {
    let mut dev = Dev::folder();
    dev.start(&[]);
    dev.until("+ live ").await;

    let second = landfall_in(&dev.path(""), &["dev", "--listen", "127.0.0.1:0"]);
    let id = dev.child.as_ref().unwrap().id();
    let why = said(&second);
    assert!(!second.status.success() && !why.contains("--data"), "{why}");
    assert!(
        why.contains("another `landfall dev` runs in ") && why.contains(&format!("(process {id})")),
        "{why}"
    );
    assert!(why.contains(&format!("`kill {id}`")), "{why}");
}

#[tokio::test]
async fn one_of_several_hooks_is_served() {
    let mut dev = Dev::folder();
    let hook_file = std::fs::read_to_string(dev.path("mine.toml")).unwrap();
    let other = format!("component = \"mine.wasm\"\npath = \"/of-other\"\n{hook_file}");
    dev.write("other.toml", &other);
    // A tool's file, which is no hook file.
    dev.write("cliff.toml", "[changelog]\nbody = \"x\"\n");
    let refused = landfall_in(&dev.path(""), &["dev", "--listen", "127.0.0.1:0"]);
    let why = said(&refused);
    assert!(!refused.status.success(), "{why}");
    assert!(
        why.contains("(mine.toml, other.toml): name one with --hook"),
        "{why}"
    );

    dev.start_with(&["--hook", "other.toml"], &[]);
    dev.until("/of-other' -H ").await;
    dev.until("other done in ").await;
    let served = dev.path(".landfall/plugins");
    assert!(served.join("other.toml").is_file() && !served.join("mine.toml").exists());
    assert!(!dev.printed().contains("! mine"), "{}", dev.printed());
}

#[tokio::test]
async fn dependencies_by_path_are_watched() {
    let mut dev = Dev::folder();
    let library = dev.dir.path().join("library");
    std::fs::create_dir(&library).unwrap();
    std::fs::write(library.join("package.json"), "{}").unwrap();
    let package = std::fs::read_to_string(dev.path("package.json")).unwrap();
    let dependencies = "\"dependencies\": {\n    \"library\": \"file:../library\",";
    assert!(package.contains("\"dependencies\": {"), "{package}");
    dev.write(
        "package.json",
        &package.replace("\"dependencies\": {", dependencies),
    );
    std::os::unix::fs::symlink("../../library", dev.path("node_modules/library")).unwrap();

    dev.start(&[]);
    dev.until("mine done in ").await;
    std::fs::write(library.join("index.js"), "export const one = 1;\n").unwrap();
    eventually("the handler is built again", || {
        let builds = dev.printed().matches("built in ").count();
        async move { (builds == 2).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn references_in_settings_are_said() {
    let mut dev = Dev::folder();
    let hook_file = std::fs::read_to_string(dev.path("mine.toml")).unwrap();
    let settings = "\n[settings]\ntoken = \"${env:TOKEN}\"\n";
    dev.write("mine.toml", &(hook_file + settings));
    dev.start(&[]);
    dev.until("`token` contains `${env:TOKEN}`, which the host does not replace")
        .await;
}
