//! How the process of a node is started, and how it comes to listen.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::log::Log;
use crate::mount::Mount;
use crate::ports::free_port;
use crate::{Node, Setup, compiled, eventually, landfall};

/// How the process is started, each time.
#[derive(Clone, Default)]
pub(crate) struct Launch {
    pub(crate) env: Vec<(String, String)>,
    /// Flags of `serve`.
    pub(crate) args: Vec<String>,
    /// Another program that takes the command line of the node.
    pub(crate) under: Vec<String>,
    /// Public and admin, as typed; none: any free port of this machine.
    pub(crate) listen: Option<(String, String)>,
    /// Of the log; none: JSON.
    pub(crate) format: Option<String>,
    pub(crate) mount: Option<Arc<Mount>>,
    /// The node compiles its components itself.
    pub(crate) compiles: bool,
    /// None: the binary that `cargo build` makes of this repository.
    pub(crate) binary: Option<PathBuf>,
}

// === impl Launch ===

impl Launch {
    /// `landfall serve` with its folders below this one.
    fn command(&self, dir: &Path) -> Command {
        let binary = self.binary.as_deref().unwrap_or_else(|| landfall());
        let mut words = self.under.iter().map(OsString::from).chain([binary.into()]);
        let mut command = Command::new(words.next().expect("a binary at least"));
        let listen = self.listen.clone();
        let (public, admin) = listen.unwrap_or_else(|| (any_address(), any_address()));
        let format = self.format.as_deref().unwrap_or("json");

        command
            .args(words)
            .arg("serve")
            .args(["--listen", &public, "--admin-listen", &admin])
            .args(["--log-format", format])
            .arg("--plugins")
            .arg(dir.join("plugins"))
            .arg("--data")
            .arg(dir.join("data"))
            .args(&self.args)
            .env_remove("RUST_BACKTRACE")
            .envs((!self.compiles).then(|| ("LANDFALL_BUNDLED", compiled::dir())))
            .envs(self.env.clone());
        // The folder that the tests run in may have a config file, which is not for the node.
        command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

fn any_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

// === impl Setup ===

impl Setup {
    /// Starts the node and waits until it listens, or gives back the folders with what the node said before it ended.
    pub(crate) async fn begin(self) -> Result<Node, (Setup, String)> {
        let mut command = self.launch.command(self.dir.path());
        let mut child = command.spawn().expect("the binary starts");
        let log = Log::of(child.stderr.take().expect("stderr is piped"));
        let serving = eventually("the node listens", || {
            let serving = log.find(|line| line["message"] == "serving");
            let ended = child.try_wait().expect("a child can be asked");
            let answer = serving.map(Ok).or(ended.map(|_| Err(())));
            async move { answer }
        })
        .await;
        let Ok(serving) = serving else {
            return Err((self, log.last_words().await));
        };

        let address = |key: &str| {
            serving[key]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("an address")
        };
        let client = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(5));
        let admin_client = reqwest::Client::builder().pool_max_idle_per_host(0);
        Ok(Node {
            dir: self.dir,
            launch: self.launch,
            child,
            public: address("listen"),
            admin: address("admin"),
            log,
            client: client.build().expect("a client"),
            admin_client: admin_client.build().expect("a client"),
        })
    }
}
