//! A real nats-server with JetStream for tests, each on a port and in a folder of its own; it ends with the test process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::ports::free_port;
use crate::require::missing;
use crate::{eventually, root};

/// A server of our own.
pub struct Nats {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    monitor: u16,
    settings: String,
    /// Its input is ours: when that closes, the server is stopped.
    keeper: Mutex<Child>,
    client: reqwest::Client,
}

// === impl Nats ===

impl Nats {
    /// A server that syncs every write; none, and a plain line, where nats-server is not installed.
    pub async fn start() -> Option<Nats> {
        Nats::with("").await
    }

    /// The same with more settings, one a line.
    pub async fn with(settings: &str) -> Option<Nats> {
        let Some(bin) = bin() else {
            missing("nats-server is not installed (LANDFALL_SDK)");
            return None;
        };
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (port, monitor) = (free_port(), free_port());
        let keeper = Mutex::new(serve(&bin, dir.path(), (port, monitor), settings));
        let server = Nats {
            bin,
            dir,
            port,
            monitor,
            settings: settings.into(),
            keeper,
            client: reqwest::Client::new(),
        };
        server.is_up().await;
        Some(server)
    }

    /// `nats://…`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it tells of itself.
    pub fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    /// How many messages a stream has now; none where the stream is not there.
    pub async fn messages(&self, stream: &str) -> Option<u64> {
        let url = format!("{}/jsz?streams=true", self.monitor());
        let told: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        let streams = told["account_details"][0]["stream_detail"]
            .as_array()?
            .clone();
        streams.iter().find(|one| one["name"] == stream)?["state"]["messages"].as_u64()
    }

    /// Sends a message as anybody can.
    pub async fn send(&self, subject: &str, bytes: &[u8]) {
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("it listens");
        let mut stream = tokio::io::BufReader::new(stream);
        let head = format!(
            "CONNECT {{\"verbose\":false}}\r\nPUB {subject} {}\r\n",
            bytes.len()
        );
        stream
            .write_all(&[head.as_bytes(), bytes, b"\r\nPING\r\n"].concat())
            .await
            .expect("it reads");
        let mut line = String::new();
        while !line.starts_with("PONG") {
            line.clear();
            assert!(stream.read_line(&mut line).await.expect("it answers") > 0);
        }
    }

    /// Ends it as the loss of power would, for the server alone.
    pub fn kill(&self) {
        self.signal("KILL");
        let mut keeper = self.keeper.lock().expect("the lock is not poisoned");
        keeper.stdin.take();
        keeper.wait().ok();
    }

    /// Sends a signal to the server.
    pub fn signal(&self, name: &str) {
        let id = std::fs::read_to_string(self.dir.path().join("pid")).expect("it runs");
        let sent = Command::new("kill").args(["-s", name, id.trim()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// After a kill, with what it left.
    pub async fn start_again(&self) {
        *self.keeper.lock().expect("the lock is not poisoned") = serve(
            &self.bin,
            self.dir.path(),
            (self.port, self.monitor),
            &self.settings,
        );
        self.is_up().await;
    }

    async fn is_up(&self) {
        let url = format!("{}/healthz", self.monitor());
        eventually("nats-server is up", || async {
            let answer = self.client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        // The monitor is there a little sooner than the other port.
        let port = ("127.0.0.1", self.port);
        eventually("nats-server listens", || async {
            tokio::net::TcpStream::connect(port).await.ok()
        })
        .await;
    }
}

/// A shell that ends the server when we are gone.
fn serve(bin: &Path, dir: &Path, (port, monitor): (u16, u16), settings: &str) -> Child {
    let (store, config, log) = (dir.join("store"), dir.join("nats.conf"), dir.join("log"));
    let text = format!(
        "listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n{settings}\n",
        store.display()
    );
    std::fs::write(&config, text).expect("a writable folder");
    let script = "\"$0\" -c \"$1\" -l \"$2\" & server=$!; echo $server >\"$3\"; cat >/dev/null; kill -INT $server 2>/dev/null; kill -CONT $server 2>/dev/null; wait $server";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .args([bin, &config, &log, &dir.join("pid")]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts")
}

/// That of `LANDFALL_NATS`, of the SDKs for tests, or of the path.
fn bin() -> Option<PathBuf> {
    let named = std::env::var_os("LANDFALL_NATS").map(PathBuf::from);
    let installed =
        std::env::var_os("LANDFALL_SDK").map(|sdk| PathBuf::from(sdk).join("venv/bin/nats-server"));
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path)
            .map(|dir| dir.join("nats-server"))
            .collect::<Vec<_>>()
    });
    let local = root().join("target/nats-server");
    named
        .into_iter()
        .chain(installed)
        .chain([local])
        .chain(on_path)
        .find(|bin| bin.exists())
}
