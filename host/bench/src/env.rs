//! What a measurement needs on disk: a plugins directory with one hook, a secret, a data directory;
//! and the servers that use them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::timeout;

use crate::binary;
use crate::flags::RunFlags;
use crate::load;
use crate::request;
use crate::server::Server;

const SECRET: &str = "a secret for the bench";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How often the start of the process is timed; the median is reported.
const STARTS: usize = 7;
/// How long a program of others may take until it answers.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);
/// The name of the custom section that makes a component another one.
const SECTION: &str = "landfall-bench";

pub(crate) struct BenchEnv {
    dir: tempfile::TempDir,
    /// The data directory of the node.
    data: PathBuf,
    landfall: PathBuf,
    variables: Variables,
}

/// Names and values of environment variables.
pub(crate) type Variables = &'static [(&'static str, &'static str)];

/// What a node logs.
pub(crate) struct LogSettings {
    /// The name of its files.
    pub(crate) name: &'static str,
    /// `log.level`
    pub(crate) level: &'static str,
    /// `log.requests`
    pub(crate) requests: &'static str,
    /// The lines of each request.
    pub(crate) lines: u64,
}

/// Signs requests as GitHub does.
pub(crate) struct GithubSender {
    secret: &'static str,
}

/// The admin API of a node.
pub(crate) struct Admin {
    client: reqwest::Client,
    url: String,
    token: String,
}

// === impl BenchEnv ===

impl BenchEnv {
    /// An environment with the hook `bench`, which runs the component of the flags or the bundled
    /// `handler`. `top` and `tables` are TOML for the start and the end of its hook file.
    pub(crate) fn create(
        flags: &RunFlags,
        handler: &str,
        top: &str,
        tables: &str,
    ) -> anyhow::Result<BenchEnv> {
        let env = BenchEnv::without_hooks(flags)?;
        let component = match &flags.component {
            Some(path) => path.clone(),
            None => env.build_handler(handler)?,
        };

        env.add_component("bench", &component)?;
        env.add_signed_hook("bench", top, tables)?;
        Ok(env)
    }

    /// An environment with an empty plugins directory.
    pub(crate) fn without_hooks(flags: &RunFlags) -> anyhow::Result<BenchEnv> {
        let landfall = match &flags.landfall {
            Some(path) => path
                .canonicalize()
                .with_context(|| format!("{} cannot be found", path.display()))?,
            None => binary::build_landfall()?,
        };

        let dir = tempfile::tempdir().context("a temporary directory cannot be made")?;
        let data = dir.path().join("data");
        let env = BenchEnv {
            dir,
            data,
            landfall,
            variables: &[],
        };

        std::fs::create_dir(env.plugins())?;
        std::fs::write(env.secret_file(), SECRET)?;
        Ok(env)
    }

    /// Adds a hook that accepts signed requests. `top` and `tables` are TOML for the start and the
    /// end of its hook file.
    pub(crate) fn add_signed_hook(
        &self,
        name: &str,
        top: &str,
        tables: &str,
    ) -> anyhow::Result<()> {
        let verify = "[verify]\nprovider = \"generic\"\nsecret = \"file:../secret\"\n";
        let dedup = "[dedup]\nid = \"none\"\n";
        self.write_hook(
            name,
            &format!("{top}concurrency = 1000\n{verify}{dedup}{tables}"),
        )
    }

    /// Adds hooks that run the component of the hook `bench` in mode `sync`, until the plugins
    /// directory has `count` of them. `present` are there, `bench` among them.
    pub(crate) fn add_further_hooks(&self, present: usize, count: usize) -> anyhow::Result<()> {
        for number in present..count {
            let top = "component = \"bench.wasm\"\nmode = \"sync\"\n";
            self.add_signed_hook(&further_hook(number), top, "")?;
        }

        Ok(())
    }

    /// A request to `bench` and one to each hook of `add_further_hooks`.
    pub(crate) fn requests_to_hooks(&self, count: usize) -> Vec<Vec<u8>> {
        let to_further = (1..count)
            .map(|number| request::signed_push(&format!("/{}", further_hook(number)), SECRET));
        std::iter::once(self.request()).chain(to_further).collect()
    }

    /// Adds a hook that accepts any caller.
    pub(crate) fn add_open_hook(&self, name: &str, hook_file: &str) -> anyhow::Result<()> {
        self.write_hook(name, &format!("{hook_file}\n[verify]\nscheme = \"none\"\n"))
    }

    /// Adds a hook that accepts requests of a `GithubSender`.
    pub(crate) fn add_github_hook(&self, name: &str, hook_file: &str) -> anyhow::Result<()> {
        let verify = "[verify]\nprovider = \"github\"\nsecret = \"file:../secret\"\n";
        self.write_hook(name, &format!("{hook_file}{verify}"))
    }

    /// The sender that the hooks of `add_github_hook` know.
    pub(crate) fn github_sender(&self) -> GithubSender {
        GithubSender { secret: SECRET }
    }

    /// Starts nodes with these environment variables.
    pub(crate) fn with_variables(self, variables: Variables) -> BenchEnv {
        BenchEnv { variables, ..self }
    }

    /// Uses a data directory that stays.
    pub(crate) fn keep_data_in(&mut self, data: &Path) -> anyhow::Result<()> {
        let shown = data.display();
        std::fs::create_dir_all(data).with_context(|| format!("{shown} cannot be made"))?;
        self.data = data.canonicalize()?;
        Ok(())
    }

    pub(crate) fn add_component(&self, name: &str, from: &Path) -> anyhow::Result<()> {
        let to = self.plugins().join(format!("{name}.wasm"));
        std::fs::copy(from, to).with_context(|| format!("{} cannot be read", from.display()))?;
        Ok(())
    }

    /// A component that runs like `from` and has another digest for each number, so that a node
    /// compiles each of them.
    pub(crate) fn another_component(
        &self,
        name: &str,
        from: &Path,
        number: u32,
    ) -> anyhow::Result<PathBuf> {
        let mut bytes =
            std::fs::read(from).with_context(|| format!("{} cannot be read", from.display()))?;
        // A custom section: its id, the size of the rest in one byte, its name, its content.
        let size = 1 + SECTION.len() + size_of::<u32>();
        bytes.extend([0, size as u8, SECTION.len() as u8]);
        bytes.extend(SECTION.as_bytes());
        bytes.extend(number.to_le_bytes());

        let path = self.dir.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// The component of the hook `bench`.
    pub(crate) fn bench_component(&self) -> PathBuf {
        self.plugins().join("bench.wasm")
    }

    pub(crate) fn build_handler(&self, name: &str) -> anyhow::Result<PathBuf> {
        binary::build_handler(&self.landfall, name, &self.dir.path().join("built"))
    }

    /// The signed request that the hook `bench` accepts.
    pub(crate) fn request(&self) -> Vec<u8> {
        request::signed_push("/bench", SECRET)
    }

    /// The same with another body.
    pub(crate) fn request_with(&self, body: &str) -> Vec<u8> {
        self.request_to("bench", body)
    }

    /// A signed request that a hook of `add_signed_hook` accepts.
    pub(crate) fn request_to(&self, hook: &str, body: &str) -> Vec<u8> {
        request::signed(&format!("/{hook}"), SECRET, body)
    }

    /// The binary that is measured.
    pub(crate) fn landfall(&self) -> &Path {
        &self.landfall
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// Machine code that `landfall invoke` has written in this environment. The node loads it.
    pub(crate) fn compiled(&self) -> PathBuf {
        self.dir.path().join(".landfall/compiled")
    }

    /// A node that answers 200.
    pub(crate) async fn start_node(&self) -> anyhow::Result<Server> {
        let server = self.spawn_node(ANY_PORT)?;
        load::wait_for_200(server.address, &self.request()).await?;
        Ok(server)
    }

    /// A node that answers 200, and its admin API.
    pub(crate) async fn start_node_with_admin(&self) -> anyhow::Result<(Server, Admin)> {
        self.start_node_with_admin_that_answers(&[self.request()])
            .await
    }

    /// A node that answers each of these requests with 200, and its admin API.
    pub(crate) async fn start_node_with_admin_that_answers(
        &self,
        requests: &[Vec<u8>],
    ) -> anyhow::Result<(Server, Admin)> {
        let address = free_address()?;
        let server = self.spawn_node(address)?;
        for request in requests {
            load::wait_for_200(server.address, request).await?;
        }

        let token_file = self.data().join("admin-token");
        let token = std::fs::read_to_string(&token_file)
            .with_context(|| format!("{} cannot be read", token_file.display()))?;
        let admin = Admin {
            client: reqwest::Client::new(),
            url: format!("http://{address}"),
            token: token.trim().to_owned(),
        };
        Ok((server, admin))
    }

    /// The server that the node is compared with. With a URL it forwards each body to it.
    pub(crate) async fn start_plain_server(
        &self,
        forward_to: Option<&str>,
    ) -> anyhow::Result<Server> {
        let arguments: Vec<&OsStr> = forward_to.iter().map(OsStr::new).collect();
        self.start_own_server(&arguments).await
    }

    /// The server that the ledger is compared with: it stores each body in SQLite, and answers.
    pub(crate) async fn start_storing_server(&self) -> anyhow::Result<Server> {
        let file = self.dir.path().join("plain.sqlite");
        self.start_own_server(&[OsStr::new("--store"), file.as_os_str()])
            .await
    }

    async fn start_own_server(&self, arguments: &[&OsStr]) -> anyhow::Result<Server> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("plain-server")
            .arg(address.to_string())
            .arg(self.secret_file())
            .args(arguments);

        let server = Server::spawn(command, address)?;
        load::wait_for_200(server.address, &self.request()).await?;
        Ok(server)
    }

    /// A program of others that answers the request of the hook `bench`. `line` is a command of
    /// `sh`, in which `{port}` is replaced. `SECRET_FILE` names the file with the secret.
    pub(crate) async fn start_program(&self, line: &str) -> anyhow::Result<Server> {
        let address = free_address()?;
        let line = line.replace("{port}", &address.port().to_string());
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("exec {line}"))
            .env("SECRET_FILE", self.secret_file())
            .stderr(Stdio::null());

        let mut server = Server::spawn_with_workers(command, address)?;
        let request = self.request();
        let answers = timeout(PROGRAM_TIMEOUT, load::wait_for_200(address, &request));
        tokio::select! {
            answered = answers => answered
                .with_context(|| format!("no 200 within {} s", PROGRAM_TIMEOUT.as_secs()))??,
            status = server.wait() => bail!("the program ended: {}", status?),
        }

        Ok(server)
    }

    /// The median time from the start of the process to its first 200. The component is compiled
    /// already.
    pub(crate) async fn time_to_first_200(&self) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let started = Instant::now();
            let server = self.start_node().await?;
            times.push(started.elapsed());
            server.stop().await?;
        }

        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// A node with a data directory of its own that writes its log lines into a file, and answers
    /// 200.
    pub(crate) async fn start_node_that_logs(&self, log: &LogSettings) -> anyhow::Result<Server> {
        let address = free_address()?;
        let mut command = self.node_command(address, ANY_PORT, &self.path().join(log.name));
        command
            .args(["--log", log.level])
            .env("LANDFALL_LOG_FORMAT", "json")
            .env("LANDFALL_LOG_REQUESTS", log.requests)
            .stderr(File::create(self.log_file(log))?);

        let server = Server::spawn(command, address)?;
        load::wait_for_200(server.address, &self.request()).await?;
        Ok(server)
    }

    /// The lines that a node of `start_node_that_logs` has written so far.
    pub(crate) fn logged_lines(&self, log: &LogSettings) -> anyhow::Result<u64> {
        let (mut file, mut lines) = (File::open(self.log_file(log))?, 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(lines);
            }
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }

    fn log_file(&self, log: &LogSettings) -> PathBuf {
        self.path().join(format!("{}.log", log.name))
    }

    fn spawn_node(&self, admin: SocketAddr) -> anyhow::Result<Server> {
        let address = free_address()?;
        let mut command = self.node_command(address, admin, self.data());
        command.args(["--log", "error"]);
        Server::spawn(command, address)
    }

    fn node_command(&self, address: SocketAddr, admin: SocketAddr, data: &Path) -> Command {
        let mut command = Command::new(&self.landfall);
        command
            .arg("serve")
            .args(["--listen", &address.to_string()])
            .args(["--admin-listen", &admin.to_string()])
            .arg("--plugins")
            .arg(self.plugins())
            .arg("--data")
            .arg(data)
            // Hooks that do not load are reported by `interference`, and do not stop it.
            .env("LANDFALL_READINESS", "any")
            .envs(self.variables.iter().copied());
        if self.compiled().is_dir() {
            command.arg("--bundled").arg(self.compiled());
        }

        command
    }

    fn write_hook(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.plugins().join(format!("{name}.toml"));
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    fn secret_file(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    fn data(&self) -> &Path {
        &self.data
    }
}

// === impl GithubSender ===

impl GithubSender {
    /// A signed request to a hook.
    pub(crate) fn request(
        &self,
        hook: &str,
        event_type: &str,
        delivery_id: &str,
        body: &str,
    ) -> Vec<u8> {
        let signature = request::signature(self.secret, body);
        let headers = [
            ("user-agent", "GitHub-Hookshot/044aadd"),
            ("accept", "*/*"),
            ("x-github-delivery", delivery_id),
            ("x-github-event", event_type),
            ("x-github-hook-id", "292430182"),
            ("x-hub-signature-256", signature.as_str()),
        ];
        request::post(&format!("/{hook}"), &headers, body)
    }
}

// === impl Admin ===

impl Admin {
    /// Status and body of `GET path`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        self.send(self.client.get(format!("{}{path}", self.url)))
            .await
    }

    /// Status and body of `POST path` with an empty JSON object.
    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body("{}");
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<(u16, String)> {
        let response = request.bearer_auth(&self.token).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

fn further_hook(number: usize) -> String {
    format!("further{number}")
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(ANY_PORT).context("no port is free")?;
    Ok(listener.local_addr()?)
}
