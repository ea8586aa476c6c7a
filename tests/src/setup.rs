//! What a node is started with: its folders, hooks and settings.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::launch::Launch;
use crate::mount::Mount;
use crate::{Node, Postgres, compiled};

/// What a node is started with.
pub struct Setup {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) launch: Launch,
}

/// A name that no other test has.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "t{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::SeqCst)
    )
}

// === impl Setup ===

impl Setup {
    /// An empty plugins directory.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Setup {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("plugins")).expect("a new folder");
        let setup = Setup {
            dir,
            launch: Launch::default(),
        };
        let setup = match std::env::var("LANDFALL_TEST_QUEUE") {
            Ok(url) => setup
                .env("LANDFALL_QUEUE_URL", &url)
                .env("LANDFALL_QUEUE_STREAM", &unique()),
            Err(_) => setup,
        };
        match std::env::var("LANDFALL_TEST_LEDGER") {
            Ok(kind) if kind == "postgres" => setup.on_postgres().expect("PostgreSQL is installed"),
            _ => setup,
        }
    }

    /// With a ledger in a database of its own; none where PostgreSQL is not installed.
    pub fn on_postgres(self) -> Option<Setup> {
        let url = Postgres::shared()?.database();
        Some(self.env("LANDFALL_LEDGER_URL", &url))
    }

    /// One hook `NAME` with its component and the text of its hook file. If that names no mode, the hook is `sync`. In mode `auto` it
    /// waits a minute for the reply if it names no `answer_within`, so that a busy machine changes no answer.
    pub fn hook(self, name: &str, component: &Path, hook_file: &str) -> Setup {
        compiled::compile(component);
        let plugins = self.dir.path().join("plugins");
        std::fs::copy(component, plugins.join(format!("{name}.wasm")))
            .expect("the component is there");
        let has = |start: &str| hook_file.lines().any(|line| line.starts_with(start));
        let mode = if !has("mode ") {
            "mode = \"sync\"\n"
        } else if has("mode = \"auto\"") && !has("answer_within ") {
            "answer_within = \"60s\"\n"
        } else {
            ""
        };
        std::fs::write(
            plugins.join(format!("{name}.toml")),
            format!("{mode}{hook_file}"),
        )
        .expect("a writable folder");
        self
    }

    /// A file in the plugins directory.
    pub fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Setup {
        std::fs::write(self.dir.path().join("plugins").join(name), bytes)
            .expect("a writable folder");
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.launch.env.push((name.into(), value.into()));
        self
    }

    /// A flag of `serve`.
    pub fn arg(mut self, arg: &str) -> Setup {
        self.launch.args.push(arg.into());
        self
    }

    /// Of its log lines, which must be JSON with a `message` in it.
    pub fn log_format(mut self, format: &str) -> Setup {
        self.launch.format = Some(format.into());
        self
    }

    /// Where it listens: the public address and the admin address, as an operator types them.
    pub fn listen(mut self, public: &str, admin: &str) -> Setup {
        self.launch.listen = Some((public.into(), admin.into()));
        self
    }

    /// The node compiles its components itself, and finds no machine code that was made for the tests.
    pub fn compiles(mut self) -> Setup {
        self.launch.compiles = true;
        self
    }

    /// Another binary of Landfall.
    pub fn binary(mut self, path: &Path) -> Setup {
        self.launch.binary = Some(path.into());
        self
    }

    /// The plugins directory.
    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// With a data directory of its own size, in memory; none, and a plain line, where that cannot be mounted. It outlives the
    /// node, as a disk does.
    pub fn data_of_size(mut self, size: &str) -> Option<Setup> {
        std::fs::create_dir_all(self.data()).expect("a writable folder");
        let mount = Mount::at(&self.data(), size)?;
        self.launch.under.clone_from(&mount.under);
        self.launch.mount = Some(Arc::new(mount));
        Some(self)
    }

    /// Started by another program that takes its command line: `prlimit`.
    pub fn under(mut self, program: &str, words: &[&str]) -> Setup {
        self.launch.under = [program]
            .iter()
            .chain(words)
            .map(|&word| word.to_owned())
            .collect();
        self
    }

    /// The same folders and settings, copied.
    pub fn copy(&self) -> Setup {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(self.dir.path().join("."))
            .arg(dir.path())
            .status();
        assert!(copied.expect("cp is there").success());
        Setup {
            dir,
            launch: self.launch.clone(),
        }
    }

    /// Starts the node and waits until it listens; hooks may still be loading.
    pub async fn start(self) -> Node {
        match self.begin().await {
            Ok(node) => node,
            Err((_, log)) => panic!("the node ended\n{log}"),
        }
    }

    /// The same; none where it refuses to start.
    pub async fn try_start(self) -> Option<Node> {
        self.begin().await.ok()
    }

    /// Starts the node, which must refuse; the folders and settings again.
    pub async fn refused(self) -> Setup {
        match self.begin().await {
            Ok(_) => panic!("the node starts"),
            Err((setup, _)) => setup,
        }
    }

    /// Starts the node, which must refuse; what it said.
    pub async fn refusal(self) -> String {
        match self.begin().await {
            Ok(_) => panic!("the node starts"),
            Err((_, log)) => log,
        }
    }

    /// Starts it and waits until this hook serves.
    pub async fn serving(self, hook: &str) -> Node {
        let node = self.start().await;
        node.until(hook, "serving").await;
        node
    }
}
